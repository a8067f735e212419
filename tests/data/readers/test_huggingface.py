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
