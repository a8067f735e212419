"""`Ranks`: the processes that `torchrun` started, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Ranks"]


@dataclass(frozen=True)
class Ranks:
    """One of `world` processes that learn together; each embeds its part of a batch and holds the same weights."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @classmethod
    def joined(cls, device: str = "cpu") -> Ranks:
        """Join the processes of `torchrun`; alone where it did not start this one.

        With `cuda` each process takes the GPU of its place on the machine.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls(device=device)
        if device == "cuda":
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            torch.cuda.set_device(device)  # or barriers of all processes would meet on the first GPU
        # An optimiser imports this module, whose functions have the group as a default argument: imported now, they
        # take none. Else the group outlives `leave`, and its threads can abort the process while it ends.
        import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(dist.get_rank(), world, device)

    @property
    def first(self) -> bool:
        """Whether this process writes what all have learnt."""
        return self.rank == 0

    def gather(self, rows: Tensor) -> Tensor:
        """Join the rows (b, ...) of all processes to (world * b, ...); only this one's carry a gradient."""
        if self.world == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.world)]
        dist.all_gather(parts, rows.detach().contiguous())
        parts[self.rank] = rows
        return torch.cat(parts)

    def sum(self, gradients: Iterable[Tensor]) -> None:
        """Add up tensors over all processes, in place."""
        if self.world > 1:
            for gradient in gradients:
                dist.all_reduce(gradient)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Leave the processes that were joined."""
        if self.world > 1:
            dist.destroy_process_group()
