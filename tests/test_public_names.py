"""What the package offers, that it is explained, and that plugins and pages take nothing else."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import ood_toolkit

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[1]
OPEN = {"metrics", "testing", "errors", "sklearn"}
"""Folders and files of the package that anybody may import from."""
INTERNAL = {"benchmarks/encode.py", "benchmarks/gc_race.py", "benchmarks/imagenet_classifier.py",
            "benchmarks/memory.py", "benchmarks/pictures.py", "docs/generate.py"}  # fmt: skip
"""Scripts about inner parts, which import these: the encoder's speed, and the command line's own reference."""
SHOWN = ("Outputs", "Head", "Scorer", "Combiner", "Detector", "Monitor", "bench", "fit", "score")
NAMES = [name for name in ood_toolkit.__all__ if name not in OPEN and not name.startswith("__")]


def pages():
    files = [ROOT / "README.md", *ROOT.glob("docs/*"), *ROOT.glob("benchmarks/*.py")]
    files += [file for file in (ROOT / "plugins").rglob("*") if file.suffix in (".py", ".md")]
    return [
        file for file in files if file.suffix in (".py", ".md") and file.relative_to(ROOT).as_posix() not in INTERNAL
    ]


@pytest.mark.parametrize("file", pages(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_is_imported_from_deeper_than_the_root(file):
    found = re.findall(r"^\s*(?:from|import) ood_toolkit\.([\w.]+)", file.read_text(), re.MULTILINE)
    assert [name for name in found if name not in OPEN] == []


def test_the_scripts_about_inner_parts_are_there():
    assert {name for name in INTERNAL if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_explained(name):
    said = inspect.getdoc(getattr(ood_toolkit, name)) or ""
    assert len(said.split("\n")[0]) > 20


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_of_a_public_name_runs(name):
    found = doctest.DocTestFinder(recurse=False).find(getattr(ood_toolkit, name), name)
    assert sum(len(one.examples) for one in found) >= 2
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for one in found:
        runner.run(one)
    assert runner.summarize(verbose=False).failed == 0


def test_dir_shows_public_names_only():
    assert dir(ood_toolkit) == sorted(ood_toolkit.__all__)


def test_the_folders_that_were_public_still_are():
    from ood_toolkit import outputs
    from ood_toolkit.outputs import Bank, Head, Outputs

    assert (Bank, Head, Outputs) == (ood_toolkit.Bank, ood_toolkit.Head, ood_toolkit.Outputs)
    assert outputs.as_outputs([[1.0, 2.0]]).classes == 2
    assert ood_toolkit.metrics.auroc([1.0, 2.0], [0.0]) == 1.0
    assert ood_toolkit.errors.OodkitError is ood_toolkit.OodkitError
    assert ood_toolkit.testing.check_scorer


def test_a_misspelt_name_gets_a_hint():
    with pytest.raises(AttributeError, match="no attribute 'Ouputs'; did you mean 'Outputs'"):
        _ = ood_toolkit.Ouputs
    with pytest.raises(AttributeError, match=r"no attribute '_private'$"):
        _ = ood_toolkit._private
