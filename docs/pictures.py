"""Write the pictures of the documentation into `docs/pictures`; run it as `python docs/pictures.py`.

They are plots of runs on the embedded sets, digits against letters, so that anybody can make them again: with the same
bytes on the same kind of machine, but for `pareto`, whose seconds are measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PLACE = Path(__file__).resolve().parent / "pictures"
SETS = ("--id", "digits", "--ood", "letters,patches")
FEW = "classwise,msp,energy,knn"
KINDS = "msp,mcm,gradnorm,knn,mahalanobis"
"""One that needs logits, class texts, features with a head, training images, and these with labels."""
PLOTS = {
    FEW: {
        "roc": ("--kind", "roc"),
        "hist": ("--kind", "hist", "--scorers", "energy"),
        "thresholds": ("--kind", "thresholds"),
        "risk-coverage": ("--kind", "risk-coverage"),
        "scatter": ("--kind", "scatter", "--scorers", "msp,energy", "--width", "3.3"),
        "pareto": ("--kind", "pareto"),
        "reliability": ("--kind", "reliability"),
    },
    KINDS: {"kinds": ("--kind", "roc", "--log")},
}
"""What `oodkit plot` is asked for, by the scorers of the run and the name of the picture."""
LARGEST = 100_000
"""Bytes of a picture."""


def main() -> None:
    """Run and draw."""
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        for number, (scorers, pictures) in enumerate(PLOTS.items()):
            run = Path(folder, f"run-{number}")
            _oodkit(store, "bench", "--scorers", scorers, *SETS, "--output", str(run))
            for name, words in pictures.items():
                _draw(store, run, name, words)


def _draw(store: Path, run: Path, name: str, words: tuple[str, ...]) -> None:
    """Draw one picture; of many points a picture of dots is smaller than lines."""
    file = PLACE / f"{name}.{'png' if name == 'scatter' else 'svg'}"
    _oodkit(store, "plot", str(run), *words, "-o", str(file))
    if file.suffix == ".png":
        _few_colours(file)
    if file.stat().st_size > LARGEST:
        raise SystemExit(f"{file.name}: expected at most {LARGEST:,} bytes, got {file.stat().st_size:,}")


def _few_colours(file: Path) -> None:
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(32).save(file, optimize=True)


def _oodkit(store: Path, *words: str) -> None:
    given = {"OODKIT_STORE": str(store), "OODKIT_NO_PLUGINS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ood_toolkit", *words],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"oodkit {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
