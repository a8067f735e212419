import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.readers.webdataset import shards_of
from ood_toolkit.errors import DataError


def encoded(shade, kind="PNG"):
    held = io.BytesIO()
    Image.new("RGB", (3, 2), (shade, 0, 0)).save(held, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return held.getvalue()


def write(path, files, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def benchmark(tmp_path):
    """Shards as CLIP_benchmark writes them."""
    folder = tmp_path / "wds_pets"
    for shard in range(11):
        write(
            folder / "test" / f"{shard}.tar",
            {f"s{shard:07d}.cls": str(shard % 2), f"s{shard:07d}.webp": encoded(10 * shard, "WEBP")},
        )
    (folder / "test" / "nshards.txt").write_text("11\n")
    (folder / "classnames.txt").write_text("cat\ndog\n")
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\na {c}\n")
    return folder


def test_shards_of_clip_benchmark_bring_names_and_templates(benchmark, tmp_path):
    made = free_dataset(f"webdataset:{benchmark}")
    assert (made.classes, made.templates) == (("cat", "dog"), ("a photo of a {}.", "a {}"))
    assert list(made.counts) == ["test"]
    found = made.open("test", tmp_path)
    assert found.ids[:3] == ("0/s0000000", "1/s0000001", "2/s0000002")
    assert found.ids[-1] == "10/s0000010"
    assert found.labels.tolist() == [shard % 2 for shard in range(11)]
    assert [image.getpixel((0, 0))[0] for image in found.images] == [10 * shard for shard in range(11)]
    assert found.items[3].read() == encoded(30, "WEBP")


def test_names_may_lie_inside_a_shard_and_keys_in_folders(tmp_path):
    write(
        tmp_path / "all.tar",
        {
            "classnames.txt": "owl\nlark\n",
            "./birds/7.small.jpg": encoded(0, "JPEG"),
            "birds/7.cls": "1\n",
            "birds/7.json": "{}",
            ".hidden.png": "x",
        },
    )
    found = free_dataset(f"webdataset:{tmp_path / 'all.tar'}").open("test", tmp_path)
    assert (found.ids, found.classes) == (("all/birds/7",), ("owl", "lark"))
    assert found.labels.tolist() == [1]
    assert found.labels.dtype == np.int64


def test_a_glob_a_folder_of_shards_and_splits(tmp_path, benchmark):
    write(tmp_path / "x" / "a.tar", {"1.png": encoded(1)})
    assert shards_of(str(tmp_path / "x" / "*.tar")) == shards_of(str(tmp_path / "x"))
    write(benchmark / "train" / "0.tar", {"1.png": encoded(1), "1.cls": "0"})
    assert list(shards_of(str(benchmark))) == ["train", "test"]
    found = free_dataset(f"webdataset:{tmp_path / 'x'}").open("test", tmp_path)
    assert (found.labels, found.notes) == (None, ("labels left out: a/1 has no .cls",))


def test_a_label_without_a_name_is_refused(benchmark, tmp_path):
    (benchmark / "classnames.txt").write_text("cat\n")
    with pytest.raises(DataError, match="label 1, but 1 class names"):
        free_dataset(f"webdataset:{benchmark}").open("test", tmp_path)


def test_files_that_are_no_shards_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"no \.tar files"):
        free_dataset(f"webdataset:{tmp_path}")
    write(tmp_path / "zipped.tar", {"1.png": encoded(1)}, "w:gz")
    with pytest.raises(DataError, match="not a readable, uncompressed tar file"):
        free_dataset(f"webdataset:{tmp_path / 'zipped.tar'}")
    write(tmp_path / "empty" / "a.tar", {"1.txt": "x", "classnames.txt": "a", "2.cls": "0"})
    with pytest.raises(DataError, match="expected samples"):
        free_dataset(f"webdataset:{tmp_path / 'empty'}").open("test", tmp_path)
    write(tmp_path / "bad" / "a.tar", {"1.png": encoded(1), "1.cls": "cat"})
    found = free_dataset(f"webdataset:{tmp_path / 'bad'}").open("test", tmp_path)
    assert (found.labels, found.unlabelled) == (None, "a: 1.cls holds 'cat', expected a label from -1")


def test_a_link_inside_a_shard_is_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(5))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        tar.addfile(link)
    with pytest.raises(DataError, match="expected samples"):
        free_dataset(f"webdataset:{tmp_path / 'a.tar'}").open("test", tmp_path)


def members(folder, *pairs):
    """Write a shard with members that may bear one name, and the names of two classes beside it."""
    folder.mkdir(parents=True)
    (folder / "classnames.txt").write_text("\ufeffcat\n\ndog\n", encoding="utf-8")
    with tarfile.open(folder / "0.tar", "w") as tar:
        for name, content in pairs:
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return free_dataset(f"webdataset:{folder}")


def test_keys_with_dots_keep_their_pictures_apart(tmp_path):
    pairs = [
        (f"photo.v2.{i}{end}", encoded(i) if end == ".png" else str(i % 2))
        for i in range(5)
        for end in (".png", ".cls")
    ]
    found = members(tmp_path / "x", *pairs).open("test", tmp_path)
    assert found.ids == tuple(f"0/photo.v2.{i}" for i in range(5))
    assert (found.labels.tolist(), found.classes) == ([0, 1, 0, 1, 0], ("cat", "dog"))


@pytest.mark.parametrize("name", ["3.png", "3.cls", "a/b.c.png"])
def test_a_name_that_is_there_twice_is_an_error(tmp_path, name):
    pairs = [("3.png", encoded(1)), ("3.cls", "0"), ("a/b.c.png", encoded(2)), (name, encoded(3))]
    with pytest.raises(DataError, match=rf"0\.tar: {name} is there twice, and one of the two would be lost"):
        members(tmp_path / "x", *pairs)


@pytest.mark.parametrize("text", ["cat", "1.0", "-2", ""])
def test_a_label_that_is_none_names_its_member(tmp_path, text):
    made = members(tmp_path / "x", ("0003.png", encoded(1)), ("0003.cls", text))
    with pytest.raises(DataError, match=rf"0: 0003.cls holds '{text}', expected a label from -1"):
        made.open("test", tmp_path)


def test_samples_without_a_label_are_of_no_class_and_counted(tmp_path):
    made = members(tmp_path / "x", ("1.png", encoded(1)), ("1.cls", "1"), ("2.png", encoded(2)), ("3.png", encoded(3)))
    found = made.open("test", tmp_path)
    assert found.labels.tolist() == [1, -1, -1]
    assert found.notes == ("2 of 3 samples have no .cls and get label -1, such as 0/2",)


def test_folders_of_splits_and_shards_in_none(tmp_path):
    for place in ("train/0", "validation/0", "test/0", "extra/7", "loose"):
        write(tmp_path / "x" / f"{place}.tar", {"1.png": encoded(1)})
    made = free_dataset(f"webdataset:{tmp_path / 'x'}")
    assert list(made.counts) == ["train", "val", "test"]
    assert made.open("test", tmp_path).notes[-1] == "2 shards are left out, in no split: such as extra/7.tar"
