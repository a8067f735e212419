import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit import Prompts
from ood_toolkit.data.dataset import DataSet, Pictures
from ood_toolkit.data.picture import pixels
from ood_toolkit.encode import class_texts, encode_set, zero_shot_head
from ood_toolkit.errors import DataError
from ood_toolkit.models.model import Model


class Toy(Model):
    """A model whose features are what they are of: grey level and its square; number of letters by kind."""

    name, scale, bias, fingerprint = "toy", 20.0, 0.5, "f"

    def __init__(self, no_templates=()):
        self.no_templates, self.batches, self.texts = no_templates, [], []

    def preprocess(self, image):
        return torch.tensor([[[float(image.getpixel((0, 0)))]]])

    def encode_images(self, batch):
        self.batches.append(len(batch))
        grey = batch.flatten(1).double() + 1
        return torch.cat([grey, grey**2], dim=1).half()

    def encode_texts(self, texts):
        self.texts.append(list(texts))
        return torch.tensor([[1.0 + t.count("a"), 1.0 + t.count("b"), 1.0 + len(t)] for t in texts])

    def to(self, device):
        return self


def pictures(n, labels=None):
    images = [Image.new("L", (1, 1), i % 40) for i in range(n)]
    return Pictures(pixels(images), tuple(f"p{i}" for i in range(n)), labels)


def test_pictures_are_encoded_once_in_batches_and_in_order():
    opened, told, model = [], [], Toy()
    held = DataSet("toys", "", lambda split, root: (opened.append(split), pictures(600))[1], {"test": 600})
    features, found = encode_set(model, held, "test", progress=lambda done, of: told.append((done, of)))
    assert opened == ["test"]
    assert model.batches == [256, 256, 88]
    assert told == [(256, 600), (512, 600), (600, 600)]
    assert features.dtype == torch.float32
    assert not features.is_inference()
    grey = np.arange(600) % 40 + 1.0
    np.testing.assert_array_equal(features.numpy(), np.stack([grey, grey**2], axis=1))
    assert found.ids[599] == "p599"


def test_a_split_that_is_not_there_is_an_error():
    held = DataSet("toys", "", lambda split, root: pictures(1), {"test": 1, "val": 1})
    with pytest.raises(DataError, match="toys: no split 'train'; it has test, val"):
        encode_set(Toy(), held, "train")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def vectors(template, names):
    texts = [template.replace("{}", name) for name in names]
    return np.array([[1.0 + t.count("a"), 1.0 + t.count("b"), 1.0 + len(t)] for t in texts])


NAMES, TEMPLATES = ("a", "bb", "aaab"), ("b {}", "{} and a")


def test_the_two_recipes_by_hand():
    parts = np.stack([vectors(t, NAMES) for t in TEMPLATES])
    first = class_texts(Toy(), NAMES, Prompts(TEMPLATES))
    np.testing.assert_allclose(first.numpy(), unit(unit(parts).mean(axis=0)), rtol=1e-6)
    second = class_texts(Toy(), NAMES, Prompts(TEMPLATES, "mean-then-normalise"))
    np.testing.assert_allclose(second.numpy(), unit(parts.mean(axis=0)), rtol=1e-6)
    assert not torch.allclose(first, second)


def test_many_texts_go_in_batches_and_names_with_braces_stay():
    model = Toy()
    names = [f"a{i}{{}}" for i in range(200)]
    found = class_texts(model, names, Prompts(TEMPLATES))
    assert [len(batch) for batch in model.texts] == [256, 144]
    wanted = np.stack([vectors(t, names) for t in TEMPLATES])
    np.testing.assert_allclose(found.numpy(), unit(unit(wanted).mean(axis=0)), rtol=1e-6)


def test_the_head_of_a_model_has_its_scale_bias_and_no_texts():
    plain = zero_shot_head(Toy(), NAMES, Prompts(("b {}",)))
    assert (plain.kind, plain.scale, plain.bias.tolist(), dict(plain.banks)) == ("zero_shot", 20.0, [0.5] * 3, {})
    np.testing.assert_allclose(plain.weight.numpy(), unit(vectors("b {}", NAMES)), rtol=1e-6)
    head = zero_shot_head(Toy(("no b {}",)), NAMES, Prompts(TEMPLATES, "mean-then-normalise"))
    assert list(head.banks) == ["no"]
    np.testing.assert_allclose(head.bank("no").rows.numpy(), unit(vectors("no b {}", NAMES)), rtol=1e-6)
