"""Batches, outputs, labels and threads as people have them, given to `Outputs.from_model`."""

import hashlib
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs

pytestmark = pytest.mark.quick

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
NAMES = ("ant", "bee", "cow")
LABELS = [NAMES[place % 3] for place in range(12)]


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


class Wrapped(nn.Module):
    """A classifier that returns its logits in another form."""

    def __init__(self, linear, form):
        super().__init__()
        self.linear, self.form = linear, form

    def forward(self, pixel_values):
        return self.form(self.linear(pixel_values))


FORMS = {
    "ImageClassifierOutput": lambda logits: SimpleNamespace(loss=None, logits=logits, hidden_states=None),
    "dict": lambda logits: {"loss": None, "logits": logits},
    "bare": lambda logits: logits,
}


@pytest.mark.parametrize("form", FORMS)
def test_outputs_of_any_form_are_the_same(linear, form):
    x = Outputs.from_model(Wrapped(linear, FORMS[form]), [X[:5], X[5:]])
    assert torch.equal(x.logits, linear(X).detach())
    assert torch.equal(x.head.weight, linear.weight)


def test_a_form_without_logits_says_which_are_taken(linear):
    with pytest.raises(OutputsError, match=r"got tuple; alone, in a dict as logits, or as \.logits"):
        Outputs.from_model(Wrapped(linear, lambda logits: (logits,)), [X])


@pytest.mark.parametrize(
    "labels",
    [LABELS, np.array(LABELS), np.array(LABELS, object), [name.upper() for name in LABELS], np.array(LABELS, "S")],
    ids=["list", "array", "objects", "capitals", "bytes"],
)
@pytest.mark.parametrize("batch", ["pair", "dict"])
def test_labels_may_be_names(linear, labels, batch):
    parts = [(X[i : i + 5], labels[i : i + 5]) for i in range(0, 12, 5)]
    batches = parts if batch == "pair" else [{"pixel_values": image, "labels": label} for image, label in parts]
    x = Outputs.from_model(linear, batches, class_names=NAMES)
    assert x.labels.tolist() == [place % 3 for place in range(12)]
    assert x.class_names == NAMES


@pytest.mark.parametrize(
    ("module", "loader", "message"),
    [
        (len, [X], "model: expected a torch module, got builtin_function_or_method"),
        (nn.Linear(4, 3), 7, "loader: expected batches, got int; put one batch into a list"),
        (nn.Linear(4, 3), [(X, ["ant"] * 12)], "labels: 'ant' among no classes; known are '0', '1', '2'"),
        (nn.Linear(4, 3), [(X, [object()] * 12)], "labels: expected an array of numbers, got object"),
        (nn.Linear(4, 3), [(X, np.eye(12, 3))], "labels: expected whole numbers, got torch.float64"),
    ],
)
def test_what_cannot_be_is_said_in_words_of_ours(module, loader, message):
    with pytest.raises(OutputsError) as error:
        Outputs.from_model(module, loader)
    assert str(error.value).startswith(message)


def of(kind, image, place):
    ids = [f"p{place + i}" for i in range(len(image))]
    return {"images": image, "pairs": (image, None), "triples": (image, None, ids), "dicts": {"images": image}}[kind]


@pytest.mark.parametrize("kind", ["images", "pairs", "triples", "dicts"])
def test_of_a_generator_one_batch_is_held_at_a_time(linear, kind):
    made, most = [], 0

    def batches():
        nonlocal most
        for place in range(0, 400, 20):
            image = torch.zeros(20, 4)
            made.append(weakref.ref(image))
            yield of(kind, image, place)
            del image
            most = max(most, sum(one() is not None for one in made))

    x = Outputs.from_model(linear, batches())
    assert len(x) == 400
    assert most <= 2  # the one that was given, and the one to come


@pytest.mark.parametrize("mode", ["training", "eval", "mixed"])
@pytest.mark.parametrize("ends", ["well", "in an error"])
def test_threads_put_the_modes_back_however_they_end(mode, ends):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 3))
    model.train(mode == "training")
    if mode == "mixed":
        model[2].train()
    modes = [part.training for part in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def run(place):
        batches = [X] if ends == "well" or place % 2 else [X, X[:, :2]]
        try:
            return Outputs.from_model(model, batches).logits
        except RuntimeError:
            return None

    with ThreadPoolExecutor(6) as pool:
        found = [logits for logits in pool.map(run, range(18)) if logits is not None]
    assert all(torch.equal(logits, found[0]) for logits in found)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())  # no batch statistics
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_nothing_is_hashed(linear, monkeypatch, calls):
    monkeypatch.setattr(hashlib, "sha256", lambda *given: pytest.fail("hashed"))
    for _ in range(calls):
        assert len(Outputs.from_model(linear, [X], class_names=NAMES)) == 12
