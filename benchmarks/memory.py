"""Peak anonymous memory of `oodkit bench` on imported arrays: 1,000,000 x 512 float16 rows, 1,000 classes.

    python benchmarks/memory.py [--rows 1000000] [--limit 700] [--scorers msp,energy,classwise]

Rows are made once into a store in a temporary folder (1.1 GB), half of them ID and half OOD; then the command runs in a
process of its own, whose anonymous memory (RssAnon; mapped files are apart) is sampled every 10 ms. Exit code 1 where
it passes the limit. Linux only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from ood_toolkit.store.imports import Imports

WIDTH, CLASSES = 512, 1000
BLOCK = 50_000


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Images, ID and OOD together.")
@click.option("--limit", default=700, show_default=True, help="MiB of anonymous memory.")
@click.option("--scorers", default="msp,energy,classwise", show_default=True, help="As of oodkit bench.")
def main(rows: int, limit: int, scorers: str) -> None:
    """Print the peak."""
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), rows)
        command = ["bench", "--id", "near", "--ood", "far", "--scorers", scorers, "--store", folder, "--model", "m"]
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "ood_toolkit", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.01)
    if process.returncode:
        raise click.ClickException(process.stderr.read().decode() if process.stderr else "bench failed")
    seconds = time.monotonic() - start
    print(f"{rows:,} x {WIDTH} float16, {CLASSES:,} classes, {scorers}: {peak >> 20} MiB in {seconds:.0f} s")
    sys.exit(1 if peak > limit << 20 else 0)


def make_store(folder: Path, rows: int) -> None:
    """Write ID and OOD rows around class texts, with labels, under the model label m."""
    draw = np.random.default_rng(0)
    texts = draw.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    count = rows // 2
    for name, spread in (("near", 2.0), ("far", 6.0)):
        file = folder / f"{name}.rows"
        features = np.memmap(file, np.float16, mode="w+", shape=(count, WIDTH))
        labels = draw.integers(0, CLASSES, count)
        for start in range(0, count, BLOCK):
            part = labels[start : start + BLOCK]
            noise = draw.normal(size=(len(part), WIDTH)).astype(np.float32)
            features[start : start + BLOCK] = texts[part] + spread * noise
        arrays = {"features": features, "text": texts, "classes": np.array([f"class {i}" for i in range(CLASSES)])}
        Imports(folder).add(name, "m", "test", arrays | {"labels": labels}, file.name)
        del features, arrays
        os.unlink(file)


def anonymous(pid: int) -> int:
    """Read the bytes of anonymous memory of a process, 0 where it has ended."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


if __name__ == "__main__":
    main()
