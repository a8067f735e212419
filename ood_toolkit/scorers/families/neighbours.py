"""`nearest`: the rows of a bank with the largest inner products, without ever holding all products."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BANK_ROWS = 8192
"""Rows of the bank that one product compares with, at most."""


def nearest(rows: Tensor, bank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Give the `count` largest inner products of rows (n, d) with a bank (m, d), falling, and their places.

    Both are (n, min(count, m)); a running top-k over blocks of the bank.
    """
    import torch

    products, places = rows.new_empty(len(rows), 0), rows.new_empty(len(rows), 0).long()
    blocks = -(-len(bank) // BANK_ROWS)
    size = -(-len(bank) // blocks)
    for start in range(0, len(bank), size):
        block = rows @ bank[start : start + size].to(rows).T  # (n, at most size)
        near, where = block.topk(min(count, block.shape[1]), dim=1)
        if start == 0:
            products, places = near, where
            continue
        products, order = torch.cat([products, near], dim=1).topk(min(count, products.shape[1] + near.shape[1]), dim=1)
        places = torch.cat([places, where + start], dim=1).gather(1, order)
    return products, places
