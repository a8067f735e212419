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
    with pytest.raises(DataError, match=r"a\.tar: 1\.cls: expected a label from -1, got 'cat'"):
        free_dataset(f"webdataset:{tmp_path / 'bad'}").open("test", tmp_path)


def test_a_link_inside_a_shard_is_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(5))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        tar.addfile(link)
    with pytest.raises(DataError, match="expected samples"):
        free_dataset(f"webdataset:{tmp_path / 'a.tar'}").open("test", tmp_path)
