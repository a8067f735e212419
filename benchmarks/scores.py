"""Time and memory of scoring, as ratios in one run: to the bare matrix product, and to pytorch-ood on the same arrays.

    pip install pytorch-ood==0.4.0      # only for the comparison; without it that part is left out
    python benchmarks/scores.py [--rows 10000 --rows 85640 --rows 1000000] [--width 512] [--classes 1000]

Embeddings are made once into memory-mapped files, so that what is counted as anonymous memory is the program's own.
The bare product is that of all embeddings with the class texts, block by block, and its results are forgotten. Times
are medians of three after one run to warm up, or single ones where a run takes longer than ten seconds. Peak
anonymous memory is sampled every 10 ms from the kernel.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from ood_toolkit import Head, Outputs, bench, fit, get_registry

CHEAP = "msp,maxlogit,energy,entropy,variance,mcm,logitgap,gen,odin,temperature,classwise,classwise-entropy,mean,grid"
VAL_ROWS, TEST_ROWS = 5_000, 45_000
"""Of 85,640 rows, those of ID validation and ID test (the split of OpenOOD for ImageNet); the others are OOD."""
TRAIN_ROWS = 10_000
NEGATIVES = 10_000
LONG = 10.0
"""Seconds after which a run is not repeated."""
PEER_ROWS = 2_000
"""Rows that pytorch-ood's Mahalanobis is timed on, where it takes minutes for all; its time is per row."""


@click.command()
@click.option("--rows", multiple=True, default=[10_000, 85_640], show_default=True, help="Images; repeat it.")
@click.option("--width", default=512, show_default=True, help="Width of the embeddings.")
@click.option("--classes", default=1000, show_default=True, help="Classes.")
@click.option("--peer/--no-peer", default=True, show_default=True, help="Compare with pytorch-ood.")
def main(rows: tuple[int, ...], width: int, classes: int, peer: bool) -> None:
    """Print the ratios."""
    print(f"{classes} classes, width {width}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            material = Material(Path(folder), count, width, classes)
            print(f"\n## {count:,} images\n")
            product = seconds_of(material.bare_product)
            print(f"bare product {product:.2f} s")
            _together(material, product)
            _single(material, product)
            _negatives(material)
            if peer and count <= 100_000:
                _beside_peer(material)


class Material:
    """Clustered embeddings as a read-only memory map, cut into train, val, test and OOD, and a head."""

    def __init__(self, folder: Path, rows: int, width: int, classes: int) -> None:
        rng = np.random.default_rng(0)
        texts = rng.standard_normal((classes, width)).astype(np.float32)
        self.head = Head.zero_shot(texts, [f"class {i}" for i in range(classes)])
        n_val, n_test = rows * VAL_ROWS // 85_640, rows * TEST_ROWS // 85_640
        self.features, labels = _mapped(folder / "features.npy", texts, rows, rng)
        parts = [slice(0, n_val), slice(n_val, n_val + n_test), slice(n_val + n_test, None)]
        self.val, self.test, ood = (
            Outputs(features=self.features[part], head=self.head, labels=labels[part]) for part in parts
        )
        self.ood = ood.without_labels()
        features, labels = _mapped(folder / "train.npy", texts, TRAIN_ROWS, rng)
        self.train = Outputs(features=features, head=self.head, labels=labels)
        negatives = rng.standard_normal((NEGATIVES, width)).astype(np.float32)
        self.with_negatives = self.head.with_banks({"negatives": negatives})

    @property
    def all(self) -> Outputs:
        """All images that are scored."""
        return Outputs(features=self.features, head=self.head)

    def bench(self, specs: str) -> None:
        """Run a benchmark on outputs that have derived nothing yet."""
        test, val, ood = (x[:] for x in (self.test, self.val, self.ood))
        bench(specs, test=test, val=val, ood={"ood": ood})

    def bare_product(self) -> None:
        """Give every block of rows its logits and forget them."""
        product_of(self.features, self.head.weight)


def product_of(features: np.ndarray, weight: torch.Tensor) -> None:
    """Multiply block by block and forget the results."""
    weight = weight.T.contiguous()
    for first in range(0, len(features), 1024):
        torch.mm(torch.from_numpy(np.asarray(features[first : first + 1024])), weight)


def _together(material: Material, product: float) -> None:
    """Run the scores of logits in one bench, metrics included."""
    with anonymous_memory() as samples:
        before = samples[0]
        seconds = seconds_of(lambda: material.bench(CHEAP))
    print(
        f"bench of {CHEAP.count(',') + 1} scores with metrics {seconds:.2f} s, {seconds / product:.2f} bare products; "
        f"anonymous memory {before / 2**20:.0f} MiB before, peak {max(samples) / 2**20:.0f} MiB"
    )


def _single(material: Material, product: float) -> None:
    """Time single scores that compare with training or validation images."""
    print("\n| score, alone, with its product | seconds | bare products | peak MiB |\n|---|---|---|---|")
    for spec in ("msp", "klm", "mahalanobis", "rmds", "knn", "vim", "nnguide", "she"):
        scorer = fit(get_registry().scorer(spec), material.val, material.train)
        with anonymous_memory() as samples:
            seconds = seconds_of(lambda scorer=scorer: material.all.map(scorer.score))
        print(f"| {spec} | {seconds:.2f} | {seconds / product:.2f} | {max(samples) / 2**20:.0f} |")


def _negatives(material: Material) -> None:
    """Time NegLabel beside the product with all its texts."""
    x = Outputs(features=material.features, head=material.with_negatives)
    texts = torch.cat([x.head.weight, x.head.bank("negatives").rows])
    scorer = get_registry().scorer("neglabel")
    product = seconds_of(lambda: product_of(material.features, texts))
    with anonymous_memory() as samples:
        seconds = seconds_of(lambda: x.map(scorer.score))
    print(
        f"\nneglabel, {NEGATIVES:,} negatives in {scorer.groups} groups: {seconds:.2f} s, "
        f"{seconds / product:.2f} bare products of its own size; peak {max(samples) / 2**20:.0f} MiB"
    )


def _beside_peer(material: Material) -> None:
    """Time pytorch-ood and this package on the same arrays, ready logits (n, k) or features (n, d)."""
    try:
        from pytorch_ood import detector
    except ImportError:
        print("\npytorch-ood is not installed: no comparison")
        return
    x = Outputs.from_logits(material.all.map(lambda chunk: chunk.logits))
    logits, val = x.logits, Outputs.from_logits(material.val.logits, material.val.labels)
    scaled = detector.TemperatureScaling(None).fit_logits(val.logits, val.labels)
    matched = detector.KLMatching(None).fit_logits(val.logits, val.labels)
    theirs: dict[str, Callable[[], Any]] = {
        "msp": lambda: detector.MaxSoftmax(None).predict_logits(logits),
        "maxlogit": lambda: detector.MaxLogit(None).predict_logits(logits),
        "energy": lambda: detector.EnergyBased(None).predict_logits(logits),
        "entropy": lambda: detector.Entropy(None).predict_logits(logits),
        "gen": lambda: detector.GEN(None, M=100).predict_logits(logits),
        "temperature": lambda: scaled.predict_logits(logits),
    }
    print("\n| score, from ready logits | oodkit s | pytorch-ood s | times faster |\n|---|---|---|---|")
    fitted = {spec: fit(get_registry().scorer(spec), val) for spec in [*theirs, "klm"]}
    taken = {spec: seconds_of(run) for spec, run in theirs.items()}
    for spec, seconds in taken.items():
        _compared(spec, lambda spec=spec: x[:].map(fitted[spec].score), seconds)
    total = sum(taken.values())
    _compared(f"these {len(taken)} together", lambda: _each(x, [fitted[spec] for spec in taken]), total)
    part = logits[:PEER_ROWS]
    apiece = seconds_of(lambda: matched.predict_logits(part)) / len(part)
    _compared("klm", lambda: x[:].map(fitted["klm"].score), apiece * len(x))
    _far_and_near(material, detector)


def _far_and_near(material: Material, detector: Any) -> None:
    """Time what compares with training features; pytorch-ood on a part of the rows, multiplied up."""
    features = torch.from_numpy(np.asarray(material.features))
    train, labels = torch.from_numpy(np.asarray(material.train.features)), material.train.labels
    part = features[:PEER_ROWS]
    print("\n| score, from features | oodkit s | pytorch-ood s | times faster |\n|---|---|---|---|")
    for spec, peer in (("mahalanobis", detector.Mahalanobis(None)), ("knn", detector.KNN(None, k=50))):
        scorer = fit(get_registry().scorer(spec), material.val, material.train)
        peer.fit_features(train, labels)
        apiece = seconds_of(lambda peer=peer: peer.predict_features(part)) / len(part)
        _compared(spec, lambda scorer=scorer: material.all.map(scorer.score), apiece * len(features))
    print(f"\npytorch-ood's KL matching, Mahalanobis and KNN were timed on {PEER_ROWS:,} rows and multiplied up.")


def _each(x: Outputs, scorers: list[Any]) -> None:
    """Give every chunk to all scorers."""
    for chunk in x.chunks():
        for scorer in scorers:
            scorer.score(chunk)


def _compared(spec: str, ours: Callable[[], Any], theirs: float) -> None:
    seconds = seconds_of(ours)
    print(f"| {spec} | {seconds:.2f} | {theirs:.2f} | {theirs / seconds:.1f} |")


def _mapped(file: Path, texts: np.ndarray, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Write rows near the class texts and give them as a read-only memory map, with their classes."""
    labels = np.arange(rows) % len(texts)
    rng.shuffle(labels)
    made = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(rows, texts.shape[1]))
    for start in range(0, rows, 10_000):
        part = slice(start, start + 10_000)
        made[part] = 0.25 * texts[labels[part]] + rng.standard_normal(made[part].shape).astype(np.float32)
    made.flush()
    del made
    return np.load(file, mmap_mode="r"), labels


def seconds_of(run: Callable[[], Any], runs: int = 3) -> float:
    """Give the median time of a few runs after one to warm up; a long run is not repeated."""
    taken: list[float] = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
        if taken[-1] > LONG:
            return taken[-1]
    return statistics.median(taken[1:])


@contextmanager
def anonymous_memory() -> Iterator[list[int]]:
    """Sample the resident anonymous memory of this process while the block runs."""
    samples, stop = [_anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            samples.append(_anonymous_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def _anonymous_bytes() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("this benchmark reads RssAnon from /proc/self/status, which is not there")
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
