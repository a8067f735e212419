import numpy as np
import pandas
import pytest
import torch

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.arrays import as_labels, as_tensor, check_rows, scoring_precision, to_numpy

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([[1, 2], [3, 4]], torch.float32),
        (np.array([[1, 2], [3, 4]]), torch.float32),
        (np.array([[1, 2], [3, 4]], np.uint16), torch.float32),
        (torch.tensor([[1, 2], [3, 4]]), torch.float32),
        (np.array([[1, 2], [3, 4]], np.float64), torch.float64),
        (np.array([[1, 2], [3, 4]], ">f4"), torch.float64),
        (np.array([[1, 2], [3, 4]], np.longdouble), torch.float64),
        (np.array([[1, 2], [3, 4]], np.float16), torch.float16),
        (torch.tensor([[1, 2], [3, 4]], dtype=torch.bfloat16), torch.bfloat16),
        (torch.tensor([[1.0, 2], [3, 4]], requires_grad=True), torch.float32),
        (np.array([[2, 1], [4, 3]], np.float32)[:, ::-1], torch.float32),
    ],
)
def test_numbers_of_any_kind_keep_their_values(value, dtype):
    tensor = as_tensor(value, "features", 2)
    assert tensor.dtype == dtype
    assert not tensor.requires_grad
    assert tensor.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([["a", "b"]], "features: expected an array of numbers, got <U1 (list)"),
        ("text", "features: expected an array of numbers, got <U4 (str)"),
        ([[1, 2], [3]], "features: expected an array of numbers, got ragged rows"),
        (np.array([[None]]), "features: expected an array of numbers, got object"),
        (np.array([[1j]]), "features: expected an array of numbers, got complex128"),
        (torch.tensor([[1j]]), "features: expected real numbers, got torch.complex64"),
        ([1.0, 2.0], "features: expected 2 dimensions, got shape (2,)"),
        (np.zeros((2, 2, 2)), "features: expected 2 dimensions, got shape (2, 2, 2)"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(value, message):
    with pytest.raises(OutputsError) as error:
        as_tensor(value, "features", 2)
    assert str(error.value).startswith(message)


def test_either_of_two_shapes_is_named():
    with pytest.raises(OutputsError, match=r"bank: expected 2 or 3 dimensions, got shape \(1,\)"):
        as_tensor([1.0], "bank", (2, 3))


@pytest.mark.parametrize("layout", ["rows", "columns first", "some columns"])
def test_a_read_only_memory_map_is_wrapped_not_copied(tmp_path, layout):
    written = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.save(tmp_path / "x.npy", np.asfortranarray(written) if layout == "columns first" else written)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    mapped = mapped[:, 1:3] if layout == "some columns" else mapped
    tensor = as_tensor(mapped, "features", 2)
    assert tensor.data_ptr() == mapped.ctypes.data
    assert tensor.tolist() == np.asarray(mapped).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_named_with_its_row(dtype, bad):
    rows = torch.ones(20_000, 3, dtype=dtype)
    rows[17_000, 1] = bad
    with pytest.raises(OutputsError, match=rf"logits: expected finite numbers, got {bad} in row 17000; drop that row"):
        check_rows(rows, "logits")


@pytest.mark.parametrize("value", [1e200, 1e-200, -1e300])
def test_numbers_whose_squares_leave_float64_are_finite(value):
    check_rows(torch.full((3, 2), value, dtype=torch.float64), "features", unit_rows=True)


def test_a_row_of_zeros_is_refused_only_where_it_is_normalised():
    rows = torch.ones(9000, 2)
    rows[8500] = 0
    check_rows(rows, "features")
    with pytest.raises(OutputsError, match="features: row 8500 is all zeros and has no direction; drop it"):
        check_rows(rows, "features", unit_rows=True)


def test_no_rows_are_refused():
    with pytest.raises(OutputsError, match="features: expected at least one row, got none"):
        check_rows(torch.empty(0, 3), "features")


@pytest.mark.parametrize("kind", [list, np.uint8, np.int16, np.uint64, torch.int32])
def test_labels_of_any_whole_type_become_int64(kind):
    given = [2, 0, 1]
    if kind is not list:
        given = torch.tensor(given, dtype=kind) if isinstance(kind, torch.dtype) else np.array(given, kind)
    labels = as_labels(given, "labels", 3, 3)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "labels: expected whole numbers, got torch.float64"),
        ([True, False], "labels: expected whole numbers, got torch.bool"),
        (["cat", "dog"], "labels: expected an array of numbers, got <U3"),
        ([0, 1, 2], "labels: expected shape (2,), one a row, got (3,)"),
        ([[0], [1]], "labels: expected shape (2,), one a row, got (2, 1)"),
        ([0, 3], "labels: expected class indices from 0 to 2 (or -1 for none of them), got 3"),
        ([0, -2], "labels: expected class indices from 0 to 2 (or -1 for none of them), got -2"),
    ],
)
def test_labels_that_index_no_class_are_refused(labels, message):
    with pytest.raises(OutputsError) as error:
        as_labels(labels, "labels", 2, 3)
    assert str(error.value).startswith(message)


def test_minus_one_is_a_label():
    assert as_labels([-1, 2], "labels", 2, 3).tolist() == [-1, 2]


def test_half_precisions_come_out_as_float32():
    for dtype in (torch.float16, torch.bfloat16):
        array = to_numpy(torch.tensor([1.5], dtype=dtype, requires_grad=True))
        assert array.dtype == np.float32
        assert array.tolist() == [1.5]
    assert to_numpy([1, 2]).tolist() == [1, 2]


def test_scores_are_computed_in_float32_or_better():
    kept = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float64: torch.float64}
    for stored, used in kept.items():
        assert scoring_precision(torch.ones(1, dtype=stored)).dtype == used
    same = torch.ones(1)
    assert scoring_precision(same) is same


def test_columns_of_vectors_are_stacked():
    rows = [np.arange(3, dtype=np.float32), np.ones(3, np.float32)]
    for column in (
        pandas.Series(rows),
        pandas.Series([row.tolist() for row in rows]),
        np.array([*rows, None], object)[:2],
    ):
        assert as_tensor(column, "features", 2).tolist() == [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]
    with pytest.raises(OutputsError, match="features: expected rows of one length"):
        as_tensor(pandas.Series([[1.0], [1.0, 2.0]]), "features", 2)
    with pytest.raises(OutputsError, match="expected an array of numbers, got object"):
        as_tensor(pandas.Series(["a", "b"], dtype=object), "features", 2)
    with pytest.raises(OutputsError, match="features: row 1 is None; drop it, or fill it in"):
        as_tensor(pandas.Series([[1.0], None]), "features", 2)


def test_arrow_columns_of_vectors_are_stacked():
    arrow = pytest.importorskip("pyarrow")
    lists = arrow.array([[0.0, 1.0], [2.0, 3.0]])
    fixed = arrow.array([[0.0, 1.0], [2.0, 3.0]], arrow.list_(arrow.float32(), 2))
    for column in (lists, fixed, arrow.chunked_array([lists, lists])):
        assert as_tensor(column, "features", 2)[:2].tolist() == [[0.0, 1.0], [2.0, 3.0]]
