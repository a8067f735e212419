"""Heads of class texts in a file: the same to the bit, and refused where they are damaged."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ood_toolkit.errors import DataError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.head_file import read_head, save_head

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def head():
    return Head.zero_shot(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), NAMES, 13.7, bias=-2.5)


def test_it_comes_back_to_the_bit(head, tmp_path):
    file = tmp_path / "head.safetensors"
    save_head(file, head, None, {"model": "m"}, {"id": "digits"})
    saved = read_head(file)
    assert torch.equal(saved.head.weight, head.weight)
    assert saved.head.fingerprint == head.fingerprint
    assert (saved.head.kind, saved.head.scale, saved.head.class_names) == ("zero_shot", 13.7, NAMES)
    assert saved.head.bias.tolist() == [-2.5] * 3
    assert len(saved.thresholds) == 0
    assert (saved.encoder, saved.about) == ({"model": "m"}, {"id": "digits"})
    rows = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(saved.head.logits(rows), head.logits(rows))


def test_further_texts_are_no_part_of_it(head, tmp_path):
    with pytest.raises(DataError, match="expected a head without further texts, got one with no"):
        save_head(tmp_path / "x", head.with_banks({"no": torch.randn(3, 8)}), None, {}, {})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arrays", "said", "message"),
    [
        ({"weight": torch.ones(3, 8)}, {}, "weight: expected unit rows"),
        ({"bias": torch.tensor([1.0, 2.0, 1.0])}, {}, "bias: expected one number for all classes"),
        ({"bias": torch.empty(0)}, {}, "bias: expected one number for all classes"),
        ({"thresholds": torch.ones(3)}, {}, r"thresholds: expected 0 numbers, got shape \(3,\)"),
        ({}, {"kind": "forest"}, "kind: expected linear or zero_shot, got 'forest'"),
        ({}, {"scale": -1.0}, "scale: expected a number above 0"),
        ({}, {"class_names": ["a"]}, "class_names: expected 3, one a class, got 1"),
    ],
)
def test_damaged_files_are_refused(head, tmp_path, arrays, said, message):
    from safetensors import safe_open

    file = tmp_path / "head.safetensors"
    save_head(file, head, None, {}, {})
    with safe_open(file, framework="pt") as held:
        about = json.loads(held.metadata()["oodkit"])
    save_file(load_file(file) | arrays, file, {"oodkit": json.dumps(about | said)})
    with pytest.raises(DataError, match=rf"^[^\n]*{message}[^\n]*$"):
        read_head(file)
