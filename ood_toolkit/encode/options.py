"""`Effort`: how encoding is gone about; none of it changes what is encoded."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["SHARD", "Effort"]

SHARD = 1024
"""Images in a shard: what a killed run may lose."""
CPU_BATCH, GPU_BATCH = 32, 256


@dataclass(frozen=True)
class Effort:
    """How encoding is gone about."""

    device: str = "cpu"
    batch: int | None = None
    """Images in a forward pass, a divisor of 1,024; by default 32 on a CPU, 256 elsewhere."""
    workers: int | None = None
    """Threads that read and decode; by default one for each core."""
    strict: bool = False
    """Whether an unreadable image is an error instead of skipped."""
    rehash: bool = False
    """Whether files are read again although neither size, time nor inode changed."""
    compile: bool = False
    """Whether the image tower is compiled first; pays off on long runs on a GPU."""
    engine: str = "local"
    """What encodes: `local`, this process, or `ray`, a cluster."""
    exchange: str | None = None
    """Address, such as `s3://bucket/folder`, where the workers of a cluster put shards if they do not see the store."""

    @property
    def own_device(self) -> str:
        """Where this process computes: with a cluster the device is that of its workers."""
        return self.device if self.engine == "local" else "cpu"

    @property
    def batch_size(self) -> int:
        """Images in a forward pass."""
        return self.batch or (CPU_BATCH if self.device.startswith("cpu") else GPU_BATCH)

    @property
    def threads(self) -> int:
        """Threads that read and decode."""
        if self.workers:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
