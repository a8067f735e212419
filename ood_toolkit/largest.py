"""`largest`: the largest numbers of each row, in falling order; on a CPU several times faster than `torch.topk`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

__all__ = ["largest"]

FEW = 8
"""Up to so many numbers `torch.topk` is the faster one."""
ROWS = 256
"""Rows below which a second thread costs more than it brings."""


def largest(rows: Tensor, count: int) -> Tensor:
    """Give the `count` largest numbers (n, count) of rows (n, k), the largest first."""
    if rows.device.type != "cpu" or count <= FEW or len(rows) == 0:
        return rows.topk(count, dim=1).values
    array = rows.detach().numpy()
    parts = max(1, min(torch.get_num_threads(), len(array) // ROWS))
    found = np.empty((len(array), count), dtype=array.dtype)

    def fill(part: int) -> None:
        place = slice(part * len(array) // parts, (part + 1) * len(array) // parts)
        found[place] = _of_part(array[place], count)

    if parts == 1:
        fill(0)
    else:
        with ThreadPoolExecutor(parts) as pool:  # numpy sorts without holding Python's lock
            list(pool.map(fill, range(parts)))
    return torch.from_numpy(found)


def _of_part(array: np.ndarray, count: int) -> np.ndarray:
    if count < array.shape[1]:
        array = np.partition(array, array.shape[1] - count, axis=1)[:, array.shape[1] - count :]
    return np.sort(array, axis=1)[:, ::-1]
