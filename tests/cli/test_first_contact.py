"""The first minutes: `oodkit` alone, `oodkit doctor`, and what is said after the first run."""

import json
import shlex
import sys
from importlib import metadata

import click
import numpy as np
import pytest

from ood_toolkit.api.plugins import Plugin
from ood_toolkit.benchmark import health
from ood_toolkit.benchmark.health import Finding, extras, needed
from ood_toolkit.cli import cli
from ood_toolkit.cli.next_steps import FIRST, NEXT

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("columns", ["80", "120"])
def test_oodkit_alone_says_in_five_lines_what_to_do(oodkit, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    done = oodkit()
    lines = done.out.splitlines()
    assert (done.code, done.err, len(lines)) == (0, "", 5)
    assert max(map(len, lines)) <= 80
    for line, command in zip(lines, FIRST, strict=True):
        assert line.startswith(f"{command}  ")


@pytest.mark.parametrize("line", [*FIRST, *(part for part in NEXT.split(" runs on")[0].split("next: ") if part)])
def test_what_is_shown_first_can_be_typed(line):
    _, name, *arguments = shlex.split(line)
    command = cli.get_command(click.Context(cli), name)
    assert command.make_context(name, arguments, click.Context(cli)).params


@pytest.fixture
def doctor(oodkit, monkeypatch, tmp_path):
    """Run the command with a store and a data root of its own; give the findings by name and the exit code."""
    monkeypatch.setenv("OODKIT_DATA", str(tmp_path / "pictures"))

    def run(*words):
        done = oodkit("doctor", "--json", *words)
        return {one["name"]: one for one in json.loads(done.out)}, done.code

    return run


def test_the_doctor_names_what_there_is(doctor, oodkit, tmp_path):
    found, code = doctor()
    assert code == 0
    assert found["torch"]["what"] == metadata.version("torch")
    assert found["devices"]["what"].startswith("cpu, ")
    assert found["store"]["what"] == f"{tmp_path / 'store'}: not there yet; the first run makes it"
    assert found["data root"]["what"].startswith(f"{tmp_path / 'pictures'}: not there")
    assert {"extra pandas", "extra plots"} <= set(found)
    assert "extra dev" not in found
    assert oodkit("encode", "letters", "--limit", "5").code == 0
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    found, _ = doctor()
    assert ": 5 encoded rows, " in found["store"]["what"]
    assert found["data root"]["what"] == f"{tmp_path / 'pictures'}: 1 folders"
    lines = oodkit("doctor").out.splitlines()
    assert len(lines) == len(found)
    assert all(line.startswith("  ") for line, one in zip(lines, found.values(), strict=True) if one["state"] == "ok")


@pytest.mark.parametrize("kind", ["file", "root"])
def test_a_place_that_cannot_be_used_is_wrong(doctor, oodkit, monkeypatch, tmp_path, kind):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("OODKIT_STORE" if kind == "file" else "OODKIT_DATA", str(tmp_path / "taken"))
    found, code = doctor()
    assert code == 1
    name = "store" if kind == "file" else "data root"
    assert (found[name]["state"], "is no folder" in found[name]["what"]) == ("wrong", True)
    assert found[name]["do"].startswith("name another with OODKIT_")
    assert any(line.startswith(f"! {name}") for line in oodkit("doctor").out.splitlines())


def test_a_plugin_that_is_out_of_service_is_wrong(doctor, monkeypatch):
    from ood_toolkit.api.registry import get_registry

    broken = Plugin("bad", "1.0", None, error="ImportError: no module named x")
    monkeypatch.setattr(get_registry(), "plugins", [broken])
    found, code = doctor()
    assert code == 1
    assert found["plugin bad"] == {
        "name": "plugin bad", "what": "ImportError: no module named x", "state": "wrong", "do": "update or uninstall it"
    }  # fmt: skip


def test_extras_and_needed_packages_are_compared_with_what_is_here(monkeypatch):
    here = {"numpy": "1.25.9", "torch": "2.10.0+cpu", "ood-toolkit": "0.1.0", "pandas": "3.0"}

    def version(name):
        if name not in here:
            raise metadata.PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(health, "version", version)
    asked = ["numpy>=1.26", "torch>=2.2", "scipy>=1.11", "open_clip_torch<4,>=3"]
    asked += ['pandas>=2; extra == "pandas"', 'ray[data]<2.64,>=2.40; extra == "ray"', 'ruff>=0.14; extra == "dev"']
    found = {one.name: one for one in needed(asked)}
    assert found["torch"] == Finding("torch", "2.10.0+cpu")
    assert found["numpy"] == Finding("numpy", "1.25.9 is older than >=1.26", "wrong", "pip install 'numpy>=1.26'")
    assert found["scipy"] == Finding("scipy", "is not installed", "wrong", "pip install 'scipy>=1.11'")
    assert found["open_clip_torch"].do == "pip install 'open_clip_torch>=3,<4'"
    assert list(extras(asked)) == [
        Finding("extra pandas", "pandas 3.0"),
        Finding("extra ray", "ray missing or too old", "missing", "pip install 'ood-toolkit[ray]'"),
    ]


@pytest.mark.parametrize(
    ("seen", "words", "told"),
    [(True, (), True), (False, (), False), (True, ("--id", "digits", "--ood", "letters"), False)],
)
def test_the_first_run_says_what_to_try_next_on_a_terminal(oodkit, monkeypatch, tmp_path, seen, words, told):
    monkeypatch.setenv("OODKIT_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: seen, raising=False)
    done = oodkit("bench", "--scorers", "msp", "--limit", "20", *words)
    assert done.code == 0
    assert (NEXT in done.err) == told
    assert NEXT not in done.out


def test_who_has_imported_something_is_told_nothing(oodkit, monkeypatch, tmp_path):
    monkeypatch.setenv("OODKIT_DATA", str(tmp_path / "none"))
    np.savez(tmp_path / "a.npz", scores=np.arange(3.0))
    assert oodkit("import", "a", tmp_path / "a.npz", "--scores", "--model", "toy").code == 0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "next:" not in oodkit("bench", "--scorers", "msp", "--limit", "20").err
