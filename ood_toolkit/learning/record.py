"""`Record`: what a training run writes down of itself, so that it can be told apart and done again."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ood_toolkit.report.versions import versions
from ood_toolkit.store.files import replaced_file

__all__ = ["EPOCHS", "RECORD", "Record", "data_fingerprint"]

RECORD, EPOCHS = "training.json", "epochs.csv"
SCHEMA = 1


@dataclass
class Record:
    """Everything that decided a training run, and what came of it."""

    kind: str
    """What was trained: head, clipn, cma or prompts."""
    config: Mapping[str, Any]
    """Every choice, defaults included."""
    data: Mapping[str, Mapping[str, Any]]
    """By part, such as `train`: the name of the set, how many images, and their fingerprint."""
    model: Mapping[str, Any]
    """Name and fingerprint of the model that it began with."""
    seed: int
    command: Sequence[str] = field(default_factory=lambda: sys.argv[1:])
    started: float = field(default_factory=time.time)

    def write(self, folder: Path, epochs: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
        """Write, one line an epoch, `epochs.csv`, and last `training.json`, by which a run is known to be finished.

        Each file appears whole.
        """
        said = {
            "schema": SCHEMA,
            "kind": self.kind,
            "config": self.config,
            "data": self.data,
            "model": self.model,
            "seed": self.seed,
            "command": list(self.command),
            "versions": versions(),
            "computed": {"threads": torch.get_num_threads(), "processes": int(os.environ.get("WORLD_SIZE", "1"))},
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 3),
            "result": result,
            "epochs": list(epochs),
        }
        with replaced_file(folder / EPOCHS) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(dict.fromkeys(key for epoch in epochs for key in epoch)))
            table.writeheader()
            table.writerows(epochs)
        with replaced_file(folder / RECORD) as partial:
            partial.write_text(json.dumps(_plain(said), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Give a value as JSON has it: what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def data_fingerprint(keys: np.ndarray | Iterable[bytes], *more: object) -> str:
    """Hash the row keys of images, each the SHA-256 of a picture's bytes, and what else makes the data, as text."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(bytes(key))
    for other in more:
        digest.update(b"\0" + (other.tobytes() if isinstance(other, np.ndarray) else repr(other).encode()))
    return digest.hexdigest()
