"""Image-caption pairs: from tables, from shards, of labelled sets; and what is refused."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.data.readers.captions import labelled_pairs, read_pairs
from ood_toolkit.errors import DataError


def png(shade):
    held = io.BytesIO()
    Image.new("L", (2, 2), shade).save(held, "PNG")
    return held.getvalue()


def shade(item):
    return item.decode(item.read()).convert("L").getpixel((0, 0))


@pytest.fixture
def table(tmp_path):
    (tmp_path / "in").mkdir()
    for place in range(3):
        (tmp_path / "in" / f"{place}.png").write_bytes(png(10 * place))

    def write(text, name="pairs.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def shard(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'filepath,title\nin/0.png,"a ring, black"\nin/2.png,ein Würfel\n'),
        ("a.tsv", "id\tcaption\timage\n1\ta ring, black\tin/0.png\n2\tein Würfel\tin/2.png\n"),
        ("marked.csv", '\ufefffilepath,title\nin/0.png,"a ring, black"\nin/2.png,ein Würfel\n'),
        ("b.csv", "text\tpath\na ring, black\tin/0.png\nein Würfel\tin/2.png\n"),
    ],
)
def test_a_table_of_paths_and_captions(table, name, text):
    pairs = read_pairs(table(text, name))
    assert pairs.subjects == ("a ring, black", "ein Würfel")
    assert pairs.ids == ("2/in/0.png", "3/in/2.png")
    assert [shade(item) for item in pairs.items] == [0, 20]
    assert (len(pairs), pairs.caption(1)) == (2, "ein Würfel")


def test_a_known_column_goes_before_another(table):
    pairs = read_pairs(table("title,caption,file,filepath\nno,yes,in/1.png,in/2.png\n"))
    assert (pairs.subjects, shade(pairs.items[0])) == (("yes",), 20)


def test_a_path_may_be_absolute(table, tmp_path):
    assert len(read_pairs(table(f"image,text\n{tmp_path / 'in' / '1.png'},x\n"))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\nin/0.png,1\n", "expected a column caption or title or text in .*, got image, label"),
        ("caption\nx\n", "expected a column filepath or image or image_path or path or file in .*, got caption"),
        ("", "expected a column .*, got none"),
        ("image,text\n", "expected rows below the header of .*, got none"),
        ("image,text\nin/0.png,x\nin/9.png,y\n", r"line 3: no such picture: .*in/9.png"),
        ("image,text\nin/0.png,\n", r"line 2: expected a picture's path and a caption, got \('in/0.png', ''\)"),
        ("image,text\nin/0.png\n", r"line 2: expected .*, got \('in/0.png', None\)"),
    ],
)
def test_tables_that_are_refused(table, text, message):
    with pytest.raises(DataError, match=rf"^pairs: [^\n]*{message}"):
        read_pairs(table(text))


def test_files_that_are_no_pairs(table, tmp_path):
    with pytest.raises(DataError, match=r"pairs: no such file: .*none\.csv"):
        read_pairs(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"expected a .csv or .tsv file, or a folder, glob or file of .tar shards, got"):
        read_pairs(str(tmp_path / "in"))
    (tmp_path / "latin.csv").write_bytes("image,text\nin/0.png,Käse\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"expected .*latin\.csv to be a table in UTF-8"):
        read_pairs(str(tmp_path / "latin.csv"))


def test_shards_with_a_text_beside_each_picture(tmp_path):
    shard(tmp_path / "w" / "0.tar", {"a.png": png(1), "a.txt": b"one\n", "b.txt": b"two", "b.png": png(2)})
    shard(tmp_path / "w" / "10.tar", {"c.png": png(4), "c.txt": b"four"})
    shard(tmp_path / "w" / "2.tar", {"c.png": png(3), "c.txt": "drei \u00e9".encode()})
    pairs = read_pairs(str(tmp_path / "w"))
    assert pairs.subjects == ("one", "two", "drei é", "four")  # shards by number
    assert pairs.ids == ("0/a", "0/b", "2/c", "10/c")
    assert [shade(item) for item in pairs.items] == [1, 2, 3, 4]


def test_of_shards_by_split_those_for_training_are_taken(tmp_path):
    shard(tmp_path / "w" / "train" / "0.tar", {"a.png": png(1), "a.txt": b"one"})
    shard(tmp_path / "w" / "test" / "0.tar", {"b.png": png(2), "b.txt": b"two"})
    assert read_pairs(str(tmp_path / "w")).subjects == ("one",)
    (tmp_path / "w" / "train" / "0.tar").unlink()
    with pytest.raises(DataError, match=r"pairs: expected .*w to hold train/\*\.tar or \*\.tar, got test alone"):
        read_pairs(str(tmp_path / "w"))
    assert read_pairs(str(tmp_path / "w" / "test" / "*.tar")).subjects == ("two",)  # as one says it


def test_shards_without_texts_or_pictures(tmp_path):
    shard(tmp_path / "a.tar", {"a.png": png(1), "a.txt": b"one", "b.png": png(2)})
    with pytest.raises(DataError, match=r"pairs: a.tar: expected b.txt with the caption of b, found none"):
        read_pairs(str(tmp_path / "a.tar"))
    shard(tmp_path / "b.tar", {"a.txt": b"one"})
    with pytest.raises(DataError, match=r"pairs: expected pictures in .*b\.tar, found none"):
        read_pairs(str(tmp_path / "b.tar"))


def test_pairs_of_a_labelled_set_are_its_classes_under_templates():
    items = pixels([Image.new("L", (1, 1), place) for place in range(4)])
    held = Pictures(items, tuple("abcd"), np.array([1, -1, 0, 1]), ("ant", "{bee}"))
    pairs = labelled_pairs(held, ("a {}", "no {}!"))
    assert pairs.ids == ("a", "c", "d")
    assert pairs.subjects == ("{bee}", "ant", "{bee}")
    assert [shade(item) for item in pairs.items] == [0, 2, 3]
    assert [pairs.caption(1, 0), pairs.caption(1, 1), pairs.caption(0)] == ["a ant", "no ant!", "a {bee}"]
    for classes, labels in ((("ant",), None), ((), np.zeros(4, int))):
        with pytest.raises(DataError, match="captions: expected images with class names"):
            labelled_pairs(Pictures(items, tuple("abcd"), labels, classes), ("{}",))
