"""Write `commands.md`, refresh the pasted output of commands, and write the tables of `which-score.md` from it.

Run it as `python docs/generate.py`.

A page holds output between `<!-- output: COMMAND -->` and `<!-- end -->`. Such a command needs embedded data only.
Where it needs embeddings from elsewhere the marker says `vectors:`, and only `--vectors FOLDER` refreshes it, with
that folder as the working directory. `--check` writes nothing and fails if `commands.md` or the tables are not fresh.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "commands.md"
CHOOSER = ROOT / "docs" / "which-score.md"
OPTION = re.compile(r"(`[^`]*`)|(?<![\w-])--[a-z][a-z-]*(?![\w=-])")
"""Code, which stays as it is, or an option in a sentence."""
TABLES = re.compile(r"(<!-- tables: [^>]*-->\n).*?(\n<!-- end -->)", re.DOTALL)
NAMES = ("quickstart", "scores", "negative-labels", "thresholds", "deploy", "monitoring")
PAGES = (*(ROOT / "docs" / f"{name}.md" for name in NAMES), ROOT / "README.md")
"""In this order: they share one store, and the quickstart imports into it. The commands of a page share a folder."""
BLOCK = re.compile(r"(<!-- (output|vectors): (.+?) -->\n```text\n).*?(```\n<!-- end -->)", re.DOTALL)
INTRO = """# Reference of commands, scorers, combiners and hooks

Written by `python docs/generate.py` from the code; a test fails when it is not fresh. Plugins add to all of these
lists: `oodkit scorers`, `oodkit combiners`, `oodkit plugins` and `oodkit --help` show what is installed.
"""
CODES = """Exit codes: 0 all went well, skipped scorers included; 1 an error, a scorer that failed, or nothing that ran;
2 wrong usage; 3 an alarm of `oodkit monitor`. Results go to stdout, messages and progress to stderr.
`oodkit --debug COMMAND` shows the traceback.
`--quiet` says nothing of work that goes on, `--verbose` gives each step a line that stays; both may stand before the
command or behind it. Progress shows on a terminal; elsewhere a line every 30 seconds says how far the work is.
Threshold rules, `rule=` and `--rule`: [thresholds.md](thresholds.md). Specs:
[quickstart.md](quickstart.md).
An option that says "repeat it" adds with each time. Any other that takes a value may be given once; a flag that is
given twice says what it says once.

| variable | effect |
|---|---|
| `OODKIT_STORE` | folder of the store, where `--store` is not given |
| `OODKIT_NO_PLUGINS=1` | load nothing but the built-ins |
| `OODKIT_TOKEN` | what clients of `oodkit serve` must show, as `Authorization: Bearer TOKEN` |
| `COLUMNS` | width of tables in the place of the terminal's; without it nothing is folded where stdout is no terminal |
| `NO_COLOR` | no colour |
"""


def reference() -> str:
    """Give the text of `commands.md`: commands with their options, scorers, combiners, data, models and hooks."""
    os.environ["OODKIT_NO_PLUGINS"] = "1"
    from ood_toolkit.api.registry import get_registry

    registry = get_registry()
    parts = [INTRO, "## Commands", CODES, *_commands()]
    for kind in ("scorers", "combiners"):
        parts += [f"## {kind.capitalize()}", *(_component(about) for about in registry.about_components(kind))]
    parts += ["## Embedded data sets and models", _embedded(registry), "## Plugin hooks", _hooks()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def chooser() -> str:
    """Give the text of `which-score.md`, with the tables of the scorers that are registered and what was measured."""
    os.environ["OODKIT_NO_PLUGINS"] = "1"
    sys.path.append(str(ROOT / "docs" / "website"))
    from chooser import decision_tables
    from evidence import read_evidence

    tables = decision_tables(read_evidence())
    return TABLES.sub(lambda block: block.group(1) + tables + block.group(2), CHOOSER.read_text())


def _commands() -> list[str]:
    import click

    from ood_toolkit.cli import COMMANDS, cli

    context = click.Context(cli, info_name="oodkit")
    return [_command(["oodkit", name], cli.get_command(context, name)) for name in COMMANDS]


def _command(path: list[str], command: Any) -> str:
    import click

    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    text = [f"### `{' '.join(path)}`", f"`{usage}`", _paragraphs(command.help or "")]
    options = [option for option in command.params if isinstance(option, click.Option)]
    text += ["\n".join(["| option | meaning |", "|---|---|", *(_option(option, context) for option in options)])]
    if isinstance(command, click.Group):
        text += [_command([*path, name], part) for name, part in command.commands.items() if not part.hidden]
    return "\n\n".join(text)


def _option(option: Any, context: Any) -> str:
    names, said = option.get_help_record(context)
    return f"| `{_cell(names)}` | {_said(_cell(said))} |"


def _component(about: dict[str, Any]) -> str:
    facts = [f"Needs {', '.join(f'`{need}`' for need in about['needs'])}."] if about.get("needs") else []
    facts += [f"Group `{about['group']}`."] if about.get("group") else []
    given = [f"`{key}` = `{value}`" for key, value in about["parameters"].items()]
    facts += [f"Parameters: {', '.join(given)}."] if given else []
    return f"### `{about['name']}`\n\n{about['what']}\n\n{' '.join([*facts, about['source']])}"


def _embedded(registry: Any) -> str:
    lines = ["| name | what |", "|---|---|"]
    for kind in ("datasets", "models"):
        lines += [
            f"| `{name}` | {_cell(registry.get(kind, name).description)} Licence {registry.get(kind, name).licence}. |"
            for name in registry.names(kind)
        ]
    return "\n".join(lines)


def _hooks() -> str:
    from inspect import getdoc, signature

    from ood_toolkit.api import hookspecs

    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("register_")}
    rows = [
        f"| `{name}({', '.join(signature(hook).parameters)})` | {_cell(getdoc(hook))} |" for name, hook in hooks.items()
    ]
    return "\n".join(["| hook | what it returns or does |", "|---|---|", *rows])


def _paragraphs(text: str) -> str:
    return "\n\n".join(_said(" ".join(part.split())) for part in text.split("\n\n"))


def _said(text: str) -> str:
    """Write options in a sentence as code."""
    return OPTION.sub(lambda found: found[1] or f"`{found[0]}`", text)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def refresh(page: Path, vectors: Path | None, store: Path) -> None:
    """Run the marked commands of a page in order and put in what they print."""

    def fill(block: re.Match[str], folder: Path) -> str:
        before, kind, command, after = block.groups()
        if kind == "vectors" and vectors is None:
            return block.group(0)
        return before + _printed(command, folder, store) + after

    text = page.read_text()
    with tempfile.TemporaryDirectory() as empty:
        for file in sorted(vectors.iterdir()) if vectors else ():
            Path(empty, file.name).symlink_to(file)
        made = BLOCK.sub(lambda block: fill(block, Path(empty)), text)
    if made != text:
        page.write_text(made)
        print(f"refreshed {page.relative_to(ROOT)}", file=sys.stderr)


def _printed(command: str, folder: Path, store: Path) -> str:
    program, *arguments = shlex.split(command)
    if program != "oodkit":
        raise SystemExit(f"expected an oodkit command after the marker, got {command!r}")
    given = {"COLUMNS": "80", "OODKIT_STORE": str(store), "OODKIT_NO_PLUGINS": "1", "NO_COLOR": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "ood_toolkit", *arguments],
        cwd=folder, env=os.environ | given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode and (arguments[0], ran.returncode) != ("monitor", 3):
        raise SystemExit(f"{command}: exit code {ran.returncode}: {ran.stderr.strip()}")
    return "\n".join(line.rstrip() for line in ran.stdout.strip().splitlines()) + "\n"


def main() -> None:
    """Write the reference and refresh the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if commands.md is not fresh")
    parser.add_argument("--vectors", type=Path, metavar="FOLDER", help="where the .npz files of the quickstart lie")
    asked = parser.parse_args()
    if asked.check:
        for page, made in ((REFERENCE, reference()), (CHOOSER, chooser())):
            if not page.is_file() or page.read_text() != made:
                raise SystemExit(f"docs/{page.name} is not fresh; run python docs/generate.py")
        return
    REFERENCE.write_text(reference())
    vectors = asked.vectors.resolve() if asked.vectors else None
    with tempfile.TemporaryDirectory() as store:
        for page in PAGES:
            refresh(page, vectors, Path(store))
    CHOOSER.write_text(chooser())


if __name__ == "__main__":
    main()
