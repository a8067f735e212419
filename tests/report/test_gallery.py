import json

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.report.gallery import Gallery, joined_galleries, read_gallery, write_gallery
from ood_toolkit.report.results import Row
from ood_toolkit.report.run_folder import read_run, write_run

pytestmark = pytest.mark.quick

PNG, JPEG = b"\x89PNG\r\n\x1a\n rest", b"\xff\xd8\xff rest"
HEADER = {"protocol": "native", "id": [{"name": "i", "images": 1}], "ood": {"o": 1}}


def test_a_gallery_is_read_as_it_was_written(tmp_path, hostile_names):
    pictures = {name: dict.fromkeys(hostile_names, PNG) for name in hostile_names} | {"../..": {"/etc": JPEG}}
    write_gallery(tmp_path / "gallery", Gallery(3, pictures))
    found = read_gallery(tmp_path / "gallery")
    assert (found.count, found.pictures) == (3, pictures)
    assert len(found) == len(hostile_names) ** 2 + 1
    assert {path.parent for path in tmp_path.rglob("*.*")} == {tmp_path / "gallery"}


def test_a_run_keeps_its_gallery(tmp_path):
    rows = [Row("ood", "s", "i", "o")]
    write_run(tmp_path / "with", HEADER, rows, {}, Gallery(2, {"i": {"a": PNG}}))
    assert read_run(tmp_path / "with").gallery.find(["i"], "a") == PNG
    write_run(tmp_path / "without", HEADER, rows, {})
    assert read_run(tmp_path / "without").gallery is None
    assert not (tmp_path / "without" / "gallery").exists()


def test_an_image_that_several_sets_may_mean_has_no_picture():
    gallery = Gallery(2, {"a": {"1": PNG, "2": PNG}, "b": {"1": JPEG}})
    assert gallery.find(["a", "b"], "1") is None
    assert gallery.find(["b"], "1") == JPEG
    assert gallery.find(["a", "b"], "2") == PNG
    assert gallery.find(["c"], "1") is None


def test_galleries_of_models_are_joined():
    whole = joined_galleries([Gallery(2, {"a": {"1": PNG}}), Gallery(2, {"a": {"2": JPEG}, "b": {}})])
    assert whole.pictures == {"a": {"1": PNG, "2": JPEG}, "b": {}}
    assert joined_galleries([]) is None


GOOD = {"format": 1, "count": 2, "pictures": [{"set": "i", "id": "a", "file": "0.png"}]}


@pytest.mark.parametrize(
    ("index", "content", "said"),
    [
        ("{", PNG, "expected JSON"),
        ([], PNG, "expected a gallery of format 1, got []"),
        (GOOD | {"format": 2}, PNG, "expected a gallery of format 1"),
        (GOOD | {"pictures": 3}, PNG, "expected a list under pictures"),
        (GOOD | {"count": -1}, PNG, "a number under count"),
        (GOOD | {"count": 1.5}, PNG, "a number under count"),
        (GOOD | {"pictures": [{"set": "i"}]}, PNG, "picture 0: expected an object with set, id and file"),
        (GOOD | {"pictures": [{"set": "i", "id": "a", "file": "../0.png"}]}, PNG, "expected a name such as 0.png"),
        (GOOD | {"pictures": [{"set": "i", "id": "a", "file": "1.png"}]}, PNG, "1.png: no such file"),
        (GOOD, b"<svg onload=alert(1)>", "0.png: expected a PNG or JPEG picture"),
        (GOOD, PNG + bytes(1 << 18), "0.png: expected a thumbnail"),
    ],
)
def test_a_gallery_that_is_none_is_one_line(index, content, said, tmp_path):
    (tmp_path / "index.json").write_text(index if isinstance(index, str) else json.dumps(index))
    (tmp_path / "0.png").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_gallery(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
