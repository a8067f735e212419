"""Models with prompts of their own: what stands in place of a data set's first template, and of a score's."""

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import pixels
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.benchmark.gather import gather
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.sets import Place
from ood_toolkit.errors import DataError


class Toy(Model):
    name, scale, fingerprint, preprocessing = "toy", 20.0, "weights", {}

    def __init__(self, **changed):
        self.read = []
        for name, value in changed.items():
            setattr(self, name, value)

    def preprocess(self, image):
        return torch.tensor([float(image.getpixel((0, 0))) + 1])

    def encode_images(self, batch):
        return torch.stack([(batch[:, 0] + i).cos() for i in range(3)], dim=1)

    def encode_texts(self, texts):
        self.read += texts
        return torch.tensor([[float(len(text)), text.count("e") + 1.0, 1.0] for text in texts])

    def to(self, device):
        return self


@pytest.fixture
def opened(tmp_path):
    def open_split(split, root=None):
        images = [Image.new("L", (1, 1), i) for i in range(12)]
        return Pictures(pixels(images), tuple(f"p{i}" for i in range(12)), np.arange(12) % 2, ("ant", "bee"))

    sets = {
        name: DataSet(name, name, open_split, {"test": 12}, ("ant", "bee"), templates=("a {}", "the {}"), embedded=True)
        for name in ("id", "ood")
    }
    return lambda **changed: EncodedSets(Toy(**changed), sets.get, Place(tmp_path / "store", tmp_path))


def gathered(sets, **more):
    return gather(Settings(ids=("id",), groups={"": ("ood",)}, **more), sets, with_train=False)


def test_a_data_sets_first_template_without_own_prompts(opened):
    sets = opened()
    assert gathered(sets).about["templates"] == {"id": ("a {}",)}
    assert set(sets.model.read) == {"a ant", "a bee"}


def test_all_templates_of_the_model_where_it_was_trained_with_such(opened):
    sets = opened(templates=("x {}", "y {}"), no_templates=("no {}",))
    assert gathered(sets).about["templates"] == {"id": ("x {}", "y {}")}
    assert set(sets.model.read) == {"x ant", "x bee", "y ant", "y bee", "no ant", "no bee"}
    assert gathered(sets, prompts=("own",)).about["templates"] == {"id": ("a {}", "the {}")}
    assert gathered(sets, prompts=("z {}",)).about["templates"] == {"id": ("z {}",)}


def test_a_learned_prompt_leaves_no_place_for_others(opened):
    sets = opened(templates=("{}",), learned_prompt=True)
    with pytest.raises(DataError, match=r"^--prompts: model 'toy' [^\n]* its prompt is learned \(context=\)$"):
        gathered(sets, prompts=("z {}",))
    assert gathered(sets).about["templates"] == {"id": ("{}",)}
    plain = sets.head("id", None)
    of_a_score = sets.head("id", Prompts(("a photo of a {}",)))
    assert torch.equal(plain.weight, of_a_score.weight)
    assert set(sets.model.read) == {"ant", "bee"}
