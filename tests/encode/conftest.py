"""A model that remembers what it was asked to encode, and pictures whose grey level says which they are."""

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import FilePicture, pixels


class Toy(Model):
    """Features are the grey level and its square; texts are counted letters."""

    name, scale, bias, fingerprint, architecture = "toy", 20.0, 0.5, "f", "a"
    kinds = ("features", "pre_projection", "local")

    def __init__(self, no_templates=(), **changed):
        self.no_templates, self.batches, self.texts, self.seen = no_templates, [], [], []
        self.preprocessing = {"size": 1}
        for name, value in changed.items():
            setattr(self, name, value)

    def preprocess(self, image):
        return torch.tensor([[[float(image.convert("L").getpixel((0, 0))) + 1]]])

    def encode_images(self, batch):
        self.batches.append(len(batch))
        self.seen += [int(grey) - 1 for grey in batch.flatten().tolist() if grey]  # zeros are gaps
        grey = batch.flatten(1).double()
        return torch.cat([grey, grey**2], dim=1)

    def encode(self, batch, kinds, head=None):
        features = self.encode_images(batch)
        made = {"features": features, "pre_projection": features * 2, "local": features[:, 0]}
        return {kind: made[kind] for kind in kinds}

    def encode_texts(self, texts):
        self.texts.append(list(texts))
        return torch.tensor([[1.0 + t.count("a"), 1.0 + t.count("b"), 1.0 + len(t)] for t in texts])

    def to(self, device):
        return self


@pytest.fixture
def toy():
    return Toy


@pytest.fixture
def drawn():
    """Make pictures in memory of these grey levels; several of one level are copies of one picture."""

    def make(greys, labels=None, classes=()):
        images = [Image.new("L", (1, 1), grey) for grey in greys]
        return Pictures(pixels(images), tuple(f"p{i}" for i in range(len(greys))), labels, classes)

    return make


@pytest.fixture
def filed(tmp_path):
    """Write pictures of these grey levels to files, and give them."""

    def make(greys, folder="pictures"):
        base = tmp_path / folder
        base.mkdir(exist_ok=True)
        for place, grey in enumerate(greys):
            path = base / f"{place:05d}.png"
            if not path.exists():
                Image.new("L", (1, 1), int(grey)).save(path)
        paths = sorted(base.iterdir())
        return Pictures([FilePicture(str(path)) for path in paths], tuple(path.name for path in paths))

    return make


@pytest.fixture
def features():
    """Give the features that the toy has for grey levels."""

    def make(greys):
        grey = np.asarray(greys, dtype=np.float32) + 1
        return np.stack([grey, grey**2], axis=1)

    return make
