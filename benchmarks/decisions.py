"""What a decision costs beyond the network: one picture through a `Gate`, batches of embeddings, memory of a stream.

    python benchmarks/decisions.py

Prints medians of repeats in one run, beside the bare products on the same rows. The network is a stand-in that gives
ready features, so that what is left is the head's product and all that surrounds it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit import Detector, Gate, Head, Model, Outputs

HEADS = [(10, 64), (1000, 512), (1000, 2048), (21841, 1024)]
"""Classes and width."""


class Ready(Model):
    """Gives the features that it holds."""

    name, fingerprint, preprocessing = "ready", "0", {}

    def __init__(self, width: int) -> None:
        self.features = torch.randn(1, width)

    def preprocess(self, image: Any) -> Tensor:
        """Give nothing of the picture."""
        return torch.zeros(1)

    def encode_images(self, batch: Tensor) -> Tensor:
        """Give the features."""
        return self.features

    def to(self, device: str) -> Ready:
        """Stay."""
        return self


def median(work: Callable[[], object], repeats: int) -> float:
    """Give the median seconds of some work."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def one_picture() -> None:
    """Show what a gate adds to the forward pass of one picture, head included."""
    print("| head | one picture through Gate, ms | bare product, ms | beyond it, ms |\n|---|---:|---:|---:|")
    for classes, width in HEADS:
        head = Head.zero_shot(torch.randn(classes, width), [str(c) for c in range(classes)])
        detector = Detector.fit("msp", Outputs(torch.randn(200, width), head=head), rule="conformal")
        model = Ready(width)
        gate, image, matrix = Gate(model, detector), torch.zeros(1, 1, 1), head.weight
        gate(image)
        repeats = 400 if classes < 5000 else 60
        whole = median(lambda gate=gate, image=image: gate(image), repeats)
        bare = median(lambda model=model, matrix=matrix: model.features @ matrix.T, repeats)
        print(
            f"| {classes} x {width} | {1e3 * whole:.2f} | {1e3 * bare:.2f} | {1e3 * (whole - bare):.2f} |", flush=True
        )


def batches() -> None:
    """Show batches of 1,000 embeddings against 10,000 negatives, beside the products of the same size."""
    draw = torch.Generator().manual_seed(0)
    head = Head.zero_shot(
        torch.randn(1000, 512, generator=draw), [str(c) for c in range(1000)],
        negatives=torch.randn(10_000, 512, generator=draw),
    )  # fmt: skip
    detector = Detector.fit("neglabel", Outputs(torch.randn(500, 512, generator=draw), head=head))
    rows = torch.randn(1000, 512, generator=draw)
    texts = torch.cat([head.weight, head.bank("negatives").rows])
    detector.decide(rows)
    whole, score = median(lambda: detector.decide(rows), 15), median(lambda: detector.score(rows), 15)
    bare = median(lambda: rows @ texts.T, 15)
    print(
        f"\n1,000 embeddings against 1,000 classes and 10,000 negatives (neglabel): decide {1e3 * whole:.0f} ms, score "
        f"alone {1e3 * score:.0f} ms, products {1e3 * bare:.0f} ms: {whole / bare:.2f} times the products, "
        f"{whole / score:.2f} times the score"
    )


def anonymous() -> float:
    """Give the anonymous memory of this process in MiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))


def memory() -> None:
    """Show the memory that 400,000 decisions on embeddings from a generator take."""
    head = Head.zero_shot(torch.randn(1000, 512), [str(c) for c in range(1000)])
    detector = Detector.fit("msp", Outputs(torch.randn(500, 512), head=head))
    detector.decide(np.zeros((1, 512), np.float32) + 1)
    before, most = anonymous(), [0.0]

    def chunks() -> Any:
        rng = np.random.default_rng(0)
        for _ in range(400):
            yield rng.standard_normal((1000, 512), dtype=np.float32)
            most[0] = max(most[0], anonymous())

    start = time.perf_counter()
    found = detector.decide(chunks())
    seconds = time.perf_counter() - start
    above = max(most[0], anonymous()) - before
    print(f"\n{len(found):,} x 512 decisions from a generator: {above:.0f} MiB above the start, {seconds:.0f} s")


def main() -> None:
    torch.set_num_threads(1)
    one_picture()
    batches()
    memory()


if __name__ == "__main__":
    main()
