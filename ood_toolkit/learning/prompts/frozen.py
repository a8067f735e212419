"""What a frozen image tower gives of examples: known from the start where nothing changes it, else made anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import DataError
from ood_toolkit.learning.loop import Batch
from ood_toolkit.learning.pictures import PictureLoader

__all__ = ["FrozenTower", "Known", "Seen", "patches_of"]

IN_MEMORY = 2 << 30
"""Bytes of patch embeddings that are kept; more are made anew for each batch."""
AT_ONCE = 32
"""Pictures in a forward pass."""


class FrozenTower(ABC):
    """What a frozen image tower gives of n examples: `features` (b, d), and where asked for `local` (b, r, d)."""

    @abstractmethod
    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load what `embed` takes of some examples, on the CPU; `rows` says which ones they are."""

    @abstractmethod
    def embed(self, batch: Batch) -> Batch:
        """Give the outputs of a batch, with its `rows`."""


class Known(FrozenTower):
    """Outputs (n, ...) by kind that stay the same in every epoch."""

    def __init__(self, outputs: Batch) -> None:
        self.outputs = outputs

    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Take rows out of what is known."""
        wanted = torch.as_tensor(rows)
        return {"rows": wanted, **{kind: known[wanted] for kind, known in self.outputs.items()}}

    def embed(self, batch: Batch) -> Batch:
        """Give the batch as it is."""
        return batch


class Seen(FrozenTower):
    """Outputs of pictures that go through the tower in every epoch."""

    def __init__(self, model: Model, loader: PictureLoader, *, local: bool) -> None:
        self.model, self.loader, self.local = model, loader, local

    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load the pictures."""
        pixels, used = self.loader.load(rows, epoch)
        return {"rows": torch.as_tensor(used), "pixels": pixels}

    def embed(self, batch: Batch) -> Batch:
        """Run the tower."""
        return {"rows": batch["rows"], **_outputs(self.model, batch["pixels"], self.local)}


def patches_of(model: Model, items: Sequence[Picture], threads: int) -> Batch | None:
    """Give features and patch embeddings of pictures as they are, on the CPU; None where they are too large to keep."""
    loader = PictureLoader(model, items, 0, crop=False, threads=threads)
    device = next(_network(model).parameters()).device
    made: list[Batch] = []
    for start in range(0, len(items), AT_ONCE):
        rows = range(start, min(start + AT_ONCE, len(items)))
        pixels, used = loader.load(rows, 0)
        if used != list(rows):
            lost = next(iter(loader.unreadable.values()))
            raise DataError(f"a picture can no longer be read: {lost}; run it again to leave it out")
        found = _outputs(model, pixels.to(device), True)
        size = found["local"][0].numel() * found["local"].element_size() * len(items)
        if size > IN_MEMORY:
            return None
        made.append({kind: part.cpu() for kind, part in found.items()})
    return {kind: torch.cat([part[kind] for part in made]) for kind in made[0]}


def _network(model: Any) -> torch.nn.Module:
    return model.clip


def _outputs(model: Any, pixels: Tensor, local: bool) -> Batch:
    with torch.no_grad():
        if not local:
            return {"features": model.encode_images(pixels)}
        found = model.run(pixels, ("features", "local"))
        return {kind: found[kind].float() for kind in ("features", "local")}
