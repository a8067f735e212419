"""One place under two names is said once, whatever the names are and wherever they stand."""

import pytest
from PIL import Image

from ood_toolkit.benchmark.sets_header import _one_place
from ood_toolkit.benchmark.settings import Settings

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("folder:a", "folder:./a"),
        ("folder:a", "folder:a/"),
        ("folder:a", "folder:b/../a"),
        ("folder:a", "folder:link"),
        ("imglist:l.txt@a", "imglist:./l.txt@./a"),
    ],
)
@pytest.mark.parametrize("where", ["groups", "csid", "tune"])
def test_two_names_of_one_place_are_one_note(tmp_path, monkeypatch, one, other, where):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    notes = _one_place(Settings(ids=(one,), **{where: {"": (other,)} if where == "groups" else (other,)}))
    assert notes == [f"{one} and {other} are one place: its images are counted under both names"]


@pytest.mark.parametrize("other", ["folder:b", "npz:a", "digits", "folder:a/deep"])
def test_other_places_are_none(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    assert _one_place(Settings(ids=("folder:a",), groups={"": (other, "folder:c")})) == []


def test_a_run_says_it_in_its_header(oodkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("cat", "dog"):
        (tmp_path / "a" / kind).mkdir(parents=True)
        for shade in range(3):
            Image.new("L", (8, 8), 40 * shade + len(kind)).save(tmp_path / "a" / kind / f"{kind}{shade}.png")
    line = "bench --id folder:a --ood folder:./a --model digits-clip --scorers msp --val-split 0"
    assert "folder:a and folder:./a are one place" in " ".join(oodkit(line).out.split())
