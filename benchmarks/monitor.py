"""Watch simulated streams: how often the alarm of `Monitor` is false, and how long it takes on real vectors.

    python benchmarks/monitor.py [--data FOLDER] [--streams 2000] [--images 5000] [--orders 100]

Streams without drift are drawn, with their calibration images, from 10,000 real CIFAR-10 logits of a ResNet-56 below
FOLDER (`logits/resnet_cifar10`), or else from made-up ones. Delays need FOLDER: CIFAR-10 is ID and Food-101 OOD under
CLIP ViT-B/32 (`embeddings/openai_clip_vit_b32`), 200 images calibrate, and each fifth image is OOD on average. Exits
with 1 where false alarms are more frequent than promised by three standard errors, or maxlogit takes more than 200
images in the median.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from ood_toolkit import Detector, Monitor, Outputs

ALPHA, CALIBRATION, SHARE, SOON = 0.01, 200, 0.2, 200


def logits_of(folder: Path | None) -> np.ndarray:
    """Give ID logits (10,000, 10)."""
    if folder is None:
        return np.random.default_rng(0).normal(size=(10_000, 10)) * 3
    file = folder / "logits" / "resnet_cifar10" / "resnet56_cifar10_test.npz"
    return np.load(file, allow_pickle=False)["logits"].astype(np.float64)


def vectors_of(folder: Path) -> list[np.ndarray]:
    """Give logits (500, 10) of CIFAR-10 and of Food-101 images for the classes of CIFAR-10."""
    base = folder / "embeddings" / "openai_clip_vit_b32"
    names = ("image_cifar10_test500", "image_food101_10classes_test500", "text_cifar10_a")
    made = [np.load(base / f"{name}.npz", allow_pickle=False)["embeddings"].astype(np.float64) for name in names]
    known, other, text = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in made)
    return [100 * known @ text.T, 100 * other @ text.T]


def false_alarms(
    logits: np.ndarray, scorer: str, streams: int, images: int, alphas: tuple[float, ...]
) -> tuple[bool, float]:
    """Watch streams without drift; tell whether alarms are as rare as promised, and the seconds of CPU time."""
    rng, most, start = np.random.default_rng(1), np.empty(streams), time.process_time()
    for stream in range(streams):
        drawn = logits[rng.choice(len(logits), CALIBRATION + images, replace=False)]
        detector = Detector.fit(scorer, Outputs.from_logits(drawn[:CALIBRATION]), rule="conformal")
        monitor = Monitor(detector, ALPHA, seed=stream)
        monitor.observe(detector.decide(drawn[CALIBRATION:]))
        most[stream] = monitor.highest_bits
    seconds, held = time.process_time() - start, True
    for alpha in alphas:
        rate, limit = (most >= -math.log2(alpha)).mean(), alpha + 3 * math.sqrt(alpha * (1 - alpha) / streams)
        held &= bool(rate <= limit)
        print(
            f"| {scorer} | {alpha:g} | {100 * rate:.2f} % | {100 * limit:.2f} % | {'yes' if rate <= limit else 'NO'} |"
        )
    return held, seconds


def delays(known: np.ndarray, other: np.ndarray, scorer: str, before: int, orders: int) -> bool:
    """Watch streams that become a fifth OOD after so many ID images; tell whether the median alarm comes in time."""
    found = []
    for order in range(orders):
        rng = np.random.default_rng(order)
        usual, strange = known[rng.permutation(len(known))], other[rng.permutation(len(other))]
        detector = Detector.fit(scorer, Outputs.from_logits(usual[:CALIBRATION]), rule="conformal")
        stream = usual[CALIBRATION : CALIBRATION + before + SOON].copy()
        ood = before + np.flatnonzero(rng.random(len(stream) - before) < SHARE)
        stream[ood] = strange[: len(ood)]
        monitor = Monitor(detector, ALPHA, seed=order)
        monitor.observe(detector.decide(stream))
        found.append(math.inf if monitor.alarm_at is None else monitor.alarm_at - before)
    told = np.sort(found)
    middle, late = told[(orders - 1) // 2], float(np.quantile(told, 0.9, method="lower"))
    none, early = int(np.isinf(told).sum()), int((told <= 0).sum())
    shown = ["no alarm" if math.isinf(one) else f"{one:.0f}" for one in (middle, late)]
    print(f"| {scorer} | {before} | {shown[0]} | {shown[1]} | {none} | {early} |", flush=True)
    return bool(middle <= SOON)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, help="folder with logits/ and embeddings/")
    options.add_argument("--streams", type=int, default=2000)
    options.add_argument("--images", type=int, default=5000)
    options.add_argument("--orders", type=int, default=100)
    asked = options.parse_args()
    torch.set_num_threads(1)
    held = True
    if asked.data is not None:
        print(f"alarms after a fifth became OOD, alpha {ALPHA:g}, {asked.orders} orders, {SOON} images of each")
        print("| score | ID images before | median delay | 90 % of orders | no alarm | before the change |")
        print("|---|---:|---:|---:|---:|---:|")
        for scorer in ("maxlogit", "msp"):
            for before in (0, 100):
                soon = delays(*vectors_of(asked.data), scorer, before, asked.orders)
                held &= soon or scorer == "msp"
    what = "made-up logits" if asked.data is None else "CIFAR-10 logits of a ResNet-56"
    print(f"\nfalse alarms in {asked.streams:,} streams of {asked.images:,} images, {CALIBRATION} calibrate: {what}")
    print("| score | alpha | false alarms | alpha + 3 standard errors | holds |")
    print("|---|---:|---:|---:|---|")
    spent = 0.0
    for scorer in ("maxlogit", "msp"):
        rare, seconds = false_alarms(logits_of(asked.data), scorer, asked.streams, asked.images, (0.01, 0.05, 0.1))
        held, spent = held and rare, spent + seconds
    each = 1e6 * spent / (2 * asked.streams * asked.images)
    print(f"\n{each:.1f} microseconds of CPU time an image, fitting and deciding included")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
