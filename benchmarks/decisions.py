"""What a decision costs beyond the network: one picture through a `Gate`, batches of embeddings, memory of a stream.

    python benchmarks/decisions.py [--rows 1000000]

Prints medians of repeats in one run, in seconds of a processor, beside the bare products on the same rows: each repeat
takes both, so that other work on the machine touches both. The network is a stand-in that gives ready features, so that
what is left is the head's product and all that surrounds it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit import Detector, Gate, Head, Model, Outputs

HEADS = [(10, 64), (1000, 512), (1000, 2048), (21841, 1024)]
"""Classes and width."""
LETTERS = list("abcdefghij")


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


def paired(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Give the median seconds of a processor that each of some works takes, one after the other in each repeat."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, times in zip(works, taken, strict=True):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def one_picture() -> None:
    """Show what a gate adds to the forward pass of one picture, head included, and what is allowed."""
    from open_clip import create_model

    tower, picture = create_model("ViT-B-32").visual.eval(), torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        tower(picture)
        (forward,) = paired([lambda: tower(picture)], 15)
    allowed = max(1e-3, forward / 10)
    print(
        f"ViT-B/32 forward of one picture: {1e3 * forward:.1f} ms, so at most {1e3 * allowed:.1f} ms\n\n"
        "| head | one picture through Gate and read, ms | bare product, ms | beyond it, ms | held |\n"
        "|---|---:|---:|---:|---|"
    )
    for classes, width in HEADS:
        head = Head.zero_shot(torch.randn(classes, width), [str(c) for c in range(classes)])
        detector = Detector.fit("msp", Outputs(torch.randn(200, width), head=head), rule="conformal")
        model = Ready(width)
        gate, image, matrix = Gate(model, detector), torch.zeros(1, 1, 1), head.weight
        next(iter(gate(image)))
        repeats = 400 if classes < 5000 else 60
        whole, bare = paired(
            [
                lambda gate=gate, image=image: next(iter(gate(image))),
                lambda model=model, matrix=matrix: model.features @ matrix.T,
            ],
            repeats,
        )
        held = "yes" if whole - bare <= allowed else "NO"
        print(
            f"| {classes} x {width} | {1e3 * whole:.2f} | {1e3 * bare:.2f} | {1e3 * (whole - bare):.2f} | {held} |",
            flush=True,
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
    whole, score, bare = paired(
        [lambda: detector.decide(rows), lambda: detector.score(rows), lambda: rows @ texts.T], 25
    )
    print(
        f"\n1,000 embeddings against 1,000 classes and 10,000 negatives (neglabel): decide {1e3 * whole:.0f} ms, score "
        f"alone {1e3 * score:.0f} ms, products {1e3 * bare:.0f} ms: {whole / bare:.2f} times the products, "
        f"{whole / score:.2f} times the score"
    )


def anonymous(process: int | str = "self") -> float:
    """Give the anonymous memory of a process in MiB; 0 where it has ended."""
    with open(f"/proc/{process}/status") as file:
        return next((int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon")), 0.0)


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


def rows_of_parquet(most: int) -> None:
    """Show the memory that `oodkit predict` takes for more and more rows of Parquet, with and without --fdr."""
    import pyarrow as pa
    from pyarrow import parquet

    detector = Detector.fit("msp", Outputs(torch.randn(500, 64), head=Head.zero_shot(torch.randn(10, 64), LETTERS)))
    print("\n| rows of Parquet | peak, MiB | with --fdr, MiB | seconds of both |\n|---:|---:|---:|---:|")
    rng, kind = np.random.default_rng(0), pa.schema([("embedding", pa.list_(pa.float32(), 64))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector.save(folder / "d")
        for count in (most // 10, most):
            with parquet.ParquetWriter(folder / "rows.parquet", kind) as writer:
                for start in range(0, count, 10_000):
                    flat = rng.standard_normal(64 * min(10_000, count - start), dtype=np.float32)
                    writer.write_table(pa.table([pa.FixedSizeListArray.from_arrays(pa.array(flat), 64)], schema=kind))
            found = [predicted(folder, more) for more in ([], ["--fdr", "0.1"])]
            peaks = " | ".join(f"{peak:.0f}" for peak, _ in found)
            print(f"| {count:,} | {peaks} | {sum(seconds for _, seconds in found):.0f} |", flush=True)


def predicted(folder: Path, more: Sequence[str]) -> tuple[float, float]:
    """Run `oodkit predict` on rows; give its peak of anonymous memory in MiB and its seconds of a processor."""
    out, peak = folder / "out.jsonl", 0.0
    words = [sys.executable, "-m", "ood_toolkit", "predict", str(folder / "d"), str(folder / "rows.parquet")]
    process = subprocess.Popen([*words, "-o", str(out), *more], stderr=subprocess.DEVNULL)
    while True:
        done, status, used = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        peak = max(peak, anonymous(process.pid))
        time.sleep(0.02)
    if status:
        raise SystemExit(f"oodkit predict ended with {status}")
    out.unlink()
    return peak, used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000, help="rows of Parquet, at most")
    asked = options.parse_args()
    torch.set_num_threads(1)
    one_picture()
    batches()
    memory()
    rows_of_parquet(asked.rows)


if __name__ == "__main__":
    main()
