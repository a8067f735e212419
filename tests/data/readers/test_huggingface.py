import io
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from PIL import Image

from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.errors import DataError


@dataclass
class ImageFeature:
    decode: bool = True


@dataclass
class ClassLabel:
    names: list[str] = field(default_factory=list)


class Table:
    """As much of `datasets.Dataset` as is used."""

    def __init__(self, features, columns):
        self.features, self.columns = features, columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {name: held[key] for name, held in self.columns.items()}

    def select_columns(self, names):
        return Table({n: self.features[n] for n in names}, {n: self.columns[n] for n in names})

    @property
    def data(self):
        return SimpleNamespace(table=SimpleNamespace(select=lambda names: SimpleNamespace(validate=lambda full: None)))

    def cast_column(self, name, feature):
        assert not feature.decode
        return self


def fake(tables, fails=None):
    def load(name):
        if fails:
            raise fails
        return tables

    return SimpleNamespace(Image=ImageFeature, ClassLabel=ClassLabel, load_dataset=load, load_from_disk=load)


def png(shade):
    held = io.BytesIO()
    Image.new("L", (2, 2), shade).save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def table(tmp_path):
    (tmp_path / "2.png").write_bytes(png(2))
    stored = [{"bytes": png(1), "path": None}, {"bytes": None, "path": str(tmp_path / "2.png")}]
    features = {"img": ImageFeature(), "label": ClassLabel(["red_fox", "owl"])}
    return Table(features, {"img": stored, "label": [1, 0]})


def test_splits_images_and_names(monkeypatch, table, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", fake({"test": table, "validation": table, "extra": table}))
    made = free_dataset("hf:someone/animals")
    assert (made.classes, dict(made.counts)) == (("red fox", "owl"), {"val": 2, "test": 2})
    found = made.open("test", tmp_path)
    assert (found.ids, found.labels.tolist()) == (("test/0000000", "test/0000001"), [1, 0])
    assert [image.getpixel((0, 0))[0] for image in found.images] == [1, 2]


def test_a_folder_of_save_to_disk(monkeypatch, table, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", fake(table))
    assert list(free_dataset(f"hf:{tmp_path}").counts) == ["test"]


def test_what_is_missing_is_said(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'ood-toolkit\[hf\]'"):
        free_dataset("hf:someone/animals")
    monkeypatch.setitem(sys.modules, "datasets", fake({}, ConnectionError("offline")))
    with pytest.raises(DataError, match="cannot give it: ConnectionError: offline"):
        free_dataset("hf:someone/animals")
    monkeypatch.setitem(sys.modules, "datasets", fake({"extra": table}))
    with pytest.raises(DataError, match="expected a split"):
        free_dataset("hf:someone/animals")
    del table.features["img"]
    monkeypatch.setitem(sys.modules, "datasets", fake({"test": table}))
    with pytest.raises(DataError, match="expected a column of images"):
        free_dataset("hf:someone/animals")


def opened(monkeypatch, features, columns, split="test"):
    monkeypatch.setitem(sys.modules, "datasets", fake({split: Table(features, columns)}))
    made = free_dataset("hf:someone/animals")
    return made, made.open("test", None)


ROWS = [{"bytes": png(shade), "path": None} for shade in range(3)]
ANIMALS = ClassLabel(["cat", "dog"])


@pytest.mark.parametrize("empty", [None, {"bytes": None, "path": None}])
def test_a_row_without_a_picture_is_one_that_cannot_be_read(monkeypatch, empty):
    _, found = opened(
        monkeypatch, {"image": ImageFeature(), "label": ANIMALS}, {"image": [ROWS[0], empty], "label": [0, 1]}
    )
    assert found.items[0].read() == png(0)
    with pytest.raises(DataError, match=r"^the row holds no picture$"):
        found.items[1].read()


@pytest.mark.parametrize("place", [0, 1, 3])
def test_rows_without_a_picture_leave_the_others_where_they_are(monkeypatch, place):
    rows = [*ROWS[:place], None, *ROWS[place:]]
    features = {"image": ImageFeature(), "label": ANIMALS}
    _, found = opened(monkeypatch, features, {"image": rows, "label": [0, 1, 0, 1]})
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert [i for i, item in enumerate(found.items) if not isinstance(_read(item), bytes)] == [place]
    assert [_read(item) for i, item in enumerate(found.items) if i != place] == [row["bytes"] for row in ROWS]


def _read(item):
    try:
        return item.read()
    except DataError as error:
        return error


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, None, 1], [0, -1, 1]), ([None, None, 0], [-1, -1, 0]), ([1, 1, None], [1, 1, -1]), ([None] * 3, [-1] * 3)],
)
def test_a_row_without_a_label_is_of_no_class(monkeypatch, labels, expected):
    _, found = opened(monkeypatch, {"image": ImageFeature(), "label": ANIMALS}, {"image": ROWS, "label": labels})
    assert found.labels.tolist() == expected
    (note,) = found.notes
    count = labels.count(None)
    assert note.startswith(f"{count} {'row has' if count == 1 else 'rows have'} no label and label -1, such as row")


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        (("coarse_label", "fine_label"), "coarse_label"),
        (("kind", "label"), "label"),
        (("a", "labels", "label"), "label"),
        (("labels", "a"), "labels"),
        (("b", "a"), "b"),
    ],
)
def test_of_several_columns_the_one_that_is_taken_is_said(monkeypatch, columns, taken):
    features = {"image": ImageFeature()} | {name: ClassLabel([f"{name} 0", f"{name} 1"]) for name in columns}
    made, found = opened(monkeypatch, features, {"image": ROWS} | {name: [0, 1, 0] for name in columns})
    assert made.classes == tuple(f"{taken} {i}".replace("_", " ") for i in range(2))
    (note,) = found.notes
    assert f"labels are of its column {taken}; it also has" in note
    assert all(name in note for name in columns)


def test_a_column_called_image_comes_before_a_mask(monkeypatch):
    masks = [{"bytes": png(200), "path": None}] * 3
    features = {"mask": ImageFeature(), "image": ImageFeature(), "label": ANIMALS}
    _, found = opened(monkeypatch, features, {"mask": masks, "image": ROWS, "label": [0, 1, 0]})
    assert found.items[2].read() == png(2)
    assert found.notes == ("images are of its column image; it also has mask: rename the one you want to image",)


@pytest.mark.parametrize(
    ("column", "kind", "values", "word"),
    [
        ("label", "int64", [0, 1, 0], "its column label holds int64 and no names of classes"),
        ("label", "string", ["cat", "dog", "cat"], "its column label holds string"),
        ("target_class", "int8", [0, 1, 0], "its column target_class holds int8"),
        ("caption", "string", ["a", "b", "c"], r"none of its columns \(image, caption\) is of class labels"),
    ],
)
def test_labels_without_names_are_left_out_and_said(monkeypatch, column, kind, values, word):
    import re

    features = {"image": ImageFeature(), column: SimpleNamespace(dtype=kind)}
    made, found = opened(monkeypatch, features, {"image": ROWS, column: values})
    assert (made.classes, found.labels) == ((), None)
    assert re.match(word, found.unlabelled)
    assert found.notes == (f"labels left out: {found.unlabelled}",)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("extra",), "extra (2 rows)"),
        (("unsupervised", "test2"), "unsupervised (2 rows), test2 (2 rows)"),
        (("all", "train_small", "a b"), "all (2 rows), train_small (2 rows), a b (2 rows)"),
    ],
)
def test_every_split_that_is_left_out_is_named(monkeypatch, table, others, said):
    monkeypatch.setitem(sys.modules, "datasets", fake({"test": table} | dict.fromkeys(others, table)))
    made = free_dataset("hf:someone/animals")
    (note,) = made.open("test", None).notes
    assert (list(made.counts), note.partition(": ")[2]) == (["test"], said)


def test_splits_that_are_left_out_are_said(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "datasets", fake({"test": table, "dev": table, "extra": table, "test_b": table}))
    made = free_dataset("hf:someone/animals")
    assert list(made.counts) == ["val", "test"]
    (note,) = made.open("test", None).notes
    assert note == "left out, as they are no train, validation or test: extra (2 rows), test_b (2 rows)"


def saved(folder):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [{"bytes": png(shade), "path": None} for shade in (1, 2)], "label": [0, 1]}
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(folder)
    (arrow,) = folder.glob("*.arrow")
    return arrow


def test_offsets_that_lead_out_of_the_file_are_refused_before_a_row_is_read(tmp_path):
    arrow = saved(tmp_path / "set")
    size = len(png(1)).to_bytes(4, "little")
    content = arrow.read_bytes()
    assert size in content
    arrow.write_bytes(content.replace(size, (1 << 30).to_bytes(4, "little")))  # where the first picture ends
    made = free_dataset(f"hf:{tmp_path / 'set'}")
    with pytest.raises(DataError, match=r"^hf:.*expected a data set of datasets, got a damaged one"):
        made.open("test", None)


@pytest.mark.parametrize(
    ("file", "content"),
    [("dataset_info.json", b'{"features": []}'), ("dataset_info.json", b"[[[["), ("dataset_info.json", b"\xff"),
     ("state.json", b"[]"), ("state.json", b'{"_data_files": 3}'), ("state.json", b"{}")],
)  # fmt: skip
def test_a_damaged_folder_is_one_line_of_ours(tmp_path, file, content):
    saved(tmp_path / "set")
    (tmp_path / "set" / file).write_bytes(content)
    with pytest.raises(DataError, match=r"^hf:\S+: \S.*[^.]$") as found:
        free_dataset(f"hf:{tmp_path / 'set'}").open("test", None)
    assert "Error" not in str(found.value)
