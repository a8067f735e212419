"""A model that the store remembers is the model that would be loaded, or is loaded."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from ood_toolkit.api.model import Model, ModelEntry
from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ModelError
from ood_toolkit.models import remembered as module
from ood_toolkit.models.names import Choice, find_model
from ood_toolkit.models.remembered import FACTS, RememberedModel, remembered
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.cards import Cards
from ood_toolkit.store.verification import damaged


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch):
    monkeypatch.setattr("ood_toolkit.store.cards.FRESH_NS", -1)


class Toy(Model):
    """Its weights are the text in a file."""

    name, scale, architecture, kinds = "toy", 0.1 + 0.2, "a", ("features", "local")

    def __init__(self, text, mode="shortest"):
        self.fingerprint, self.preprocessing, self.device = text, {"mode": mode, "mean": (0.1, 1 / 3)}, "cpu"

    def preprocess(self, image):
        return torch.ones(1, 1, 1)

    def encode_images(self, batch):
        return batch.flatten(1).float()

    def encode_texts(self, texts):
        return torch.ones(len(texts), 2)

    def to(self, device):
        self.device = device
        return self


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights.txt"
    file.write_text("one")
    return file


@pytest.fixture
def toy(weights):
    """A choice of the toy that counts how often it is loaded."""
    loads = []

    def load(mode="shortest", head=None):
        loads.append(mode)
        model = Toy(weights.read_text(), mode)
        model.head = head
        return model

    def choose(**options):
        entry = ModelEntry("toy", "A toy.", load=load, files=lambda **given: [weights], options=dict.fromkeys(options))
        return Choice(f"toy{''.join(f':{k}={v}' for k, v in options.items())}", entry, "", options)

    choose.loads = loads
    return choose


def same_facts(a, b):
    for name, kind in FACTS.items():
        one, other = kind(getattr(a, name)), kind(getattr(b, name))
        if name == "preprocessing":
            one, other = ({k: list(v) if isinstance(v, tuple) else v for k, v in x.items()} for x in (one, other))
        assert one == other, name


def test_a_second_run_loads_nothing_and_knows_all(tmp_path, toy):
    first = remembered(toy(), tmp_path)
    second = remembered(toy(), tmp_path)
    assert type(first) is Toy
    assert type(second) is RememberedModel
    assert second.name == "toy"
    same_facts(first, second)
    assert toy.loads == ["shortest"]


def test_it_is_loaded_once_when_it_has_to_run_and_to_its_device(tmp_path, toy):
    remembered(toy(), tmp_path)
    model = remembered(toy(), tmp_path)
    assert model.to("meta") is model
    with torch.inference_mode():
        rows = model.encode_texts(["a", "b"])
    assert rows.shape == (2, 2)
    assert model.preprocess(None).shape == (1, 1, 1)
    assert set(model.encode(torch.ones(3, 1, 1, 1), ("features",))) == {"features"}
    assert model.overlong(["a"]) == ()
    assert model.loaded().device == "meta"
    assert len(toy.loads) == 2


def test_weights_of_the_same_size_and_time_are_other_weights(tmp_path, toy, weights):
    remembered(toy(), tmp_path)
    before = os.stat(weights)
    weights.rename(tmp_path / "old.txt")
    weights.write_text("two")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(weights).st_size == before.st_size
    assert remembered(toy(), tmp_path).fingerprint == "two"
    again = remembered(toy(), tmp_path)
    assert (type(again), again.fingerprint) == (RememberedModel, "two")


def test_another_option_is_another_model(tmp_path, toy):
    remembered(toy(), tmp_path)
    assert remembered(toy(mode="squash"), tmp_path).preprocessing["mode"] == "squash"
    assert toy.loads == ["shortest", "squash"]
    for options in ({}, {"mode": "squash"}):
        assert type(remembered(toy(**options), tmp_path)) is RememberedModel
    assert len(toy.loads) == 2


@pytest.mark.parametrize("changed", ["version_of", "code_of"])
def test_another_version_of_a_library_or_of_the_code_loads_it_again(tmp_path, toy, monkeypatch, changed):
    remembered(toy(), tmp_path)
    real = getattr(module, changed)
    monkeypatch.setattr(module, changed, lambda of: f"{real(of)}+1" if of != "torch" else real(of))
    assert type(remembered(toy(), tmp_path)) is Toy
    assert type(remembered(toy(), tmp_path)) is RememberedModel
    assert len(toy.loads) == 2


def test_again_loads_it_and_remembers_it_anew(tmp_path, toy):
    for _ in range(2):
        assert type(remembered(toy(), tmp_path, again=True)) is Toy
    assert type(remembered(toy(), tmp_path)) is RememberedModel


def test_a_damaged_card_is_made_anew(tmp_path, toy):
    remembered(toy(), tmp_path)
    (path,) = (tmp_path / "models").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + b"?" + whole[51:])
    assert [place for place, _ in damaged(tmp_path)] == [path]
    assert type(remembered(toy(), tmp_path)) is Toy
    assert list(damaged(tmp_path)) == []
    assert type(remembered(toy(), tmp_path)) is RememberedModel


@pytest.mark.parametrize(
    ("facts", "arrays"),
    [
        ({"scale": None}, {}),
        ({"kinds": 3}, {}),
        ({"preprocessing": "crop"}, {}),
        ({"classes": ["a"]}, {}),
        ({"classes": 7}, {}),
        ({}, {"weight": np.zeros((2, 2, 2), np.float32)}),
        ({}, {"weight": np.full((2, 2), np.nan, np.float32)}),
        ({}, {"bias": np.zeros(9, np.float32)}),
    ],
)
def test_a_card_that_says_what_no_model_is_has_it_loaded(tmp_path, toy, facts, arrays):
    choice = toy(head=Head.linear(torch.eye(2), None, ["a", "b"]))
    remembered(choice, tmp_path)
    cards = Cards(tmp_path)
    ((_, card),) = cards.all()
    cards.write(replace(card, facts={**card.facts, **facts}, arrays={**card.arrays, **arrays}))
    assert type(remembered(choice, tmp_path)) is Toy
    assert type(remembered(choice, tmp_path)) is RememberedModel


def test_a_family_that_does_not_tell_its_files_is_loaded_each_time(tmp_path, toy):
    for found in (None, lambda **given: None):
        choice = toy()
        choice = replace(choice, entry=replace(choice.entry, files=found))
        for _ in range(2):
            assert type(remembered(choice, tmp_path)) is Toy
    assert not (tmp_path / "models").exists()


def test_a_file_that_changes_while_the_model_is_loaded_is_not_remembered(tmp_path, toy, weights):
    choice = toy()

    def load():
        model = choice.entry.load()
        weights.write_text("three")
        return model

    remembered(replace(choice, entry=replace(choice.entry, load=load)), tmp_path)
    assert remembered(choice, tmp_path).fingerprint == "three"
    assert len(toy.loads) == 2


def test_a_model_that_changed_since_is_one_error_and_the_next_run_is_right(tmp_path, toy, weights):
    remembered(toy(), tmp_path)
    model = remembered(toy(), tmp_path)
    weights.write_text("four")
    with pytest.raises(ModelError, match=r"toy: its fingerprint is not what the store remembers.*run this again"):
        model.encode_texts(["a"])
    assert remembered(toy(), tmp_path).fingerprint == "four"


@pytest.mark.parametrize("unit_rows", [False, True])
def test_a_linear_head_is_the_same_to_the_bit(tmp_path, toy, unit_rows):
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(3, 5, generator=draw), torch.randn(3, generator=draw)
    head = Head.linear(weight, bias, ["a", "b", "ä"], unit_rows)
    choice = toy(head=head)
    remembered(choice, tmp_path)
    model = remembered(choice, tmp_path)
    assert type(model) is RememberedModel
    assert model.head.fingerprint == head.fingerprint
    assert torch.equal(model.head.weight, head.weight)
    assert model.loaded().head is head


def test_a_head_with_more_than_its_layer_is_not_remembered(tmp_path, toy):
    texts = Head.zero_shot(torch.eye(2), ["a", "b"])
    for _ in range(2):
        assert type(remembered(toy(head=texts), tmp_path)) is Toy


def test_digits_clip_is_remembered_as_it_is(tmp_path):
    choice = find_model("digits-clip", get_registry())
    first, second = remembered(choice, tmp_path), remembered(choice, tmp_path)
    assert type(second) is RememberedModel
    same_facts(first, second)
    with torch.inference_mode():
        assert torch.equal(second.encode_texts(["a photo"]), first.encode_texts(["a photo"]))


def test_files_of_open_clip_are_all_that_decide(folder, tiny, tmp_path):
    path, _ = folder(tiny())
    choice = find_model(f"local-dir:{path}", get_registry())
    first = remembered(choice, tmp_path / "store")
    assert type(remembered(choice, tmp_path / "store")) is RememberedModel
    same_facts(first, remembered(choice, tmp_path / "store"))
    (path / "README.md").write_text("---\nlicence: x\nlicense: mit\n---\n")
    changed = remembered(choice, tmp_path / "store")
    assert (type(changed), changed.licence) == (type(first), "mit")


def test_files_beside_weights_decide_too(tmp_path, weights):
    file = tmp_path / "net.pt"
    torch.save({"a": torch.ones(1)}, file)
    files = find_model(f"ViT-B-32/{file}:like=openai", get_registry()).files()
    assert files[0] == str(file)
    assert str(tmp_path / "open_clip_config.json") in files
    assert any(name.endswith("ViT-B-32.json") for name in files)
    files = find_model(f"clipn:ViT-B-16/{file}", get_registry()).files()
    assert files[:2] == [str(file), str(tmp_path / "open_clip_config.json")]
    name = f"torchvision:resnet18:weights={file}:classes={weights}"
    assert find_model(name, get_registry()).files() == [str(file), str(weights)]
    assert find_model(f"timm:resnet18:weights={file}", get_registry()).files() == [str(file)]
    assert find_model(f"digits-clip:context={file}", get_registry()).files()[-1] == str(file)
