import os
import re
import subprocess
import sys
import textwrap
from itertools import count

import click
import pytest

from ood_toolkit.api.builtin import register_scorers
from ood_toolkit.api.plugins import Plugin
from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import OodkitError, PluginError, ScorerError, SpecError
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.testing.starter import write_scorer

pytestmark = pytest.mark.quick

numbers = count()

SCORER = """
    from dataclasses import dataclass
    from ood_toolkit import Scorer, hookimpl

    @dataclass
    class Mine(Scorer):
        factor: float = 1.0
        name = "{name}"
        group = "{group}"
        needs = frozenset({{"logits"}})

        def score(self, x):
            return x.max_logit * self.factor
"""
HOOK = """
    @hookimpl
    def {hook}({arguments}):
        {body}
"""


def code(body="return [Mine]", name="mine", hook="register_scorers", arguments="", group="classical"):
    given = {"body": body, "hook": hook, "arguments": arguments}
    return textwrap.dedent(SCORER.format(name=name, group=group)) + textwrap.dedent(HOOK.format(**given))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one plugin: a module, METADATA and entry_points.txt in a folder on the path."""
    monkeypatch.delenv("OODKIT_NO_PLUGINS", raising=False)

    def put(plugin: str, source: str) -> str:
        module = f"oodkit_test_{plugin}_{next(numbers)}"
        folder = tmp_path / plugin
        info = folder / f"oodkit_{plugin}-1.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source.replace("MODULE", module))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: oodkit-{plugin}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[ood_toolkit]\n{plugin} = {module}\n")
        monkeypatch.syspath_prepend(folder)
        return module

    yield put
    for name in [name for name in sys.modules if name.startswith("oodkit_test_")]:
        del sys.modules[name]


def plugin(name: str) -> Plugin:
    return next(p for p in get_registry().plugins if p.name == name)


def still_works():
    registry = get_registry()
    assert registry.scorer("knn:k=3").k == 3
    assert set(register_scorers()) - {"msp"} <= set(registry.names("scorers"))
    assert registry.combiner("vote").name == "vote"


@pytest.mark.parametrize(
    "body", ["return [Mine]", "return (Mine,)", "return Mine", "return {'mine': 'MODULE:Mine'}", "yield Mine"]
)
def test_a_plugin_provides_its_scorer(install, body):
    install("good", code(body))
    assert get_registry().scorer("mine:factor=2").factor == 2.0
    assert get_registry().provider("scorers", "mine") == "good"
    found = plugin("good")
    assert (found.version, found.error, found.provides) == ("1.5", None, {"scorers": ["mine"]})
    assert "mine" in [scorer.name for scorer in get_registry().scorers("classical")]
    still_works()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise RuntimeError('no\\nGPU')", "RuntimeError: no GPU"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import a_module_that_is_missing", "ModuleNotFoundError: No module named 'a_module_that_is_missing'"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (code(hook="register_scorer"), "no such hook 'register_scorer'; did you mean 'register_scorers'?"),
        (code(hook="register_comands"), "no such hook 'register_comands'; did you mean 'register_commands'?"),
        (code(arguments="registry"), "PluginValidationError: "),
        (code("raise KeyError('weights')"), "KeyError: 'weights'"),
        (code("raise SystemExit"), "SystemExit: no message"),
        (code("return [3]"), "register_scorers: expected Scorer with a name, got 3"),
        (code("return None"), "register_scorers: expected Scorer with a name, got None"),
    ],
    ids=[
        "raises",
        "exits",
        "lacks",
        "syntax",
        "misspelt",
        "misspelt too",
        "argument",
        "hook",
        "exit",
        "number",
        "none",
    ],
)
def test_a_broken_plugin_stops_nothing_and_does_not_vanish(install, source, error):
    install("broken", source)
    install("good", code())
    assert plugin("broken").error.startswith(error)
    assert "\n" not in plugin("broken").error
    assert plugin("broken").provides == {}
    assert plugin("good").error is None
    assert get_registry().scorer("mine").name == "mine"
    still_works()


def test_the_message_for_an_unknown_name_tells_of_the_broken_plugin_first(install):
    install("broken", "raise RuntimeError('no GPU')")
    why = r"plugin 'broken' is out of service: RuntimeError: no GPU \(oodkit_test_broken_\d+\.py:1\)"
    with pytest.raises(SpecError, match=rf"^unknown scorer 'mps'; {why}; did you mean 'msp'\?$"):
        get_registry().scorer("mps")
    many = len(get_registry().names("scorers"))
    with pytest.raises(SpecError, match=rf"^unknown scorer 'top-gap'; {why}; for all {many} names see oodkit scorers$"):
        get_registry().scorer("top-gap")
    with pytest.raises(SpecError, match=rf"^unknown combiner 'zzzz'; {why}; known: "):
        get_registry().combiner("zzzz")


def test_a_folder_of_a_new_scorer_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scorer("glimmer", tmp_path)
    (tmp_path / "oodkit-other").mkdir()
    with pytest.raises(SpecError, match=r"scorer 'glimmer'; not installed; run pip install ./oodkit-glimmer; "):
        get_registry().scorer("glimmer")
    for name in ("other", "../glimmer", "glimmer/", "x" * 5000):
        with pytest.raises(SpecError) as error:
            get_registry().scorer(name)
        assert "not installed" not in str(error.value)


@pytest.mark.parametrize("given", [3, None, MSP, [3]], ids=str)
def test_what_is_no_spec_is_told_alone_and_in_a_list(given):
    with pytest.raises(SpecError, match="expected a spec or an instance of Scorer, got "):
        get_registry().scorers(given)
    with pytest.raises(SpecError, match="expected a spec or an instance of Combiner, got "):
        get_registry().combiners(given)


def test_two_plugins_with_one_name_disable_it_and_the_error_names_both(install):
    install("first", code())
    install("second", code() + textwrap.dedent(HOOK.format(hook="register_combiners", arguments="", body="return []")))
    for name in ("first", "second"):
        assert plugin(name).error == "scorer 'mine' is disabled: plugins 'first' and 'second' both provide it"
    with pytest.raises(PluginError, match="scorer 'mine' is disabled: plugins 'first' and 'second' both provide it"):
        get_registry().scorer("mine")
    assert "mine" not in get_registry().names("scorers")
    assert list(get_registry().disabled("scorers")) == ["mine"]
    still_works()


def test_a_plugin_that_takes_the_name_of_a_builtin_disables_both(install):
    install("thief", code(name="msp"))
    with pytest.raises(PluginError, match="scorer 'msp' is disabled: plugins 'built-in' and 'thief' both provide it"):
        get_registry().scorer("msp")
    assert "msp" not in [scorer.name for scorer in get_registry().scorers("all")]
    still_works()


@pytest.mark.parametrize(
    ("group", "has"), [("all", True), ("classical", True), ("clip", False), ("thresholds", False), ("msp", True)]
)
def test_a_disabled_name_is_asked_for_by_its_own_group_alone(install, group, has):
    install("thief", code(name="msp"))
    lost = {}
    get_registry().scorers([group, "mcm"], lost)
    assert list(lost) == (["msp"] if has else [])


def test_a_disabled_name_may_be_of_any_group_where_it_cannot_be_imported(install):
    install("thief", code("return {'msp': 'a_module_that_is_missing:X'}"))
    lost = {}
    get_registry().scorers("thresholds", lost)
    assert list(lost) == ["msp"]
    assert plugin("thief").error.startswith("scorer 'msp' is disabled")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return {'mine': 'MODULE:Yours'}", "plugin 'odd': cannot import 'mine': AttributeError: "),
        ("return {'mine': 'a_module_that_is_missing:X'}", "plugin 'odd': cannot import 'mine': ModuleNotFoundError: "),
        ("return {'mine': 'MODULE'}", "plugin 'odd': cannot import 'mine': AttributeError: "),
        ("return {'mine': int}", "plugin 'odd': 'mine' is no Scorer: <class 'int'>"),
        ("return {'mine': Mine()}", "plugin 'odd': 'mine' is no Scorer: Mine(factor=1.0)"),
        ("return {'yours': Mine}", "plugin 'odd': 'yours' calls itself 'mine'"),
        (
            "return [Bare]",
            "plugin 'odd': Bare is no dataclass; put @dataclass above it",
        ),
    ],
    ids=["attribute", "module", "no colon", "no scorer", "instance", "other name", "no dataclass"],
)
def test_what_is_no_scorer_is_an_error_when_asked_for_and_left_out_of_its_group(install, body, error):
    bare = "class Bare(Scorer):\n    name = 'mine'\n    def score(self, x):\n        return x.max_logit\n"
    install("odd", code(body) + bare)
    name = "yours" if "yours" in body else "mine"
    with pytest.raises(PluginError) as caught:
        get_registry().scorer(name)
    assert str(caught.value).startswith(error)
    listed = [scorer.name for scorer in get_registry().scorers("classical")]
    assert "msp" in listed
    assert name not in listed
    assert plugin("odd").error.startswith(error)
    still_works()


def test_a_module_that_exits_when_it_is_used_stops_nothing(install, tmp_path, monkeypatch):
    (tmp_path / "oodkit_test_exits.py").write_text("raise SystemExit(4)")
    monkeypatch.syspath_prepend(tmp_path)
    install("late", code("return {'mine': 'oodkit_test_exits:Mine'}"))
    with pytest.raises(PluginError, match="plugin 'late': cannot import 'mine': SystemExit: 4"):
        get_registry().scorer("mine")
    still_works()


@pytest.mark.parametrize(("value", "loaded"), [("1", False), ("yes", False), ("0", True), ("", True)])
def test_plugins_can_be_left_out(install, monkeypatch, value, loaded):
    install("good", code())
    monkeypatch.setenv("OODKIT_NO_PLUGINS", value)
    assert ("good" in [p.name for p in get_registry().plugins]) is loaded
    assert ("mine" in get_registry().names("scorers")) is loaded
    still_works()


def test_a_plugin_adds_commands_and_one_that_fails_is_noted(install):
    install("good", code("cli.command('extra')(lambda: None)", hook="register_commands", arguments="cli"))
    install("bad", code("raise ValueError('no terminal')", hook="register_commands", arguments="cli"))
    group = click.Group()
    get_registry().add_commands(group)
    assert "extra" in group.commands
    assert re.fullmatch(r"ValueError: no terminal \(oodkit_test_bad_\d+\.py:17\)", plugin("bad").error)


@pytest.mark.parametrize("hook", ["register_scorers", "register_combiners", "register_datasets", "register_models"])
def test_a_hook_without_its_mark_is_named(install, hook):
    install("plain", code(hook=hook).replace("@hookimpl", ""))
    install("good", code())
    assert plugin("plain").provides == {}
    assert plugin("plain").error == f"{hook} lacks its mark, so it is no hook; put @hookimpl above it"
    assert get_registry().scorer("mine").factor == 1.0


def test_an_imported_function_and_one_of_another_name_are_not_taken_for_hooks(install):
    install("plain", "from ood_toolkit.api.builtin import register_scorers\n" + code().replace("@hookimpl", "").replace(
        "def register_scorers", "def make_scorers"))  # fmt: skip
    found = plugin("plain")
    assert found.error is None or "lacks its mark" not in found.error


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ('"logits"', "expected a set of words, got the text 'logits'; write frozenset({'logits'})"),
        ('["logits"]', "expected a frozenset of words, got ['logits']"),
        ('{"logits", 3}', "expected a frozenset of words, got {"),
        ("property(lambda self: 'logits')", "expected a set of words, got the text 'logits'"),
    ],
)
def test_needs_that_are_no_set_are_named_with_the_plugin(install, needs, said):
    install("odd", code().replace('frozenset({"logits"})', needs))
    with pytest.raises((PluginError, ScorerError)) as caught:
        get_registry().scorer("mine")
    assert str(caught.value).startswith("plugin 'odd': mine: needs: ")
    assert said in str(caught.value)
    still_works()


SET = """
    import numpy as np
    from ood_toolkit import DataSet, Pictures, hookimpl, pixels

    def images(n):
        from PIL import Image
        return pixels([Image.new("RGB", (4, 4), (i, i, i)) for i in range(n)])

    def find(split, root):
        {body}

    @hookimpl
    def register_datasets():
        return [DataSet("grey", "Grey.", find, counts={{"test": 20}}, classes=("a", "b"))]
"""
TWENTY = "Pictures(images(20), tuple(f'i{i}' for i in range(20))"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (f"return {TWENTY.replace('range(20))', 'range(19))')})", "got 19 ids for 20 pictures; give each its own"),
        (
            f"return {TWENTY.replace('i{i}', 'i{i % 18}')})",
            "id 'i0' is there twice (2 of 20 repeat one); give distinct ids",
        ),
        ("return None", "expected Pictures, got None"),
        ("return images(20)", "expected Pictures, got "),
        ("return Pictures([], ())", "expected at least one picture, got none"),
        ("return Pictures(images(2), (None, 'b'))", "expected ids that are texts, got None"),
        ("return Pictures(images(2), (1, 2))", "expected ids that are texts, got 1"),
        (f"return {TWENTY}, labels=np.zeros(19, int))", "labels: expected 20 whole numbers, one a picture, got int64"),
        (f"return {TWENTY}, labels=np.full(20, 2))", "labels: expected -1 to 1 for 2 classes, got 2 to 2"),
        (f"return {TWENTY}, labels=np.zeros(20))", "labels: expected 20 whole numbers, one a picture, got float64"),
        ("raise KeyError(split)", "KeyError: 'test'"),
        ("from ood_toolkit import DataError; raise DataError('no disk')", "no disk"),
    ],
)
def test_what_a_data_set_gives_is_checked_and_named_with_the_plugin(install, tmp_path, body, said):
    install("sets", textwrap.dedent(SET.format(body=body)))
    with pytest.raises(OodkitError) as caught:
        get_registry().get("datasets", "grey").open("test", tmp_path)
    assert str(caught.value).startswith("plugin 'sets': data set 'grey': ")
    assert said in str(caught.value)
    still_works()


def test_a_right_data_set_is_given_as_it_is(install, tmp_path):
    install("sets", textwrap.dedent(SET.format(body=f"return {TWENTY}, labels=np.arange(20) % 3 - 1)")))
    found = get_registry().get("datasets", "grey")
    assert len(found.open("test", tmp_path)) == 20
    assert found == get_registry().get("datasets", "grey")


MODEL = """
    from ood_toolkit import Model, ModelEntry, hookimpl

    class Small(Model):
        {attributes}

        def preprocess(self, image): ...
        def encode_images(self, batch): ...
        def to(self, device): return self

    @hookimpl
    def register_models():
        return [ModelEntry("small", "Small.", load={load})]
"""


@pytest.mark.parametrize(
    ("attributes", "load", "said"),
    [
        ("fingerprint = 'x'; preprocessing = {}", "lambda: None", "load: expected a Model, got None"),
        ("fingerprint = 'x'; preprocessing = {}", "lambda: Small", "load: expected a Model, got ABCMeta"),
        ("preprocessing = {}", "Small", "load: Small lacks the attribute fingerprint; its features are stored by it"),
        ("fingerprint = 'x'", "Small", "load: Small lacks the attribute preprocessing"),
        ("fingerprint = ''; preprocessing = {}", "Small", "load: Small lacks the attribute fingerprint"),
        ("fingerprint = 'x'; preprocessing = {}", "lambda: 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_model_entry_loads_is_checked_and_named_with_the_plugin(install, attributes, load, said):
    install("models", textwrap.dedent(MODEL.format(attributes=attributes, load=load)))
    with pytest.raises(OodkitError) as caught:
        get_registry().get("models", "small").load()
    assert str(caught.value).startswith("plugin 'models': model 'small': ")
    assert said in str(caught.value)


def test_a_right_model_is_loaded_and_has_a_name(install):
    install("models", textwrap.dedent(MODEL.format(attributes="fingerprint = 'x'; preprocessing = {}", load="Small")))
    assert get_registry().get("models", "small").load().name == "small"


def test_the_registry_is_loaded_once():
    assert get_registry() is get_registry()


def test_names_and_classes_are_had_without_torch_sklearn_or_open_clip():
    program = """
        import sys
        import ood_toolkit, ood_toolkit.api.registry
        registry = ood_toolkit.api.registry.get_registry()
        for kind in ("scorers", "combiners"):
            for name in registry.names(kind):
                print(registry.get(kind, name)().spec)
        print([m for m in ("torch", "sklearn", "open_clip") if m in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"OODKIT_NO_PLUGINS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert set(register_scorers()) < set(lines)


def test_a_scorer_that_needs_a_value_is_listed_and_left_to_be_named(install):
    install("needy", code().replace("factor: float = 1.0", "factor: float"))
    row = next(row for row in get_registry().about_components("scorers") if row["name"] == "mine")
    assert row["what"].startswith("not without parameters: TypeError: ")
    assert "mine" not in [scorer.name for scorer in get_registry().scorers("all")]
    assert get_registry().scorer("mine:factor=2").factor == 2.0
