from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(5))
Y = torch.arange(20) % 3


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))


def forward(mlp, upto):
    with torch.no_grad():
        hidden = X
        for part in mlp[:upto]:
            hidden = hidden if isinstance(part, nn.Dropout) else part(hidden)
    return hidden.numpy()


def loader(*arrays):
    return DataLoader(TensorDataset(*arrays), batch_size=7)


def test_pairs_give_logits_labels_and_penultimate_features(mlp):
    x = Outputs.from_model(mlp, loader(X, Y))
    assert x.logits.numpy() == pytest.approx(forward(mlp, 6), abs=1e-6)
    assert x.features.numpy() == pytest.approx(forward(mlp, 5), abs=1e-6)
    assert x.labels.tolist() == Y.tolist()
    assert x.head.kind == "linear"
    assert x.head.weight.tolist() == mlp[5].weight.tolist()
    assert x.head.bias.tolist() == mlp[5].bias.tolist()


@pytest.mark.parametrize("batches", [[X[:7], X[7:]], loader(X), [(X, None)]], ids=["tensors", "lists of one", "none"])
def test_batches_without_labels_are_taken(mlp, batches):
    x = Outputs.from_model(mlp, batches)
    assert x.labels is None
    assert x.logits.numpy() == pytest.approx(forward(mlp, 6), abs=1e-6)


def test_dropout_is_off_and_no_gradient_is_kept(mlp):
    first, second = (Outputs.from_model(mlp.train(), loader(X, Y)) for _ in range(2))
    assert torch.equal(first.logits, second.logits)
    assert not first.logits.requires_grad
    assert not first.logits.is_inference()
    assert not first.features.is_inference()


def test_the_mode_of_every_part_is_put_back(mlp):
    mlp.train()
    mlp[2].eval()
    Outputs.from_model(mlp, loader(X, Y))
    assert [part.training for part in mlp] == [True, True, False, True, True, True]
    assert mlp.training
    Outputs.from_model(mlp.eval(), loader(X, Y))
    assert not any(part.training for part in mlp)


def test_the_mode_and_the_hooks_are_put_back_after_an_error(mlp):
    mlp.train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Outputs.from_model(mlp, [torch.ones(2, 9)])
    assert mlp.training
    assert not any(part._forward_hooks for part in mlp)


def test_a_linear_layer_named_is_the_head(mlp):
    x = Outputs.from_model(mlp, loader(X, Y), layer="5")
    assert x.features.numpy() == pytest.approx(forward(mlp, 5), abs=1e-6)
    assert x.head.weight.tolist() == mlp[5].weight.tolist()


def test_any_other_layer_gives_its_output_as_features(mlp):
    x = Outputs.from_model(mlp, loader(X, Y), layer="1")
    assert x.features.numpy() == pytest.approx(forward(mlp, 2), abs=1e-6)
    assert x.logits.numpy() == pytest.approx(forward(mlp, 6), abs=1e-6)
    assert x.head is None


def test_maps_are_flattened_to_rows():
    model = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.Linear(6, 3))
    x = Outputs.from_model(model, loader(X, Y), layer="0")
    assert x.features.tolist() == X.tolist()


def test_a_model_without_linear_layers_gives_logits_alone():
    x = Outputs.from_model(nn.Tanh(), [X])
    assert x.features is None
    assert x.logits.tolist() == X.tanh().tolist()


def test_a_lone_linear_layer_without_bias_is_its_own_head():
    model = nn.Linear(6, 3, bias=False)
    x = Outputs.from_model(model, [X])
    assert x.features.tolist() == X.tolist()
    assert x.head.bias.tolist() == [0, 0, 0]


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, images):
        return self.linear(self.linear(images))


@pytest.mark.parametrize(
    ("model", "batches", "layer", "message"),
    [
        (nn.Linear(6, 3), [], None, "loader: expected at least one batch, got none"),
        (nn.Sequential(nn.Linear(6, 3)), [X], "head", "layer: 'head' is no submodule of the model; it has 0"),
        (nn.Sequential(nn.Linear(6, 3)), [X], "1", "layer: '1' is no submodule of the model; it has 0"),
        (nn.Sequential(nn.Linear(6, 4), nn.MaxPool1d(2)), [X], None, "layer: 0 gives 4 numbers but the model 2 logits"),
        (nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)), [X], None, "logits: row 0 contradicts features and head"),
        (nn.Flatten(0), [X], None, "model: expected it to return logits of shape (batch, classes), got shape (120,)"),
        (nn.LSTM(6, 3), [X], None, "model: expected it to return logits of shape (batch, classes), got tuple"),
        (Twice(), [X], None, "layer: expected 'linear' to run once a batch, it ran 2 times; name another"),
    ],
    ids=["no batch", "unknown", "too high", "pooled", "softmax", "flat", "tuple", "twice"],
)
def test_what_gives_no_logits_with_their_features_is_refused(model, batches, layer, message):
    with pytest.raises(OutputsError) as error:
        Outputs.from_model(model, batches, layer)
    assert str(error.value).startswith(message)


def test_a_hidden_linear_layer_gives_its_output_as_features():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    x = Outputs.from_model(model, [X], "0")
    assert x.head is None
    assert torch.allclose(x.features, model[0](X).detach())
    assert torch.allclose(x.logits, model(X).detach())


def test_batches_that_are_no_arrays_are_refused():
    with pytest.raises(OutputsError, match=r"loader: expected batches of images or .* pairs, got dict"):
        Outputs.from_model(nn.Sequential(nn.Linear(6, 3)), [{"image": X}])


@pytest.mark.parametrize("images", ["pixel_values", "images", "inputs"])
def test_batches_may_be_dicts_with_labels_and_ids(mlp, images):
    batches = [{images: X[i : i + 7], "labels": Y[i : i + 7], "ids": [f"p{j}" for j in range(i, min(i + 7, 20))]}
               for i in range(0, 20, 7)]  # fmt: skip
    x = Outputs.from_model(mlp, batches, class_names=["a", "b", "c"])
    assert x.logits.numpy() == pytest.approx(forward(mlp, 6), abs=1e-6)
    assert x.labels.tolist() == Y.tolist()
    assert x.ids.tolist() == [f"p{j}" for j in range(20)]
    assert x.class_names == x.head.class_names == ("a", "b", "c")
    with pytest.raises(OutputsError, match="got dict without pixel_values, images, inputs; it has text"):
        Outputs.from_model(mlp, [{"text": X}])


def test_batches_may_bring_ids(mlp):
    x = Outputs.from_model(mlp, [(X[:10], Y[:10], list("abcdefghij")), (X[10:], Y[10:], list("klmnopqrst"))])
    assert "".join(x.ids) == "abcdefghijklmnopqrst"


def test_threads_share_a_module_that_was_training_and_the_last_puts_its_mode_back(mlp):
    mlp.train()
    mlp[2].eval()
    modes = [part.training for part in mlp.modules()]
    wanted = forward(mlp.eval(), 6)
    mlp.train()
    mlp[2].eval()

    def slowly():
        for start in range(0, 20, 2):
            sleep(0.001)
            yield X[start : start + 2]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Outputs.from_model(mlp, slowly()).logits, range(24)))
    for logits in found:  # dropout would show
        assert logits.numpy() == pytest.approx(wanted, abs=1e-6)
    assert [part.training for part in mlp.modules()] == modes
