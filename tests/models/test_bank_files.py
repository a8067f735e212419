"""Files of text embeddings, each written here in its documented layout."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.errors import ModelError
from ood_toolkit.models.bank_files import read_bank

WIDTH = 6
NAMES = ("tench", "great white shark", "hen")
ROWS = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)
SETS = np.random.default_rng(1).normal(size=(4, 3, WIDTH)).astype(np.float32)
MANY = np.random.default_rng(2).normal(size=(7, WIDTH)).astype(np.float32)
ORDER = [2, 0, 1]
"""The file's class list: its i-th row is of class ORDER[i]."""
SHUFFLED = [NAMES[i] for i in ORDER]


def unit(rows):
    return rows / np.sqrt((rows.astype(np.float64) ** 2).sum(axis=-1, keepdims=True))


def write(path, held):
    if path.suffix == ".npz":
        np.savez(path, **held)
    elif path.suffix == ".npy":
        np.save(path, held)
    elif path.suffix == ".safetensors":
        save_file({key: torch.from_numpy(value) for key, value in held.items()}, path)
    else:
        torch.save(held, path)
    return path


def tensors(held):
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in held.items()}


@pytest.mark.parametrize("key", ["embeddings", "text", "features", "weight"])
@pytest.mark.parametrize("rows", [MANY, ROWS, SETS], ids=["words", "classes", "sets"])
@pytest.mark.parametrize("kind", ["a.npz", "a.safetensors", "a.pt"])
def test_arrays_by_name(tmp_path, kind, rows, key):
    held = {key: rows}
    found = read_bank(write(tmp_path / kind, tensors(held) if kind == "a.pt" else held), WIDTH, NAMES)
    np.testing.assert_allclose(found.embeddings.numpy(), unit(rows), rtol=1e-5)
    assert (found.embeddings.dtype, found.texts) == (torch.float32, None)


@pytest.mark.parametrize("held", [torch.from_numpy(MANY), torch.nn.Parameter(torch.from_numpy(MANY)), MANY])
def test_an_array_alone(tmp_path, held):
    file = tmp_path / ("a.npy" if isinstance(held, np.ndarray) else "a.pth")
    np.testing.assert_allclose(read_bank(write(file, held), WIDTH, NAMES).rows.numpy(), unit(MANY), rtol=1e-5)


def test_strings_stay_with_their_rows(tmp_path):
    words = [f"word {i}" for i in range(7)]
    for kind, strings in (("a.npz", np.array(words)), ("a.pt", words)):
        held = {"embeddings": MANY, "texts": strings}
        found = read_bank(write(tmp_path / kind, tensors(held) if kind == "a.pt" else held), WIDTH, NAMES, "negatives")
        assert found.texts == tuple(words)
        np.testing.assert_allclose(found.rows.numpy(), unit(MANY), rtol=1e-5)


def classifiers():
    """Give a "no" classifier in each layout that carries its class list, in another order than the head's."""
    rows = torch.from_numpy(ROWS[ORDER])
    longer = torch.cat([torch.ones(1, WIDTH), rows])
    return {
        "pair": (SHUFFLED, rows),
        "pair, matrix first": (rows, SHUFFLED),
        "list": [SHUFFLED, rows],
        "classes": {"weight": rows, "classes": SHUFFLED},
        "class_names": {"embeddings": rows, "class_names": SHUFFLED},
        "names": {"embeddings": rows, "names": SHUFFLED},
        "own name": {"no": rows, "weight": torch.zeros(2, 2), "names": SHUFFLED},
        "further classes": (["cat", *SHUFFLED], longer),
        "a row a class": dict(zip(SHUFFLED, rows, strict=True)),
        "half": (SHUFFLED, rows.double()),
    }


@pytest.mark.parametrize("layout", classifiers())
def test_class_lists_put_rows_in_the_order_of_the_head(tmp_path, layout):
    found = read_bank(write(tmp_path / "no.pt", classifiers()[layout]), WIDTH, NAMES, "no")
    np.testing.assert_allclose(found.embeddings.numpy(), unit(ROWS), rtol=1e-5)
    assert found.texts in (NAMES, None)


def test_a_class_list_of_strings_in_npz(tmp_path):
    file = write(tmp_path / "no.npz", {"text": ROWS[ORDER], "classes": np.array(SHUFFLED)})
    np.testing.assert_allclose(read_bank(file, WIDTH, NAMES, "no").rows.numpy(), unit(ROWS), rtol=1e-5)


def test_several_rows_a_class_as_lsn_learns_them(tmp_path):
    each = {NAMES[i]: torch.from_numpy(SETS[:, i].copy()) for i in ORDER}
    for kind in ("a.pt", "a.safetensors"):
        held = each if kind == "a.pt" else {name: rows.numpy() for name, rows in each.items()}
        found = read_bank(write(tmp_path / kind, held), WIDTH, NAMES, "negatives")
        np.testing.assert_allclose(found.embeddings.numpy(), unit(SETS), rtol=1e-5)
    file = write(tmp_path / "b.pt", {"embeddings": torch.from_numpy(SETS[:, ORDER]), "classes": SHUFFLED})
    np.testing.assert_allclose(read_bank(file, WIDTH, NAMES).embeddings.numpy(), unit(SETS), rtol=1e-5)


def test_negprompts_rows_count_classes_first(tmp_path):
    held = {"positives": torch.from_numpy(ROWS), "negatives": torch.from_numpy(SETS.transpose(1, 0, 2).copy())}
    file = write(tmp_path / "a.pt", held)
    np.testing.assert_allclose(read_bank(file, WIDTH, NAMES, "negatives").embeddings.numpy(), unit(SETS), rtol=1e-5)
    np.testing.assert_allclose(read_bank(file, WIDTH, NAMES, "positives").embeddings.numpy(), unit(ROWS), rtol=1e-5)


def test_a_class_list_equal_to_the_heads_may_repeat_a_name(tmp_path):
    """OpenAI's 1,000 names of ImageNet have two that occur twice."""
    names = ["missile", "hen", "missile"]
    file = write(tmp_path / "no.pt", (names, torch.from_numpy(ROWS)))
    np.testing.assert_allclose(read_bank(file, WIDTH, names, "no").rows.numpy(), unit(ROWS), rtol=1e-5)
    with pytest.raises(ModelError, match="'missile' is the name of several classes, so rows cannot be told apart"):
        read_bank(file, WIDTH, ["missile", "missile", "hen"], "no")


class Runs:
    def __reduce__(self):
        return (print, ("something in a file was run",))


ROW_TENSOR = torch.from_numpy(ROWS)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ((["tench", "hen"], ROW_TENSOR[:2]), r"has no row for the class 'great white shark' \(1 of 3 are absent\)"),
        ((["tench", "hen", "hen", NAMES[1]], torch.ones(4, WIDTH)), "has 2 rows for the class 'hen'; keep one"),
        ((["tench", "hen"], ROW_TENSOR), "expected 3 strings, one a row, got 2"),
        ({"embeddings": ROW_TENSOR, "names": ["a", "b", "c"]}, "has no row for the class 'tench'"),
        ({"embeddings": ROW_TENSOR, "classes": 3}, "classes: expected a list of strings, got int"),
        (torch.ones(2, WIDTH), "expected 3 rows, one a class, got 2"),
        (torch.ones(2, 3, WIDTH), r"expected \(3, d\), one row a class, got \(2, 3, 6\)"),
        (torch.ones(3, 5), r"expected rows of width 6, as the head has, got \(3, 5\)"),
        (torch.zeros(3, WIDTH), "row 0 is all zeros"),
        (torch.full((3, WIDTH), torch.nan), "expected finite numbers, got nan"),
        (
            {"weight": ROW_TENSOR, "text": ROW_TENSOR},
            "expected one array named no or embeddings or .*, got weight, text",
        ),
        ({"bias": ROW_TENSOR}, "expected one array named .*, got bias"),
        ({}, "expected one array named .*, got nothing"),
        (
            {"tench": torch.ones(2, WIDTH), "hen": torch.ones(1, WIDTH), NAMES[1]: torch.ones(2, WIDTH)},
            "expected the same shape for each class",
        ),
        ("words", "expected an array of numbers"),
        (Runs(), "holds more than tensors"),
        ({"embeddings": ROW_TENSOR, "names": Runs()}, "holds more than tensors"),
    ],
)
def test_what_is_no_such_bank_is_refused_in_one_line(tmp_path, held, message, capsys):
    file = write(tmp_path / "no.pt", held)
    with pytest.raises(ModelError, match=rf"^text:no: [^\n]*{message}[^\n]*$"):
        read_bank(file, WIDTH, NAMES, "no")
    assert capsys.readouterr().out == ""


def test_sets_must_have_a_row_a_class(tmp_path):
    file = write(tmp_path / "a.npy", SETS.transpose(1, 0, 2))
    with pytest.raises(
        ModelError,
        match=r"expected \(p, 3, d\), p sets of one row a class, got \(3, 4, 6\); transpose its first two axes$",
    ):
        read_bank(file, WIDTH, NAMES)


def test_files_that_are_no_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=np.array([Runs()], dtype=object))
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 20)
    (tmp_path / "d.npy").write_bytes(b"")
    for file in tmp_path.iterdir():
        with pytest.raises(ModelError, match=r"^text:bank: cannot read [^\n]*$"):
            read_bank(file, WIDTH, NAMES)
    with pytest.raises(ModelError, match=r"^text:no: no file"):
        read_bank(tmp_path / "none.npz", WIDTH, NAMES, "no")
    (tmp_path / "e.csv").write_text("1")
    with pytest.raises(ModelError, match=r"^text:no: expected a file that ends in .*\.npz, \.npy, got"):
        read_bank(tmp_path / "e.csv", WIDTH, NAMES, "no")
