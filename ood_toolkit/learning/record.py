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

from ood_toolkit.errors import TrainingError
from ood_toolkit.report.versions import versions
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import reason, shown
from ood_toolkit.store.foreign.objects import read_object

__all__ = ["EPOCHS", "RECORD", "Record", "apart", "data_fingerprint"]

RECORD, EPOCHS = "training.json", "epochs.csv"
SCHEMA = 1
LONGEST = 600
"""Letters that are shown of what sets one run apart from another."""


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

    @property
    def identity(self) -> str:
        """What decides the run, as text: every choice, the model, and the fingerprint of each part of the data."""
        return _identity(self.kind, self.config, self.data, self.model)

    def read(self, folder: Path) -> dict[str, Any]:
        """Read what a finished run wrote; `TrainingError` where it is damaged, or of a run that decides otherwise."""
        file = folder / RECORD
        held = read_object(file, TrainingError)
        try:
            there = _identity(*(held[part] for part in ("kind", "config", "data", "model")))
        except (LookupError, TypeError, AttributeError) as error:
            raise TrainingError(f"{file}: not a record of a training run: {reason(error)}") from None
        if there != self.identity:
            raise TrainingError(
                f"{folder}: it holds a run with other settings or data; give those, or another folder; "
                f"there: {apart(there, self.identity)}; asked: {apart(self.identity, there)}"
            )
        return held

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


def _identity(
    kind: str, config: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]
) -> str:
    learnt = {f"{part} fingerprint": said["fingerprint"] for part, said in data.items()}
    begun = {f"model {key}": value for key, value in model.items()}
    return json.dumps(_plain({"kind": kind, **config, **learnt, **begun}), sort_keys=True, ensure_ascii=False)


def apart(one: str, other: str) -> str:
    """Give what one identity says and the other does not."""
    known = set(other.strip("{}").split(", "))
    alone = ", ".join(dict.fromkeys(part for part in one.strip("{}").split(", ") if part not in known))
    return shown(alone, LONGEST) or "nothing else"


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
