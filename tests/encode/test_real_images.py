"""From image files to a table: real pictures as torchvision lays them out, through `oodkit bench`."""

import json
import re

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli import main
from ood_toolkit.data.catalogue.object_sets import CALTECH101, DTD, FOOD101
from ood_toolkit.data.catalogue.small_sets import CIFAR10
from ood_toolkit.models.names import find_model

SETS = {"cifar10": CIFAR10, "food101": FOOD101, "caltech101": CALTECH101, "dtd": DTD}
COUNTS = {"cifar10": 1000, "food101": 2020, "caltech101": 800, "dtd": 40}


@pytest.fixture(scope="session")
def root(data, tmp_path_factory):
    """Lay the pictures out: cifar10 in class folders, food-101 with its lists, the others as torchvision."""
    images, place = data / "images", tmp_path_factory.mktemp("root")
    for folder, source in (
        ("cifar10/test", "cifar10_test_100pc"),
        ("food-101/images", "food101_64px_test"),
        ("caltech101/101_ObjectCategories", "caltech101_8pc"),
        ("dtd/dtd/images", "dtd_10classes_8pc"),
    ):
        (place / folder).parent.mkdir(parents=True)
        (place / folder).symlink_to(images / source, target_is_directory=True)
    food = sorted(path.relative_to(images / "food101_64px_test") for path in images.glob("food101_64px_test/*/*.jpg"))
    listed = {}
    for path in food:
        listed.setdefault(path.parent.name, []).append(path.with_suffix("").as_posix())
    (place / "food-101" / "meta").mkdir()
    (place / "food-101" / "meta" / "test.json").write_text(json.dumps(listed))
    (place / "dtd" / "dtd" / "labels").mkdir()
    textures = sorted(
        path.relative_to(images / "dtd_10classes_8pc") for path in images.glob("dtd_10classes_8pc/*/*.jpg")
    )
    (place / "dtd" / "dtd" / "labels" / "test1.txt").write_text("\n".join(path.as_posix() for path in textures[::2]))
    return place


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """Write a ViT-B/32 with random weights to a file, and take it away at the end: it is large."""
    file = tmp_path_factory.mktemp("vit") / "random.safetensors"
    torch.manual_seed(0)
    net = open_clip.create_model("ViT-B-32", load_weights=False)
    save_file({name: weight.half().contiguous() for name, weight in net.state_dict().items()}, file)
    yield file
    file.unlink()


@pytest.fixture
def bench(root, tmp_path, capsys):
    def run(model, limit):
        capsys.readouterr()
        line = ["bench", "--id", "cifar10", "--ood", "food101,caltech101,dtd", "--data-root", root, "--model", model]
        line += ["--limit", limit, "--store", tmp_path / "store", "--scorers", "msp,mcm,maxlogit", "--val-split", "0"]
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in [*line, "--format", "json"]])
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        return json.loads(out), [
            int(n.replace(",", "")) for n in re.findall(r"[\d,]+(?= images in| images;| were in)", err)
        ]

    return run


def auroc(high, low):
    return ((high[:, None] > low).sum() + 0.5 * (high[:, None] == low).sum()) / (len(high) * len(low))


def largest_logits(name, model, head, root, limit):
    """Compute scores straight from the files that seed 0 draws: nothing of store, encoder or scorers."""
    pictures = SETS[name].open("test", root)
    assert len(pictures) == COUNTS[name]
    rows = range(len(pictures))
    if limit < len(pictures):
        rows = np.sort(np.random.default_rng(0).choice(len(pictures), limit, replace=False))
    images = [Image.open(pictures.items[row].path).convert("RGB") for row in rows]
    with torch.inference_mode():
        x = model.encode_images(torch.stack([model.preprocess(image) for image in images]))
    return (x / x.norm(dim=1, keepdim=True) @ head.T).amax(dim=1).double().numpy()


@pytest.mark.parametrize(("which", "limit"), [("digits-clip", 100), ("vit", 8)])
def test_from_files_to_a_table(bench, root, request, which, limit):
    name = which if which == "digits-clip" else f"ViT-B-32/{request.getfixturevalue('vit')}"
    read, (encoded, held) = bench(name, limit)
    sizes = {one: min(limit, count) for one, count in COUNTS.items()}
    assert (encoded, held) == (sum(sizes.values()), 0)
    assert read["id"][0]["images"] == limit
    rows = {(row["scorer"], row["ood"]): row for row in read["rows"] if row["kind"] == "ood"}
    assert {(row["scorer"], row["ood"]) for row in rows.values()} == {
        (scorer, ood) for scorer in ("msp", "mcm", "maxlogit") for ood in ("food101", "caltech101", "dtd")
    }
    for (_, ood), row in rows.items():
        assert (row["status"], row["n_id"], row["n_ood"]) == ("ok", limit, sizes[ood])
    again, (encoded, held) = bench(name, limit)
    assert (encoded, held) == (0, sum(sizes.values()))
    assert [row["metrics"] for row in again["rows"]] == [row["metrics"] for row in read["rows"]]

    model = find_model(name, get_registry()).load()
    with torch.inference_mode():
        head = model.encode_texts([f"a photo of a {one}" for one in CIFAR10.classes])
    head = head / head.norm(dim=1, keepdim=True)
    high = largest_logits("cifar10", model, head, root, limit)
    for ood in ("food101", "caltech101", "dtd"):
        expected = auroc(high, largest_logits(ood, model, head, root, limit))
        assert rows["maxlogit", ood]["metrics"]["auroc"] == pytest.approx(expected, abs=0.002 if limit == 100 else 0.02)
