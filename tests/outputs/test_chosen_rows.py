import os

import numpy as np
import pytest
import torch

from ood_toolkit.outputs import Outputs, arrays
from ood_toolkit.outputs.arrays import rows_of


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(20_000, 3), (20_000, 2, 2), (20_000,)])
def test_many_chosen_rows_lie_in_a_mapped_file_and_are_the_same(dtype, shape, monkeypatch):
    held = torch.arange(np.prod(shape), dtype=torch.float64).reshape(shape).to(dtype)
    places = torch.from_numpy(np.random.default_rng(0).integers(0, 20_000, 17_000))
    monkeypatch.setattr(arrays, "IN_MEMORY", 1000)
    found = rows_of(held, places)
    assert found.dtype == dtype
    assert torch.equal(found, held[places])


def mapped_files():
    with open("/proc/self/maps") as maps:
        return sum("(deleted)" in line for line in maps)


def test_chosen_outputs_are_mapped_where_they_are_large_and_in_memory_where_there_is_no_room(monkeypatch):
    x = Outputs(torch.rand(5000, 4) + 1)
    before = mapped_files()
    rows = np.arange(0, 5000, 2)
    small = x[rows]
    assert mapped_files() == before
    monkeypatch.setattr(arrays, "IN_MEMORY", 1000)
    large = x[rows]
    assert mapped_files() == before + 1
    assert torch.equal(large.features, small.features)

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    again = x[rows]
    assert mapped_files() == before + 1
    assert torch.equal(again.features, small.features)
    del large
    assert mapped_files() == before
