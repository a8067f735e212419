"""`Checkpoint`: a training run on its way, written whole, read without running anything in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.errors import ModelError, TrainingError
from ood_toolkit.learning.ranks import Ranks
from ood_toolkit.learning.record import RECORD, apart
from ood_toolkit.models.weights import read_held
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import reason
from ood_toolkit.store.partial import sweep

__all__ = [
    "CHECKPOINT", "Checkpoint", "begun", "check_training_folder", "finished", "is_finished", "read_checkpoint",
    "training_folder", "write_checkpoint",
]  # fmt: skip

CHECKPOINT = "checkpoint.pt"
FORMAT = "oodkit-training-1"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands; all random choices follow from seed, epoch and row, so no random state is part of it."""

    identity: str
    """What decides the run, as text."""
    epoch: int
    """The epoch that is next or under way, from 1 on."""
    step: int
    """How many of its steps are done."""
    state: dict[str, Tensor]
    """The trained parameters by name."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    history: list[dict[str, float]]
    sums: dict[str, float]
    """Losses of the epoch under way, added up over its steps."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one; it appears whole."""
    with replaced_file(folder / CHECKPOINT) as partial, partial.open("wb") as file:  # a full disk shows in its errors
        torch.save({"format": FORMAT, **checkpoint.__dict__}, file)


def read_checkpoint(folder: Path, identity: str) -> Checkpoint | None:
    """Read the checkpoint of a run; None where there is none, `TrainingError` where it is damaged or of another run."""
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    try:
        held = read_held(file, "checkpoint")
        if not isinstance(held, dict) or held.pop("format") != FORMAT:
            raise LookupError("it has another format")
        found = _checked(Checkpoint(**held))
    except (ModelError, LookupError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{file}: not a checkpoint of a training run: {reason(error)}; start again without it"
        ) from None
    if found.identity != identity:
        raise TrainingError(
            f"{file}: it is of a run with other settings or data; give those, or another folder; "
            f"there: {apart(found.identity, identity)}; asked: {apart(identity, found.identity)}"
        )
    return found


def _checked(found: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose parts are of the kinds they must be; `LookupError` names the first that is not."""
    kinds = {
        "identity": str, "epoch": int, "step": int, "state": dict, "optimizer": dict, "scaler": dict, "history": list,
        "sums": dict,
    }  # fmt: skip
    for part, kind in kinds.items():
        if not isinstance(getattr(found, part), kind):
            raise LookupError(f"{part}: expected {kind.__name__}, got {type(getattr(found, part)).__name__}")
    if not all(isinstance(one, Tensor) for one in found.state.values()):
        raise LookupError("state: expected tensors by name")
    return found


def check_training_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that is neither new nor empty; with `resume`, one that holds no run on its way either."""
    if (folder / RECORD).exists():
        raise TrainingError(f"{folder}: it holds a finished training run; name another folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / CHECKPOINT).is_file():
            raise TrainingError(f"{folder}: expected a new or empty folder, it holds something already; name another")
        if not resume:
            raise TrainingError(f"{folder}: it holds a run on its way; pass --resume to go on, or name another folder")


def training_folder(folder: Path, *, resume: bool) -> Path:
    """Make the folder of a run, new or empty; with `resume`, one that holds a run on its way is taken up."""
    sweep(folder)
    check_training_folder(folder, resume=resume)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_finished(folder: Path) -> bool:
    """Say whether a folder holds a finished run."""
    return (folder / RECORD).is_file()


def begun(folders: Sequence[Path], ranks: Ranks, *, resume: bool) -> list[bool]:
    """Say which runs are finished and may stay so, and make the folders of the others, before the first begins."""
    done = [resume and is_finished(folder) for folder in folders]
    ranks.wait()  # until all have looked
    for folder, already in zip(folders, done, strict=True):
        if ranks.first and not already:
            training_folder(folder, resume=resume)
    ranks.wait()
    return done


def finished(folder: Path) -> None:
    """Take the checkpoint away, once all that was learnt is written."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
