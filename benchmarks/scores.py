"""Time and memory of `bench` on ImageNet-sized outputs, beside the bare product from embeddings to logits.

    python benchmarks/scores.py [--rows 85640] [--width 512] [--classes 1000] [--scorers SPECS]

Embeddings are made once into memory-mapped files, so that what is counted as anonymous memory is the program's own.
Prints seconds, their ratio to the bare product (median of five), and the peak of anonymous
memory while `bench` runs, sampled every 10 ms from the kernel.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import torch

from ood_toolkit import Head, Outputs, bench

LOGIT_SCORERS = "msp,maxlogit,energy,entropy,mcm,classwise,classwise-entropy,mean,grid"
VAL_ROWS, TEST_ROWS = 5_000, 45_000
"""Of the rows, those of ID validation and ID test (the split of OpenOOD for ImageNet); the others are OOD."""


@click.command()
@click.option("--rows", default=85_640, show_default=True, help="Images in all.")
@click.option("--width", default=512, show_default=True, help="Width of the embeddings.")
@click.option("--classes", default=1000, show_default=True, help="Classes.")
@click.option("--scorers", default=LOGIT_SCORERS, show_default=True, help="Specs.")
def main(rows: int, width: int, classes: int, scorers: str) -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        features, labels, texts = _material(Path(folder), rows, width, classes)
        head = Head.zero_shot(texts, [f"class {i}" for i in range(classes)])
        n_val, n_test = rows * VAL_ROWS // 85_640, rows * TEST_ROWS // 85_640
        parts = [slice(0, n_val), slice(n_val, n_val + n_test), slice(n_val + n_test, None)]
        val, test, ood = (Outputs(features=features[part], head=head, labels=labels[part]) for part in parts)
        product = _product_seconds(torch.from_numpy(np.array(features)), head)
        start = time.perf_counter()
        with _anonymous_memory() as samples:
            before = samples[0]
            report = bench(scorers, test=test, val=val, ood={"ood": ood.without_labels()})
        seconds = time.perf_counter() - start
    count = len({row.scorer for row in report.rows if row.status == "ok"})
    print(
        f"{rows} x {width} embeddings, {classes} classes, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"bare product                  {product:7.2f} s")
    print(f"bench, {count:2d} scorers and metrics {seconds:7.2f} s   ratio {seconds / product:5.2f}")
    print(f"anonymous memory: {before / 2**20:.0f} MiB before, peak {max(samples) / 2**20:.0f} MiB")


def _material(folder: Path, rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make clustered unit rows as a read-only memory map, their labels, and the class texts."""
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((classes, width)).astype(np.float32)
    labels = rng.integers(0, classes, rows)
    made = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float32, shape=(rows, width))
    for start in range(0, rows, 10_000):
        part = slice(start, start + 10_000)
        noise = rng.standard_normal(made[part].shape).astype(np.float32)
        made[part] = 0.25 * texts[labels[part]] + noise
    made.flush()
    del made
    return np.load(folder / "features.npy", mmap_mode="r"), labels, texts


def _product_seconds(features: torch.Tensor, head: Head, runs: int = 5) -> float:
    """Give every block of rows its logits and forget them; the median after one run to warm up."""
    weight, taken = head.weight.T.contiguous(), []
    for _ in range(runs + 1):
        start = time.perf_counter()
        for first in range(0, len(features), 1024):
            torch.mm(features[first : first + 1024], weight)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


@contextmanager
def _anonymous_memory() -> Iterator[list[int]]:
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
