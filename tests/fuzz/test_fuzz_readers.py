"""Every reader of foreign files on damaged ones: only our own errors, in one line, and nothing written outside.

`make fuzz` does the same for as long as asked, and counts time and memory.
"""

import re
import warnings
from pathlib import Path

import pytest
from fuzz_further import ALL
from fuzz_mutation import INSIDE, mutated
from fuzz_targets import CORPUS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ood_toolkit
from ood_toolkit.errors import OodkitError

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
SLOW = ("built model", "digits-clip", "imagenet kit")
"""The first two build a network for each file that passes their checks, the last begins a process for each."""


def listed(folder: Path) -> set[str]:
    return {path.as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_the_sound_files_are_read(target, tmp_path):
    assert target.files
    for number, seed in enumerate(target.files):
        place = tmp_path / str(number)
        place.mkdir()
        file = place / seed.name
        file.write_bytes(seed.read_bytes())
        target.read(file)


@pytest.mark.parametrize("target", [t for t in ALL if t.name not in SLOW], ids=lambda target: target.name)
def test_damaged_files_give_errors_of_ours_alone(target, tmp_path_factory):
    seeds = [(file.name, file.read_bytes()) for file in target.files]
    others = [content for _, content in seeds]
    outside = tmp_path_factory.mktemp("outside")
    before = listed(CORPUS)

    @QUICK
    @given(st.sampled_from(seeds), st.randoms(use_true_random=False))
    def check(seed, draw):
        place = tmp_path_factory.mktemp("case")
        file = place / seed[0]
        file.write_bytes(mutated(seed[1], target.kind, draw, others))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.read(file)
        except OodkitError as error:
            said = str(error)
            assert said.strip()
            assert "\n" not in said
            assert len(said) < 4000

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(outside)
        check()
    assert listed(outside) == set()
    assert listed(CORPUS) == before


def test_every_kind_of_file_has_a_mutation_of_its_inside():
    assert {target.kind for target in ALL} <= {*INSIDE, "bytes"}


def test_whatever_opens_foreign_files_does_it_through_the_guarded_readers():
    """Reading elsewhere is allowed where the file is our own, is hashed first, or comes with a package."""
    direct = re.compile(
        r"np\.load\(|safe_open\(|load_file\(|torch\.load\(|zipfile\.ZipFile\(|gzip\.|tarfile\.open\(|"
        r"\.read_text\(|\.read_bytes\(|json\.load\(|pickle\.load"
    )
    root = Path(ood_toolkit.__file__).parent
    found = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if direct.search(file.read_text()) and "store/" not in file.relative_to(root).as_posix()
    }
    assert found <= {
        "api/picture.py",  # named `read_bytes`, of the guarded kind
        "data/catalogue/imagenet.py",  # timm's lists, checked by their hash
        "data/readers/webdataset.py",  # its tar reader is guarded there
        "data/words.py",  # the shipped list
        "data/wordnet.py",  # makes the shipped list
        "encode/ray/pipeline.py",  # messages within a Ray cluster
        "encode/ray/worker.py",
        "learning/clipn/run.py",  # the checkpoint that it wrote a moment ago
        "learning/seminar/figures.py",  # the shipped table
        "models/pretrained.py",  # open_clip's own files
        "models/timm_models.py",  # timm's
        "models/torchvision_models.py",  # torchvision's
        "report/html/page.py",  # what the page is made of, shipped
    }
