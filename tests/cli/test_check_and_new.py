import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import ood_toolkit
from ood_toolkit.cli import cli
from ood_toolkit.errors import OodkitError, PluginError, SpecError
from ood_toolkit.testing import CHECKS
from ood_toolkit.testing.named import kind_named
from ood_toolkit.testing.starter import write_scorer


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")


def run(*arguments):
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize("name", ["msp", "knn:k=5", "vote", "letters", "digits-clip"])
def test_what_comes_with_the_package_passes(name):
    done = run("check", name)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].endswith("0 left out, 0 failed")
    assert done.output.startswith("passed")


def test_it_is_told_as_json_and_what_is_absent_is_left_out(tmp_path):
    done = run("check", "cifar10", "--data-root", str(tmp_path), "--json")
    said = json.loads(done.output)
    assert (said["name"], said["passed"], said["failed"]) == ("cifar10", ["declaration"], {})
    assert "no train images below" in said["exempted"]["train-ids"]


def test_an_unknown_name_and_another_kind_are_named():
    assert kind_named("knn:k=5") == "scorers"
    with pytest.raises(SpecError, match="nothing is called 'mps'; did you mean 'msp'"):
        kind_named("mps")
    with pytest.raises(SpecError, match="nothing is called 'msp'"):
        kind_named("msp", "datasets")


PLUGIN = """
from dataclasses import dataclass
from ood_toolkit import Scorer, hookimpl

@dataclass
class Turned(Scorer):
    name = "turned"
    needs = frozenset({"logits"})

    def score(self, x):
        return -x.max_logit

@hookimpl
def register_scorers():
    return [Turned]
"""


def test_a_plugin_that_fails_exits_with_one(tmp_path):
    (tmp_path / "turned_plugin.py").write_text(PLUGIN)
    info = tmp_path / "oodkit_turned-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oodkit-turned\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ood_toolkit]\nturned = turned_plugin\n")
    done = oodkit("check", "turned", path=tmp_path)
    assert done.returncode == 1
    assert "FAILED   sign: expected AUROC" in done.stdout
    assert done.stdout.splitlines()[-1] == f"turned: {len(CHECKS) - 1} passed, 0 left out, 1 failed"


def oodkit(*arguments, path, module="ood_toolkit"):
    places = [str(path), str(Path(ood_toolkit.__file__).parents[1])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OODKIT_NO_PLUGINS": "0"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=env, cwd=path, capture_output=True, text=True, check=False)


CLUMSY = """
from dataclasses import dataclass
from ood_toolkit import Scorer, hookimpl

@dataclass
class Clumsy(Scorer):
    name = "clumsy"
    needs = frozenset({"logits"})

    def score(self, x):
        return x.map(self._score)

    def _score(self, x):
        return undefined * x.max_logit

@hookimpl
def register_scorers():
    return [Clumsy]
"""


def test_a_bug_in_a_plugin_is_located_and_told_once(tmp_path):
    (tmp_path / "clumsy_plugin.py").write_text(CLUMSY)
    info = tmp_path / "oodkit_clumsy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oodkit-clumsy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ood_toolkit]\nclumsy = clumsy_plugin\n")
    why = "NameError: name 'undefined' is not defined (clumsy_plugin.py:14)"
    done = oodkit("check", "clumsy", path=tmp_path)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) < 5
    assert re.fullmatch(rf"FAILED   \d\d checks failed for one reason: .*{re.escape(why)}", failed[0])
    assert all(line.endswith("(clumsy_plugin.py:14)") for line in failed)
    assert done.stderr == ""
    told = oodkit("--debug", "check", "clumsy", path=tmp_path)
    assert (told.returncode, told.stdout) == (1, done.stdout)
    assert told.stderr.count("Traceback") == 1
    assert "in _score" in told.stderr
    words = ("bench", "--scorers", "msp,clumsy", "--store", str(tmp_path / "store"))
    done = oodkit(*words, "--quiet", path=tmp_path)
    assert done.stderr == f"oodkit: clumsy failed: clumsy: {why}\n"
    told = oodkit("--debug", *words, "--quiet", path=tmp_path)
    assert told.stderr.count("Traceback") == 1
    assert told.stderr.endswith(done.stderr)


@pytest.mark.parametrize("name", ["gap", "logit-gap-2"])
def test_a_new_scorer_passes_its_test(name, tmp_path):
    done = run("new", "scorer", name, "--output", str(tmp_path))
    assert done.exit_code == 0, done.output
    folder = tmp_path / f"oodkit-{name}"
    module = "oodkit_" + name.replace("-", "_")
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == sorted(
        ["README.md", f"{module}.py", "pyproject.toml", f"tests/test_{module}.py"]
    )
    tested = oodkit("-q", "-p", "no:cacheprovider", path=folder, module="pytest")
    assert tested.returncode == 0, tested.stdout
    assert f"{3 + 2 * len(CHECKS)} passed" in tested.stdout


def test_a_new_scorer_is_found_checked_and_run_as_a_plugin(tmp_path):
    folder = write_scorer("my-score", tmp_path)
    info = folder / "oodkit_my_score-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oodkit-my-score\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[ood_toolkit]\nmy-score = oodkit_my_score\n")
    assert "http" not in (folder / "README.md").read_text()
    assert 'my-score = "oodkit_my_score"' in (folder / "pyproject.toml").read_text()
    done = oodkit("check", "my-score:others=2", path=folder)
    assert (done.returncode, done.stderr) == (0, "")
    done = oodkit("bench", "--scorers", "msp,my-score", "--store", str(tmp_path / "store"), path=folder)
    assert done.returncode == 0, done.stderr
    done = oodkit(
        "bench", "--scorers", "msp,my-score", "--store", str(tmp_path / "store"), "--format", "json", path=folder
    )
    rows = [row for row in json.loads(done.stdout)["rows"] if row["kind"] == "ood"]
    msp, mine = ([row["metrics"]["auroc"] for row in rows if row["scorer"] == name] for name in ("msp", "my-score"))
    assert len(msp) == len(mine) > 0
    assert all(one != other for one, other in zip(msp, mine, strict=True))


@pytest.mark.parametrize("name", ["My Score", "score_2", "-x", "2nd", "a/b", "", "a--b", "ä", "x" + "-"])
def test_a_name_that_is_no_slug_is_refused(name, tmp_path):
    with pytest.raises(PluginError, match="expected small letters, digits and hyphens"):
        write_scorer(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_or_a_folder_that_is_taken_is_refused(tmp_path):
    with pytest.raises(PluginError, match="'msp' is a scorer of 'built-in' already"):
        write_scorer("msp", tmp_path)
    kept = write_scorer("mine", tmp_path) / "oodkit_mine.py"
    kept.write_text("changed")
    with pytest.raises(OodkitError, match="oodkit-mine: is there already"):
        write_scorer("mine", tmp_path)
    assert kept.read_text() == "changed"
    done = run("new", "scorer", "mine", "--output", str(tmp_path))
    assert isinstance(done.exception, PluginError)
    assert run("new", "detector", "mine").exit_code == 2
