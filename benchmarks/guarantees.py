"""Draw calibration sets again and again: what thresholds accept, and whether each promise holds.

    python benchmarks/guarantees.py [--data FOLDER] [--draws 1000]

The population is 10,000 real CIFAR-10 logits of a ResNet-56 below FOLDER (`logits/resnet_cifar10`), or else 10,000
made-up ones. Calibration sets are drawn from it with replacement, so that the share accepted of images to come is known
exactly: it is that of the population. Exits with 1 where a promise is missed by more than three standard errors.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ood_toolkit import Detector, Outputs
from ood_toolkit.metrics import benjamini_hochberg

TARGET, DELTA = 0.9, 0.1
ACCEPTING = [("msp", "tpr", 50), ("msp", "tpr", 200), ("msp", "conformal", 50), ("msp", "conformal", 200)]
ACCEPTING += [("temperature", "conformal", 200), ("klm", "conformal", 200), ("temperature", "tpr", 200)]
PAC = [("msp", 100), ("msp", 500), ("temperature", 200)]
BY_CLASS = [("msp", "predicted", 500), ("msp", "true", 500), ("temperature", "predicted", 1000)]
BY_CLASS += [("temperature", "true", 1000)]
RISK = [("msp", 0.1, 1000), ("msp", 0.05, 2000), ("temperature", 0.1, 2000)]
FDR = [("maxlogit", 200), ("maxlogit", 1000), ("klm", 1000)]


def logits_of(folder: Path | None) -> tuple[Outputs, Outputs]:
    """Give ID logits with labels, and OOD logits."""
    if folder is not None:
        base = folder / "logits" / "resnet_cifar10"
        read = lambda name: np.load(base / f"resnet56_{name}.npz", allow_pickle=False)  # noqa: E731
        known, other = read("cifar10_test"), read("food101")
        names = read("head")["classes"].tolist()
        labels = np.array([names.index(name) for name in known["names"].tolist()])
        return Outputs.from_logits(known["logits"], labels), Outputs.from_logits(other["logits"])
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 10_000)
    logits = rng.normal(size=(10_000, 5)) + 2.5 * np.eye(5)[labels]
    return Outputs.from_logits(logits, labels), Outputs.from_logits(rng.normal(size=(2000, 5)) * 0.7)


def vectors_of(folder: Path) -> tuple[Outputs, Outputs]:
    """Give logits of 500 CIFAR-10 and 500 Food-101 images under CLIP ViT-B/32, which tells them well apart."""
    base = folder / "embeddings" / "openai_clip_vit_b32"
    read = lambda name: np.load(base / f"{name}.npz", allow_pickle=False)  # noqa: E731
    known, other, text = read("image_cifar10_test500"), read("image_food101_10classes_test500"), read("text_cifar10_a")
    unit = lambda x: x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)  # noqa: E731
    made = [100 * unit(one["embeddings"]) @ unit(text["embeddings"]).T for one in (known, other)]
    return Outputs.from_logits(made[0], known["labels"]), Outputs.from_logits(made[1])


class Simulation:
    """Draws from one population; collects lines and what was missed."""

    def __init__(self, known: Outputs, other: Outputs, draws: int) -> None:
        self.known, self.other, self.draws = known, other, draws
        self.rng, self.missed = np.random.default_rng(1), 0
        self.labels, self.predicted = known.labels.numpy(), known.prediction.numpy()

    def fitted(self, scorer: str, rule: str, n: int) -> Iterator[tuple[Detector, np.ndarray]]:
        """Fit on each of the calibration sets, and decide on the population."""
        for _ in range(self.draws):
            made = Detector.fit(scorer, self.known[self.rng.integers(0, len(self.known), n)], rule=rule)
            yield made, made.predict(self.known)

    def line(self, *cells: object, worst: float | None = None) -> None:
        """Print a row; `worst` is by how many standard errors a promise is missed, where one was made."""
        held = "-" if worst is None else "yes" if worst <= 3 else "NO"
        self.missed += held == "NO"
        print("| " + " | ".join([*map(str, cells), held]) + " |", flush=True)

    def accepting(self) -> None:
        """Show what rules accept of images to come, over all calibration sets."""
        print("\n| score | rule | n | accepted on average | 5 % quantile | draws below 90 % | holds |")
        print("|---|---|---:|---:|---:|---:|---|")
        for scorer, rule, n in ACCEPTING:
            share = np.array([kept.mean() for _, kept in self.fitted(scorer, f"{rule}:target={TARGET}", n)])
            short = (TARGET - share.mean()) / (share.std() / math.sqrt(self.draws))
            below = f"{100 * (share < TARGET).mean():.0f} %"
            worst = short if rule == "conformal" else None
            self.line(
                scorer, rule, n, f"{100 * share.mean():.2f} %", _percent(np.quantile(share, 0.05)), below, worst=worst
            )
        for scorer, n in PAC:
            rule = f"pac:target={TARGET}:delta={DELTA}"
            share = np.array([kept.mean() for _, kept in self.fitted(scorer, rule, n)])
            over = ((share < TARGET).mean() - DELTA) / math.sqrt(DELTA * (1 - DELTA) / self.draws)
            below = f"{100 * (share < TARGET).mean():.1f} %"
            self.line(
                scorer, "pac", n, f"{100 * share.mean():.2f} %", _percent(np.quantile(share, 0.05)), below, worst=over
            )

    def by_class(self) -> None:
        """Show what each form of conformal accepts of each class."""
        print("\n| score | rule | n | least class | most | all | holds |")
        print("|---|---|---:|---:|---:|---:|---|")
        for scorer, by, n in [("msp", "none", 500), *BY_CLASS]:
            groups = self.labels if by == "true" else self.predicted
            classes = np.unique(groups)
            rule = f"conformal:by={by}:target={TARGET}"
            shares = np.array([[kept[groups == c].mean() for c in classes] for _, kept in self.fitted(scorer, rule, n)])
            mean, error = shares.mean(axis=0), shares.std(axis=0) / math.sqrt(self.draws)
            worst = None if by == "none" else float(((TARGET - mean) / np.maximum(error, 1e-9)).max())
            total = (mean * np.array([(groups == c).mean() for c in classes])).sum()
            self.line(scorer, f"by={by}", n, _percent(mean.min()), _percent(mean.max()), _percent(total), worst=worst)

    def risk(self) -> None:
        """Show the errors among what `risk` accepts."""
        print("\n| score | rule | n | errors among accepted | coverage | draws above the target | holds |")
        print("|---|---|---:|---:|---:|---:|---|")
        wrong = self.labels != self.predicted
        for scorer, target, n in RISK:
            found = [
                ((kept & wrong).sum() / max(1, kept.sum()), kept.mean())
                for _, kept in self.fitted(scorer, f"risk:target={target}:delta={DELTA}", n)
            ]
            risk, coverage = np.array(found).T
            above = (risk > target).mean()
            over = (above - DELTA) / math.sqrt(DELTA * (1 - DELTA) / self.draws)
            rule = f"risk, {100 * target:g} %"
            self.line(
                scorer, rule, n, f"{100 * risk.mean():.2f} %", _percent(coverage.mean()), _percent(above), worst=over
            )

    def discoveries(self) -> None:
        """Show the share of ID among what is flagged as OOD."""
        print("\n| score | rule | n | false discoveries | OOD found | flagged of 100 | holds |")
        print("|---|---|---:|---:|---:|---:|---|")
        ood = np.arange(100) < 20
        for scorer, n in FDR:
            shares, found, flags = [], [], []
            for made, _ in self.fitted(scorer, "conformal", n):
                strange = self.other[self.rng.integers(0, len(self.other), 20)]
                usual = self.known[self.rng.integers(0, len(self.known), 80)]
                p = np.concatenate([made.p_values(strange), made.p_values(usual)])
                flagged = benjamini_hochberg(p, DELTA).flagged
                shares.append((flagged & ~ood).sum() / max(1, flagged.sum()))
                found.append(flagged[ood].mean())
                flags.append(flagged.sum())
            over = (np.mean(shares) - DELTA) / max(1e-9, np.std(shares) / math.sqrt(self.draws))
            cells = (f"{100 * np.mean(shares):.2f} %", _percent(np.mean(found)), f"{np.mean(flags):.1f}")
            self.line(scorer, "fdr, 10 %", n, *cells, worst=over)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, help="folder with logits/resnet_cifar10")
    options.add_argument("--draws", type=int, default=1000)
    asked = options.parse_args()
    torch.set_num_threads(1)
    what = "made-up logits" if asked.data is None else "CIFAR-10 logits of a ResNet-56"
    print(f"{what}, {asked.draws:,} calibration sets, target {100 * TARGET:g} %, delta {100 * DELTA:g} %")
    simulation = Simulation(*logits_of(asked.data), asked.draws)
    for part in (simulation.accepting, simulation.by_class, simulation.risk):
        part()
    apart = simulation if asked.data is None else Simulation(*vectors_of(asked.data), asked.draws)
    apart.discoveries()
    return 1 if simulation.missed or apart.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
