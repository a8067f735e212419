import collections
import json
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.store.foreign.pickles import read_pickle
from ood_toolkit.store.foreign.tensors import read_header, read_tensors

pytestmark = pytest.mark.quick


class Runs:
    def __reduce__(self):
        return os.mkdir, ("made",)


@pytest.fixture
def refused(tmp_path, monkeypatch):
    def check(message, file=None):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ModelError, match=message) as caught:
            read_pickle(file or tmp_path / "a.pt")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "made").exists()

    return check


def test_tensors_and_what_is_around_them_are_read(tmp_path):
    held = {"w": torch.ones(2), "more": [1, "a", (2.5, None)], "order": collections.OrderedDict(a=torch.zeros(1))}
    for new in (True, False):
        torch.save(held, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        found = read_pickle(tmp_path / "a.pt")
        assert found["w"].tolist() == [1.0, 1.0]
        assert found["more"] == held["more"]


def test_nothing_in_a_file_is_run(tmp_path, refused):
    for new in (True, False):
        torch.save({"w": Runs()}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        refused("nothing in a file is run")


def test_folders_pipes_and_other_files_are_refused(tmp_path, refused):
    refused("no such file")
    (tmp_path / "a.pt").mkdir()
    refused("it is a folder, not a file")
    (tmp_path / "a.pt").rmdir()
    os.mkfifo(tmp_path / "a.pt")
    refused("it is a pipe or device, not a file")
    (tmp_path / "a.pt").unlink()
    for content in (b"", b"\x80", b"PK\x03\x04", b"\x80\x02.", b"garbage\n" * 9):
        (tmp_path / "a.pt").write_bytes(content)
        refused("a.pt")
    with tarfile.open(tmp_path / "a.pt", "w"):
        pass
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "a.pt", "w") as archive:
        archive.add(tmp_path / "x", "storages")
    refused("got a tar file")


def test_tensors_that_are_larger_than_what_is_stored_of_them_are_refused(tmp_path, refused):
    torch.save({"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "a.pt")
    refused("of which 4 bytes are stored")
    torch.save({"w": torch.zeros(1 << 40, 0)}, tmp_path / "a.pt")
    refused("without a number")
    torch.save({"w": torch.eye(3).to_sparse()}, tmp_path / "a.pt")
    refused("a tensor of layout")
    torch.save({"w": torch.empty(3, device="meta")}, tmp_path / "a.pt")
    refused("a.pt")
    torch.save({"w": torch.arange(8).expand(1, 8)}, tmp_path / "a.pt")
    assert read_pickle(tmp_path / "a.pt")["w"].shape == (1, 8)


def test_an_archive_does_not_unpack_beyond_bounds(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02.")
        archive.writestr("a/data/0", bytes(300 << 20))
    refused("over the limit of 268,435,456")


def test_a_header_holds_one_small_object(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"w": torch.ones(2)}, file, {"key": json.dumps({"a": 1})})
    assert read_header(file, "key")[0] == {"a": 1}
    assert read_header(file, "key")[1]["w"].tolist() == [1.0, 1.0]
    for text, message in (("[1]", r"metadata \[1\]"), ("[" * 5000, "nested"), ("{", "expected JSON")):
        save_file({"w": torch.ones(2)}, file, {"key": text})
        with pytest.raises(DataError, match=message):
            read_header(file, "key")
    with pytest.raises(DataError, match="got other metadata"):
        read_header(file, "other")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}" + b" " * 20 + b"x",
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}',
        b'{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[1099511627776,0],"data_offsets":[0,0]}}',
        b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    ],
)
def test_damaged_safetensors_are_one_line(tmp_path, header):
    file = tmp_path / "a.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ModelError, match=r"a\.safetensors: expected a safetensors file, got") as caught:
        read_tensors(file, ModelError)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_called_by_its_name(tmp_path):
    file = tmp_path / "a"

    def said():
        with pytest.raises(DataError, match=r"expected a safetensors file, got") as caught:
            read_tensors(file)
        return str(caught.value).partition("got ")[2]

    np.savez(tmp_path / "a.npz", x=np.ones(3))
    (tmp_path / "a.npz").rename(file)
    assert said() == "an .npz archive"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("notes.txt", "x")
    assert said() == "a zip archive"
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").rename(file)
    assert said() == "an .npy array"
    for content, name in (
        (b"PAR1" * 9, "a Parquet file"), (b"\x89PNG\r\n\x1a\n" * 9, "a picture"), (b"", "a file of another kind"),
        (b"a letter to somebody, long enough", "a file of another kind"),
    ):  # fmt: skip
        file.write_bytes(content)
        assert said() == name
    save_file({"w": torch.ones(20)}, file)
    file.write_bytes(file.read_bytes()[:-5])
    assert said() == "a damaged one: it was cut short or changed; get it again"
