import numpy as np
import pytest
import torch

from ood_toolkit.outputs.softmax import largest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(1, 1, 1), (3, 5, 5), (700, 40, 20), (513, 200, 199), (2, 9, 8)]
)
def test_equals_a_full_sort(rows, columns, count, dtype):
    values = torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    wanted = np.array([sorted(row, reverse=True)[:count] for row in values.tolist()], dtype=values.numpy().dtype)
    np.testing.assert_array_equal(largest(values, count).numpy(), wanted)


def test_leaves_its_input_alone_and_takes_any_layout():
    values = torch.randn(40, 600, generator=torch.Generator().manual_seed(0))
    before = values.clone()
    wide = largest(values.T, 20)
    assert torch.equal(values, before)
    assert torch.equal(wide, values.T.topk(20, dim=1).values)
