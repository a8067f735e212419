"""Whether "95 %" accepts 95 %: the share of fresh ID images that each scorer accepts at its threshold, on real data.

    python benchmarks/calibration.py --data DIR [--seeds 8] [--val 200 --val 500] [--scorers SPECS]

`DIR` is a folder of real data as tests use it (`OODKIT_TEST_DATA`). From `resnet20_cifar10_test.npz` (10,000 real
outputs of a ResNet-20) each seed draws, disjoint, 3,000 images to train on, the validation images, and 4,000 fresh
ones. Scorers of texts are tried on CLIP vectors of Food-101: validation and training are drawn from its 2,000 training
vectors, and its 500 test vectors are fresh; once more all three are drawn from all 2,500, since its test images are
cleaner than its training images. Negative labels and outliers there are names of LVIS and Objects365.
Prints Markdown: mean over the seeds and, in brackets, its standard error, in per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from ood_toolkit import Head, Outputs, Scorer, bench, get_registry

TRAIN, FRESH = 3000, 4000
TARGET, TOLERANCE = 95.0, 3.0
NOT_HELD = frozenset({"mean", "grid"})
"""Scorers whose threshold is not one of 95 %: they are reported alone."""


@dataclass(frozen=True, eq=False)
class Draw:
    """Validation, training and fresh images of one seed."""

    val: Outputs
    train: Outputs
    fresh: Outputs


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--seeds", default=8, show_default=True, help="Draws to average over.")
@click.option("--val", "sizes", multiple=True, default=[200, 500], show_default=True, help="Validation images; repeat.")
@click.option("--scorers", default="", help="Scorers; all that the data suits by default.")
def main(data: Path, seeds: int, sizes: tuple[int, ...], scorers: str) -> None:
    """Print a table for each kind of data."""
    for title, drawn in (
        ("ResNet-20 on CIFAR-10", resnet_draw(data)),
        ("CLIP on Food-101, fresh images of its test split", food_draw(data)),
        ("CLIP on Food-101, all splits drawn from both", food_draw(data, mixed=True)),
    ):
        whole = drawn(0, sizes[0])
        specs = scorers.split(",") if scorers else suited(whole)
        if title.startswith("CLIP"):
            texts = {spec for spec in specs if needs_texts(spec)}
            specs = [spec for spec in specs if spec in texts]
        if not specs:
            continue
        print(f"\n{title}, {seeds} seeds\n\n| scorer | {' | '.join(f'{n} val' for n in sizes)} | |")
        print("|---|" + "---:|" * len(sizes) + "---|", flush=True)
        found = {n: shares(specs, drawn, n, range(seeds)) for n in sizes}
        for spec in specs:
            print(line(spec, [found[n].get(spec, []) for n in sizes]), flush=True)


def shares(specs: list[str], drawn: Callable[[int, int], Draw], n: int, seeds: range) -> dict[str, list[float]]:
    """Give for each scorer the share of fresh ID images, in per cent, that it accepts with each seed."""
    found: dict[str, list[float]] = {}
    for seed in seeds:
        draw = drawn(seed, n)
        report = bench(specs, draw.fresh, {}, draw.val, draw.train)
        for row in report.rows:
            if row.kind == "misclassification" and row.status == "ok":
                found.setdefault(row.scorer, []).append(100 * row.id_accepted)
    return found


def line(spec: str, found: list[list[float]]) -> str:
    """Write one row of the table; what misses its share is marked."""
    cells, missed = [], []
    for values in found:
        mean, error = (float(np.mean(values)), float(np.std(values) / len(values) ** 0.5)) if values else (np.nan, 0.0)
        cells.append(f"{mean:.1f} ({error:.1f})" if values else "-")
        missed.append(not abs(mean - TARGET) <= TOLERANCE)
    said = "reported" if spec in NOT_HELD else "missed" if any(missed) else ""
    return f"| {spec} | {' | '.join(cells)} | {said} |"


def resnet_draw(data: Path) -> Callable[[int, int], Draw]:
    """Give a function of seed and size that draws from the outputs of the ResNet."""
    folder = data / "logits" / "resnet_cifar10"
    held, parts = np.load(folder / "resnet20_head.npz"), np.load(folder / "resnet20_cifar10_test.npz")
    classes = [str(name) for name in held["classes"]]
    labels = np.array([classes.index(str(name)) for name in parts["names"]])
    x = Outputs(parts["features"], labels=labels, head=Head.linear(held["weight"], held["bias"], classes))

    def drawn(seed: int, n: int) -> Draw:
        order = np.random.default_rng(seed).permutation(len(x))
        return Draw(x[order[:n]], x[order[-TRAIN:]], x[order[n : n + FRESH]])

    return drawn


def food_draw(data: Path, mixed: bool = False) -> Callable[[int, int], Draw]:
    """Give a function of seed and size that draws from CLIP's vectors of Food-101; mixed, all from both splits."""
    folder = data / "embeddings" / "openai_clip_vit_b32"
    texts = np.load(folder / "text_food10_a.npz")
    banks = {
        name: np.load(folder / f"text_{file}_a.npz")["embeddings"].astype(np.float32)
        for name, file in (("negatives", "lvis1203"), ("outliers", "objects365"))
    }
    head = Head.zero_shot(texts["embeddings"].astype(np.float32), texts["names"].tolist(), texts=banks)
    parts = [np.load(folder / f"image_food101_10classes_{split}.npz") for split in ("train2000", "test500")]
    vectors, labels = (np.concatenate([part[key] for part in parts]) for key in ("embeddings", "labels"))
    x = Outputs.from_embeddings(vectors.astype(np.float32), head, labels)
    known = len(parts[0]["labels"])

    def drawn(seed: int, n: int) -> Draw:
        draw = np.random.default_rng(seed)
        order = draw.permutation(len(x)) if mixed else np.append(draw.permutation(known), np.arange(known, len(x)))
        return Draw(x[order[:n]], x[order[n:known]], x[order[known:]])

    return drawn


def suited(draw: Draw) -> list[str]:
    """List the scorers of single images whose needs these outputs meet."""
    registry = get_registry()
    return [scorer.spec for name in registry.names("scorers") for scorer in _met(registry.scorer(name), draw)]


def _met(scorer: object, draw: Draw) -> Iterator[Scorer]:
    splits = {"val", "val_labels", "train", "train_labels"}
    if isinstance(scorer, Scorer) and not draw.fresh.lacking(frozenset(scorer.needs - splits)):
        yield scorer


def needs_texts(spec: str) -> bool:
    """Tell whether a scorer needs texts, of classes or others."""
    return any(need == "zero_shot" or need.startswith("text:") for need in get_registry().scorer(spec).needs)


if __name__ == "__main__":
    main()
