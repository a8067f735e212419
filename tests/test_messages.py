"""The net of `conftest.py` catches what it is for."""

import messages
import pytest

from ood_toolkit.errors import DataError, NotFittedError
from ood_toolkit.store.foreign.arrays import read_npz

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "text",
    [
        "x.npz: cannot be read ([Errno 2] No such file or directory: 'x.npz')",
        "x.npy: cannot reshape array of size 6 into shape (4,)",
        "weights: size mismatch for visual.proj: copying a param",
        "config.json: 'NoneType' object is not subscriptable",
        "set.npz: embeddings: expected a plain array, got EOF: reading magic string, expected 8 bytes got 3",
        "rows.parquet: expected a Parquet file, got Couldn't deserialize thrift: invalid TType",
    ],
)
def test_words_that_are_not_ours_are_caught(text):
    messages.taken()
    with pytest.raises(DataError):
        raise DataError(text)
    assert messages.foreign(messages.taken()) == [text]


def test_messages_are_gathered_and_ours_pass(tmp_path, monkeypatch):
    messages.taken()
    monkeypatch.setenv("OODKIT_TEST_MESSAGES", str(tmp_path / "said"))
    with pytest.raises(DataError):
        read_npz(tmp_path / "gone.npz")
    with pytest.raises(NotFittedError):
        raise NotFittedError("msp: fit it first")
    said = messages.taken()
    assert said == [
        f"{tmp_path / 'gone.npz'}: no such file; expected an .npz file of plain arrays",
        "msp: fit it first",
    ]
    assert messages.foreign(said) == []
    assert (tmp_path / "said").read_text().count("\n") == 2


def test_what_a_command_prints_is_gathered(oodkit):
    messages.taken()
    assert oodkit("bench --scorers MSP").code == 1
    assert any("did you mean 'msp'?" in line and line.startswith("oodkit: ") for line in messages.taken())
