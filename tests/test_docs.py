"""The documentation: its code runs, its commands parse, its links resolve, and it leaves nothing out."""

import re
import shlex
import subprocess
import sys
import types
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from ood_toolkit.api import builtin, hookspecs
from ood_toolkit.api.plugins import Plugin
from ood_toolkit.api.registry import Registry
from ood_toolkit.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "commands.md"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "plugins").glob("*/README.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GROUP = click.Context(cli, info_name="oodkit")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text()) if kind == language]


def shell_commands() -> list[tuple[str, str]]:
    """List every `oodkit` line of the pages: shell blocks, and the markers of pasted output."""
    found = []
    for page in PAGES:
        text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
        found += [(named(page), line) for line in text.splitlines() if line.startswith("oodkit ")]
        found += [(named(page), line) for line in re.findall(r"<!-- (?:output|vectors): (.+?) -->", page.read_text())]
    return found


def python_pages() -> list[Path]:
    return [page for page in PAGES if blocks(page, "python")]


def run_blocks(page: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> types.ModuleType:
    """Run a page's Python blocks in order, in one module, in an empty folder."""
    module = types.ModuleType("page_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(folder)
    for place, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"{named(page)}, Python block {place + 1}", "exec"), vars(module))
    return module


@pytest.mark.parametrize("page", python_pages(), ids=named)
def test_python_blocks_run(page, monkeypatch, tmp_path):
    run_blocks(page, monkeypatch, tmp_path)


def test_readme_prints_what_it_shows(monkeypatch, tmp_path, capsys):
    run_blocks(ROOT / "README.md", monkeypatch, tmp_path)
    printed = capsys.readouterr().out.splitlines()
    shown = next(body for body in blocks(ROOT / "README.md", "text") if body.startswith(printed[0][:4])).splitlines()
    # Digits depend on the libraries' versions: the words are compared.
    assert [re.sub(r"[\d.]+", "#", line) for line in printed] == [re.sub(r"[\d.]+", "#", line) for line in shown]


def test_plugin_of_the_readme_loads_from_its_two_files(monkeypatch, tmp_path):
    from ood_toolkit.api.registry import get_registry

    (project,) = blocks(ROOT / "README.md", "toml")
    entry = re.search(r"\[project.entry-points.ood_toolkit\]\n(.+?) = \"(.+?)\"", project)
    assert entry is not None
    name, module = entry.groups()
    code = next(body for body in blocks(ROOT / "README.md", "python") if "register_scorers" in body)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / f"{module}.py").write_text(code)
    info = tmp_path / "readme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: readme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ood_toolkit]\n{name} = {module}\n")
    monkeypatch.delenv("OODKIT_NO_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert name in entry_points(group="ood_toolkit").names
    try:
        assert get_registry().scorer("top-gap").spec == "top-gap"
    finally:
        sys.modules.pop(module, None)


def test_hooks_of_the_scorer_page_register_what_they_show(monkeypatch, tmp_path):
    page = run_blocks(ROOT / "docs" / "write-a-scorer.md", monkeypatch, tmp_path)
    plugin = Plugin("docs", "", page)
    registry = Registry([Plugin("built-in", "", builtin), plugin])
    group = click.Group()
    registry.add_commands(group)
    assert plugin.error is None
    assert plugin.provides == {
        "scorers": ["logit-var", "class-mean", "nice-prompt", "median"],
        "combiners": ["largest-margin"],
        "datasets": ["noise"],
        "models": ["vit-b-32-local"],
    }
    assert all(registry.get(kind, name) for kind, names in plugin.provides.items() for name in names)
    assert len(registry.get("datasets", "noise").open("test", Path())) == 50
    assert list(group.commands) == ["noise-level"]
    assert registry.scorer("median:base=energy").spec == "median:base=energy"


@pytest.mark.parametrize(("page", "line"), shell_commands())
def test_shell_commands_parse(page, line):
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.reading import read_prompts

    _, name, *arguments = shlex.split(line, comments=True)
    command = cli.get_command(GROUP, name)
    if command is None:
        assert page.startswith("plugins/"), f"{page}: no such command: {line}"
        pytest.skip(f"the plugin of {page} is not installed")
    given = command.make_context(name, arguments).params
    read_prompts(given.get("prompts") or ())
    if name in ("bench", "score") and "top-gap" not in line and not page.startswith("plugins/"):
        get_registry().scorers(given["scorers"] if name == "bench" else given["specs"])
        get_registry().combiners(given.get("combiners") or "all")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_shows_of_a_command_stands_below_the_command(page):
    text, hidden = page.read_text(), []
    for marker in re.finditer(r"<!-- (?:output|vectors): (.+?) -->", text):
        before = re.sub(r"<!--.*?-->", "", text[: marker.start()]).replace("\\\n", " ")
        if not set(marker[1].replace(",", " ").split()) <= set(before.replace(",", " ").replace("`", " ").split()):
            hidden.append(marker[1])
    assert hidden == []


def test_reference_is_fresh():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def documented_options(command: click.Command) -> list[str]:
    options = [name for part in command.params if isinstance(part, click.Option) for name in part.opts]
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return options + [name for part in inner for name in documented_options(part)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_reference(name):
    section = re.search(
        rf"^### `oodkit {name}`\n(.*?)(?=^## |^### `oodkit (?!{name} ))",
        REFERENCE.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert section is not None
    command = cli.get_command(GROUP, name)
    missing = [option for option in documented_options(command) if not re.search(rf"[` ]{option}\b", section.group(1))]
    assert not missing


def test_every_scorer_combiner_and_hook_is_in_the_reference_and_explained():
    text = REFERENCE.read_text()
    scorers, combiners = builtin.register_scorers(), builtin.register_combiners()
    assert [name for name in [*scorers, *combiners] if f"\n### `{name}`\n" not in text] == []
    hooks = [name for name in vars(hookspecs) if name.startswith("register_")]
    page = (ROOT / "docs" / "write-a-scorer.md").read_text()
    assert [name for name in hooks if f"`{name}(" not in text or f"def {name}(" not in page] == []


def test_every_metric_and_protocol_is_defined():
    from ood_toolkit import metrics

    text = (ROOT / "docs" / "metrics.md").read_text()
    functions = [name for name in metrics.__all__ if name.islower()]
    assert [name for name in [*functions, *metrics.PROTOCOLS] if f"`{name}" not in text] == []


def test_every_check_and_need_is_named():
    from ood_toolkit.testing.checks import WORDS

    text = (ROOT / "docs" / "write-a-scorer.md").read_text()
    assert [word for word in [*WORDS, "text:<bank>", "extra:<name>"] if f"`{word}`" not in text] == []


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_relative_links_resolve(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{named(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text()), re.MULTILINE)
            assert anchor in map(slug, headings), f"{named(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_a_path_of_a_machine(page):
    found = re.findall(r"(?<![\w.:/])/(?:work|tmp|root|home|usr|var|mnt|Users)\b\S*", page.read_text())
    assert not found


def test_every_file_of_the_package_has_its_place_in_the_architecture():
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "ood_toolkit"
    names = [f"{p.name}/" for p in package.iterdir() if p.is_dir() and p.name[0] not in "._" and any(p.glob("*.py"))]
    names += [p.name for p in package.glob("*.py") if p.name[0] != "_" and p.name != "version.py"]
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_the_page_on_scorers_has_every_check_by_the_name_that_exempt_uses():
    from ood_toolkit.testing import CHECKS, STREAM_CHECKS

    text = (ROOT / "docs" / "write-a-scorer.md").read_text()
    assert [name for name in (*CHECKS, *STREAM_CHECKS) if f"`{name}`" not in text] == []


RULE_NAMED = re.compile(r"--rule\b|\brule=|\b(?:conformal|pac|risk|cost|tpr|f1|youden):(?:target|delta|by|error)=")


def test_the_page_on_thresholds_has_every_rule_and_is_linked_wherever_one_is_named():
    from ood_toolkit.scorers.rules import KINDS

    text = (ROOT / "docs" / "thresholds.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")]
    for name, kind in KINDS.items():
        rows = [line for line in table if re.match(rf"\| `{name}\b", line)]
        assert rows, name
        assert all(f"`{key}`" in rows[0] for key in kind.parameters if key != "target" or kind.rank), name
        assert not kind.promise or f"`{name}" in (ROOT / "docs" / "guarantees.md").read_text(), name
    naming = [
        page
        for page in PAGES
        if RULE_NAMED.search(page.read_text()) and page.name not in ("CHANGELOG.md", "thresholds.md")
    ]
    assert len(naming) > 3
    assert [named(page) for page in naming if "thresholds.md" not in page.read_text()] == []
