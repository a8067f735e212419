"""On a terminal no line of a help, listing, table or message is wider than it, and no name or figure is cut."""

import json
import re

import click
import numpy as np
import pytest

from ood_toolkit.cli import main
from ood_toolkit.cli.program import cli
from ood_toolkit.report.folding import width_of

WIDTHS = (80, 120)
LONG = "a-set-of-pictures-with-a-name-that-is-long-and-goes-on-and-on-until-nobody-reads-it-any-more-at-all"


@pytest.fixture(params=WIDTHS)
def terminal(request, monkeypatch, capsys):
    """Run the command line on a terminal; gives what it shows, and checks that no line is wider."""

    def run(*words, code=0):
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout.isatty", lambda: True, raising=False)
            patched.setattr("sys.stderr.isatty", lambda: True, raising=False)
            patched.setenv("COLUMNS", str(request.param))
            patched.setenv("NO_COLOR", "1")
            with pytest.raises(SystemExit) as stop:
                main([str(word) for word in words])
        assert (stop.value.code or 0) == code
        shown = "".join(capsys.readouterr())
        wide = [line for line in shown.replace("\r\x1b[2K", "\n").splitlines() if width_of(line) > request.param]
        assert wide == [], words
        return shown

    run.width = request.param
    return run


def commands(path=(), command=cli):
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command, info_name="oodkit")
        for name in command.list_commands(context):
            yield from commands((*path, name), command.get_command(context, name))


def squeezed(text):
    """Give a text without blanks, rules and the hyphens at which lines end."""
    return re.sub(r"[\s─]", "", text)


def test_help_of_every_command(terminal):
    paths = list(commands())
    assert {("bench",), ("store", "remove"), ("train", "cma"), ("datasets", "check")} <= set(paths)
    for path in paths:
        shown = terminal(*path, "--help")
        assert "Usage: oodkit" in shown
        assert "…" not in shown


@pytest.mark.parametrize("kind", ["scorers", "combiners", "datasets", "models", "plugins", "published"])
def test_listings_hold_every_name_whole(terminal, oodkit, kind):
    names = [row["name"] for row in json.loads(oodkit(kind, "--json").out)]
    shown = squeezed(terminal(kind))
    parts = [part for name in names for part in ([name] if squeezed(name) in shown else re.split("(?<=-)", name))]
    assert [part for part in parts if squeezed(part) not in shown] == []  # a name may go on below at a hyphen


def test_scorers_have_a_line_each(terminal, oodkit):
    rows = json.loads(oodkit("scorers", "--json").out)
    lines = {line.split()[0]: line for line in terminal("scorers").splitlines() if line.strip()}
    for row in rows:
        line = lines[row["name"]]
        assert ",".join(row["needs"]) in line
        assert re.search(r"\d{4}\.\d{5}|\d{4}$|seminar$", line.rstrip()), line
    table = terminal("scorers", "--group", "classical").splitlines()
    assert sum(line.startswith(" ") for line in table) == 2 + sum(row["group"] == "classical" for row in rows)


@pytest.mark.parametrize(
    "line",
    [
        "scorers show knn", "scorers show neglabel", "combiners show vote", "datasets show imagenet-1k",
        "datasets show digits", "published imagenet1k-mos", "published ust-etri", "store path", "bench --dry-run",
    ],
)  # fmt: skip
def test_what_is_said_of_one_thing(terminal, line):
    assert "…" not in terminal(*line.split())


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("bnch", 2, "did you mean 'bench'?"),
        ("bench --limit 3 --limit 4", 2, "--limit: expected once, got 2 times"),
        ("bench --scorers MSP", 1, "did you mean 'msp'?"),
        (f"bench --id {LONG} --ood letters", 1, f"oodkit import {LONG} FILE.npz"),
        (f"report {LONG}/{LONG}/{LONG}", 1, f"{LONG}/{LONG}"),
        (f"import x {LONG}.npz", 1, f"{LONG}.npz: no such file"),
        (f"score msp --id digits --model {LONG}", 1, LONG),
        ("bench --preset imagenet1k-mos --data-root .", 1, "ILSVRC2012_img_val.tar"),
        ("datasets check --preset imagenet1k-mos --data-root .", 1, "ILSVRC2012_img_val.tar"),
    ],
)
def test_messages_hold_every_name_whole(terminal, tmp_path, monkeypatch, line, code, part):
    monkeypatch.chdir(tmp_path)
    assert squeezed(part) in squeezed(terminal(*line.split(), code=code))


def test_tables_hold_every_name_and_figure_whole(terminal, oodkit, tmp_path):
    draw = np.random.default_rng(0)
    for name in ("toys", LONG, f"{LONG}-2"):
        np.savez(tmp_path / "arrays.npz", logits=draw.normal(size=(40, 3)), labels=np.arange(40) % 3)
        assert oodkit("import", name, tmp_path / "arrays.npz", "--model", "toy").code == 0
    words = ("bench", "--model", "toy", "--id", "toys", "--ood", f"{LONG},{LONG}-2", "--val-split", "0", "--output")
    few, many = tmp_path / "few", tmp_path / "many"
    assert oodkit(*words, few, "--scorers", "msp,energy", "--ci", "--ci-replicates", "9", "--paired").code == 0
    assert oodkit(*words, many, "--scorers", "classical").code == 0
    for run, scorers in ((few, ("msp", "energy")), (many, ("msp", "energy", "maxlogit", "entropy", "gen"))):
        shown = squeezed(terminal("report", run))
        rows = [row for row in json.loads((run / "result.json").read_text())["rows"] if row["kind"] == "ood"]
        assert squeezed(LONG) in shown
        for row in rows:
            if row["scorer"] in scorers:
                assert f"{100 * row['metrics']['auroc']:.2f}" in shown
    assert squeezed(LONG) in squeezed(terminal("compare", few, many))


def test_pipes_and_forms_for_programs_are_not_folded(terminal, oodkit, tmp_path, monkeypatch):
    np.savez(tmp_path / "arrays.npz", logits=np.random.default_rng(0).normal(size=(40, 3)))
    monkeypatch.delenv("COLUMNS")
    for name in ("toys", LONG):
        assert oodkit("import", name, tmp_path / "arrays.npz", "--model", "toy").code == 0
    line = ("bench", "--model", "toy", "--id", "toys", "--ood", LONG, "--val-split", "0", "--scorers", "msp")
    assert LONG in oodkit(*line).out
    for style in ("csv", "json", "markdown"):
        assert LONG in oodkit(*line, "--format", style).out
    refused = oodkit("bench", "--id", LONG, "--ood", f"{LONG}-2")
    assert max(map(len, refused.err.splitlines())) > max(WIDTHS)
