"""A trained head in a file: what comes back, and what is refused."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.errors import DataError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.head_file import read_head, save_head

ENCODER = {"model": "toy", "weights": "w", "preprocessing": {"size": 3}}


@pytest.fixture
def head():
    return Head.linear([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [0.25, 0.0], ["ant", "bee"], unit_rows=True)


@pytest.fixture
def file(head, tmp_path):
    save_head(tmp_path / "head.safetensors", head, torch.tensor([0.1, float("-inf")]), ENCODER, {"id": "toys"})
    return tmp_path / "head.safetensors"


def test_what_is_saved_comes_back(head, file):
    saved = read_head(file)
    assert saved.head.fingerprint == head.fingerprint
    assert saved.head.unit_rows
    assert saved.head.class_names == ("ant", "bee")
    assert saved.thresholds.tolist() == [pytest.approx(0.1), float("-inf")]
    assert saved.encoder == ENCODER
    assert saved.about == {"id": "toys"}


def test_the_same_head_is_the_same_bytes(head, file, tmp_path):
    save_head(tmp_path / "again", head, torch.tensor([0.1, float("-inf")]), ENCODER, {"id": "toys"})
    assert file.read_bytes() == (tmp_path / "again").read_bytes()


def test_a_failed_write_leaves_the_old_file(head, file):
    before = file.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_head(file, head, torch.zeros(2), ENCODER, {"id": object()})
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_head_of_texts_comes_back_to_the_bit_but_not_with_further_texts(tmp_path):
    draw = torch.Generator().manual_seed(0)
    head = Head.zero_shot(torch.randn(3, 7, generator=draw), ["a", "b", "c"], scale=31.5, bias=-2.0)
    save_head(tmp_path / "x", head, None, {}, {})
    assert read_head(tmp_path / "x").head.fingerprint == head.fingerprint
    more = head.with_banks({"no": torch.randn(3, 7, generator=draw)})
    with pytest.raises(DataError, match="expected a head without further texts, got one with no"):
        save_head(tmp_path / "x", more, None, {}, {})


def refused(file, *parts):
    with pytest.raises(DataError) as error:
        read_head(file)
    said = str(error.value)
    assert "\n" not in said
    for part in (str(file), *parts):
        assert part in said


def test_what_is_no_head_is_refused_in_one_line(tmp_path):
    refused(tmp_path / "absent", "no such file; expected a head written by oodkit train head")
    refused(tmp_path, "expected a head written by oodkit train head")
    foreign = tmp_path / "foreign"
    foreign.write_bytes(pickle.dumps({"weight": [1.0]}))
    refused(foreign, "expected a head written by oodkit train head")
    save_file({"weight": torch.eye(2)}, foreign)
    refused(foreign, "got other metadata")
    save_file({"weight": torch.eye(2)}, foreign, {"oodkit": json.dumps({"format": "oodkit-detector-1"})})
    refused(foreign, "expected format oodkit-head-1, got oodkit-detector-1")
    save_file({"weight": torch.eye(2)}, foreign, {"oodkit": "[1]"})
    refused(foreign, "expected a head written by oodkit train head or prompts, got metadata [1]")


def test_a_cut_file_is_refused_wherever_it_is_cut(file):
    whole = file.read_bytes()
    for length in (0, 7, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(file)


@pytest.mark.parametrize(
    ("arrays", "said", "part"),
    [
        ({"weight": torch.full((2, 3), float("nan"))}, {}, "weight: expected finite numbers, got nan"),
        ({"bias": torch.zeros(3)}, {}, "bias: expected (2,), one a class, got (3,)"),
        ({"thresholds": torch.zeros(3)}, {}, "thresholds: expected 2 numbers"),
        ({}, {"class_names": ["ant"]}, "class_names: expected 2, one a class, got 1"),
        ({}, {"class_names": [1, 2]}, "class_names: expected a list of names"),
        ({}, {"unit_rows": "yes"}, "unit_rows: expected true or false, got 'yes'"),
        ({}, {"encoder": 3}, "damaged"),
    ],
)
def test_a_head_that_contradicts_itself_is_refused(tmp_path, arrays, said, part):
    good = {"weight": torch.ones(2, 3), "bias": torch.zeros(2), "thresholds": torch.zeros(2)}
    about = {"format": "oodkit-head-1", "class_names": ["ant", "bee"], "unit_rows": False, "encoder": {}, "about": {}}
    save_file({**good, **arrays}, tmp_path / "head", {"oodkit": json.dumps({**about, **said})})
    refused(tmp_path / "head", part)
