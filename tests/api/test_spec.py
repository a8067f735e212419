from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.api.plugins import Plugin
from ood_toolkit.api.registry import Registry, get_registry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import Spec, format_value, nearest, parse_spec, split_specs, unquote
from ood_toolkit.errors import ScorerError, SpecError
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.msp import MSP

pytestmark = pytest.mark.quick

words = st.text(st.sampled_from("ab,:()='\" \t\n1.é"), max_size=12) | st.sampled_from(
    ["none", "true", "False", "nan", "1e5"]
)


@dataclass
class Everything(Scorer):
    text: str = ""
    maybe: str | None = "x"
    whole: int = 0
    real: float = 0.0
    flag: bool = False
    many: tuple[float | str | None, ...] = ()
    base: Scorer | None = None

    name = "everything"
    needs = frozenset({"logits"})

    def score(self, x):
        return x.confidence


@dataclass
class Strict(Scorer):
    k: int

    name = "strict"

    def score(self, x):
        return x.confidence


class Module:
    """Stands for a plugin's module."""


@pytest.fixture(scope="module")
def registry():
    from ood_toolkit.api.hookspecs import hookimpl

    module = Module()
    module.register_scorers = hookimpl(lambda: [Everything, Strict, MSP, KNN])
    return Registry([Plugin("here", "1", module)])


everything = st.builds(
    Everything,
    text=words,
    maybe=words | st.none(),
    whole=st.integers(),
    real=st.floats(allow_nan=False),
    flag=st.booleans(),
    many=st.lists(words | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(), max_size=3).map(
        tuple
    ),
)


@given(everything, st.none() | everything | st.builds(KNN, k=st.integers(1, 99)) | st.just(MSP()))
def test_every_spec_parses_back_to_an_equal_scorer(registry, scorer, base):
    scorer.base = base
    made = registry.scorer(scorer.spec)
    assert made == scorer
    assert list(map(type, made.many)) == list(map(type, scorer.many))
    assert made.spec == scorer.spec
    assert registry.scorers(f"msp,{scorer.spec},knn") == [MSP(), scorer, KNN()]


@given(words)
def test_a_formatted_text_is_one_value_whatever_it_holds(text):
    formatted = format_value(text)
    parsed = parse_spec(f"msp:key={formatted}:other=1")
    assert parsed.arguments == {"key": formatted, "other": "1"}
    assert unquote(formatted) == text
    assert split_specs(f"knn,msp:key={formatted}") == ["knn", f"msp:key={formatted}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (0.1, "0.1"),
        (3, "3"),
        ((1, 2.5, "a"), "(1,2.5,a)"),
        ((), "()"),
        ("plain-text", "plain-text"),
        ("none", "'none'"),
        ("5", "'5'"),
        ("", "''"),
        ("a,b:c=(d)", "'a,b:c=(d)'"),
        ("it's", '"it\'s"'),
        (MSP(), "msp"),
        (KNN(k=3), "(knn:k=3)"),
    ],
)
def test_values_are_written_as_one_would_type_them(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("msp", Spec("msp", {})),
        (" knn : k = 100 ", Spec("knn", {"k": "100"})),
        ("(knn:k=100)", Spec("knn", {"k": "100"})),
        ("'knn:k=100'", Spec("knn", {"k": "100"})),
        ("classwise:base=(knn:k=50):rule=youden", Spec("classwise", {"base": "(knn:k=50)", "rule": "youden"})),
        ("a:b=(c:d=(e:f=1)):g=2", Spec("a", {"b": "(c:d=(e:f=1))", "g": "2"})),
        ("a:b='x:y,z=(':c=1", Spec("a", {"b": "'x:y,z=('", "c": "1"})),
        ("a:b=c=d", Spec("a", {"b": "c=d"})),
    ],
)
def test_specs_are_parsed(text, parsed):
    assert parse_spec(text) == parsed


def test_lists_are_split_outside_parentheses_and_quotes():
    text = "msp, knn:k=100,classwise:base=(a:b=1,c),d:e='f,g',"
    assert split_specs(text) == ["msp", "knn:k=100", "classwise:base=(a:b=1,c)", "d:e='f,g'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "spec '': expected a name"),
        (":k=1", "spec ':k=1': expected a name"),
        ("knn:100", "spec 'knn:100': expected key=value after knn, got '100'"),
        ("knn:1k=100", "spec 'knn:1k=100': expected key=value after knn, got '1k=100'"),
        ("knn:k=1:k=2", "spec 'knn:k=1:k=2': k is given twice"),
        ("knn:k=(1", "spec 'knn:k=(1': a parenthesis is not closed"),
        ("knn:k=1)", "spec 'knn:k=1)': a closing parenthesis without an opening one"),
        ("knn:k='1", 'spec "knn:k=\'1": a quote is not closed'),
    ],
)
def test_what_does_not_parse_is_refused_in_one_line(text, message):
    with pytest.raises(SpecError) as error:
        parse_spec(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mps", "unknown scorer 'mps'; did you mean 'msp'?"),
        ("claswise", "unknown scorer 'claswise'; did you mean 'classwise'?"),
        ("knn:kk=3", "knn: unknown parameter 'kk'; did you mean 'k'?"),
        ("classwise:rul=f1", "classwise: unknown parameter 'rul'; did you mean 'rule'?"),
        ("classwise:rule=yuden", "rule: unknown rule 'yuden'; did you mean 'youden'?"),
        ("classwise:base=(mps)", "unknown scorer 'mps'; did you mean 'msp'?"),
        ("msp:temperature=2", "msp: unknown parameter 'temperature'; known: none"),
        ("knn:k=many", "knn: k: expected int, got 'many'"),
        ("knn:k=2.5", "knn: k: expected int, got '2.5'"),
        ("energy:temperature=hot", "energy: temperature: expected float, got 'hot'"),
        ("entropy:normalised=yes", "entropy: normalised: expected bool, got 'yes'"),
    ],
)
def test_an_unknown_name_or_value_is_refused_with_the_nearest(monkeypatch, text, message):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    with pytest.raises((SpecError, ScorerError)) as error:
        get_registry().scorer(text)
    assert str(error.value) == message


def test_a_name_like_no_other_gets_the_list():
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "known: none"


def test_a_parameter_without_default_must_be_given(registry):
    assert registry.scorer("strict:k=3") == Strict(3)
    with pytest.raises(SpecError, match="strict: expected a value for k, as in strict:k="):
        registry.scorer("strict")


def test_all_and_groups_stand_for_many(monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    registry = get_registry()
    names = [scorer.name for scorer in registry.scorers("all")]
    assert names == registry.names("scorers")
    groups = {name: [s.name for s in registry.scorers(name)] for name in ("clip", "classical", "thresholds")}
    assert {"mcm", "clipn-ctw", "clipn-atd"} <= set(groups["clip"])
    assert {"msp", "maxlogit", "energy", "entropy", "knn", "mahalanobis"} <= set(groups["classical"])
    assert groups["thresholds"] == ["classwise", "classwise-entropy", "mean", "grid"]
    assert sum(map(len, groups.values())) == len(set().union(*groups.values()))
    assert {c.name for c in registry.combiners("all")} == {"max-confidence", "vote", "mean-score", "mean-probability"}


def test_the_same_scorer_is_listed_once(monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    registry = get_registry()
    made = registry.scorers(["msp,knn:k=50", "classwise:base=msp", "knn", MSP(), "knn:k=3", "classwise"])
    assert [scorer.spec for scorer in made] == ["msp", "knn", "classwise", "knn:k=3"]
    for nothing in ("", " , ", []):
        with pytest.raises(SpecError, match="expected at least one scorer, got none"):
            registry.scorers(nothing)


def test_an_instance_is_taken_as_it_is():
    scorer = KNN(k=7)
    assert get_registry().scorer(scorer) is scorer
    assert get_registry().scorers(scorer) == [scorer]
