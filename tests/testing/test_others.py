"""The checks of combiners, data sets and models: those that come with the package pass, planted faults are found."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from ood_toolkit import Combiner, DataSet, Model, Pictures, Scored, pixels
from ood_toolkit.combiners.max_confidence import MaxConfidence
from ood_toolkit.combiners.mean_score import MeanScore
from ood_toolkit.errors import AbsentError, DataError, ModelError, ScorerError
from ood_toolkit.testing import ConformanceError, check_combiner, check_dataset, check_model

pytestmark = pytest.mark.usefixtures("one_thread")


def failures(check, *given):
    with pytest.raises(ConformanceError) as caught:
        check(*given)
    return set(caught.value.failures)


# -- combiners -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max-confidence", "vote", "mean-score", "mean-score:target=0.8", MaxConfidence()])
def test_built_in_combiners_pass(name):
    assert check_combiner(name).exempted == {}


@dataclass
class Rule(MaxConfidence):
    name = "rule"

    def combine(self, parts):
        return self.change(super().combine(parts))

    def change(self, made):
        return made


class GivesNone(Rule):
    def change(self, made):
        return None


class Turned(Rule):
    def change(self, made):
        return Scored(made.prediction, made.confidence, -made.score, -made.margin)


class Short(Rule):
    def change(self, made):
        return Scored(made.prediction[1:], made.confidence[1:], made.score[1:], made.margin[1:])


class Centres(Rule):
    def change(self, made):
        return Scored(made.prediction, made.confidence, made.score - made.score.mean(), made.margin)


class CentresMany(Rule):
    def change(self, made):
        by = made.score.mean() if len(made) > 256 else 0.0
        return Scored(made.prediction, made.confidence, made.score - by, made.margin)


class Invents(Rule):
    def change(self, made):
        return Scored(np.full(len(made), "horse"), made.confidence, made.score, made.margin)


@dataclass
class Remembers(MeanScore):
    name = "remembers"

    def fit(self, val):
        before = self.learned().get("threshold_", 0.0)
        super().fit(val)
        self.threshold_ += before
        return self


class Draws(Rule):
    def change(self, made):
        return Scored(made.prediction, made.confidence, made.score + np.random.random(), made.margin)


class Writes(Rule):
    def combine(self, parts):
        parts[0].score[:] = 0
        return super().combine(parts)


class NoSelf(Rule):
    def fit(self, val):
        return None


class NoSlug(Rule):
    name = "My Rule"


COMBINERS = {
    GivesNone: {"shape"},
    Turned: {"sign"},
    Short: {"shape"},
    Centres: {"batch-independence"},
    CentresMany: {"batch-independence"},
    Invents: {"predictions"},
    Remembers: {"refit"},
    Draws: {"repeatability"},
    Writes: {"input"},
    NoSelf: {"shape"},
    NoSlug: {"declaration"},
}


@pytest.mark.parametrize(("plant", "checks"), COMBINERS.items(), ids=[plant.__name__ for plant in COMBINERS])
def test_a_combiner_with_a_fault_is_found(plant, checks):
    assert failures(check_combiner, plant()) >= checks


def test_a_class_is_no_combiner():
    with pytest.raises(ScorerError, match="call the class"):
        check_combiner(MaxConfidence)
    assert issubclass(Rule, Combiner)


# -- data sets -------------------------------------------------------------------------------------


def grey(n=20):
    from PIL import Image

    return pixels([Image.new("L", (4, 4), 9 * i) for i in range(n)])


def find(split, root):
    if split == "train":
        raise AbsentError("grey: no train pictures here")
    return Pictures(grey(), tuple(f"grey/{i:02d}" for i in range(20)), np.arange(20) % 2)


def dataset(open=find, **changes):
    given = {"name": "grey", "description": "Grey.", "counts": {"train": 9, "test": 20}, "classes": ("a", "b")}
    return DataSet(open=open, **{**given, **changes})


@pytest.mark.parametrize("name", ["digits", "letters", "patches"])
def test_embedded_data_sets_pass(name):
    assert check_dataset(name).exempted == {}


def test_an_honest_data_set_passes_and_what_is_not_here_is_said():
    report = check_dataset(dataset())
    assert report.passed == ("declaration", "test-pictures", "test-ids", "test-images")
    assert set(report.exempted) == {"train-pictures", "train-ids", "train-images"}
    assert report.exempted["train-ids"] == "not here: grey: no train pictures here"


def opened(**changes):
    def open(split, root):
        made = find("test", root)
        return Pictures(**{**vars(made), **{k: v(made, root) if callable(v) else v for k, v in changes.items()}})

    return dataset(open, counts={"test": 20})


CALLS = []


@pytest.mark.parametrize(
    ("made", "check"),
    [
        (opened(ids=lambda made, root: made.ids[:19]), "test-pictures"),
        (opened(ids=lambda made, root: ("x",) * 20), "test-pictures"),
        (opened(labels=np.full(20, 5)), "test-pictures"),
        (opened(classes=("a", "c")), "test-pictures"),
        (opened(ids=lambda made, root: tuple(f"{root.resolve()}/{name}" for name in made.ids)), "test-ids"),
        (opened(ids=lambda made, root: CALLS.append(0) or tuple(f"{len(CALLS)}-{n}" for n in made.ids)), "test-ids"),
        (dataset(lambda split, root: None), "test-pictures"),
        (dataset(lambda split, root: 1 / 0), "test-images"),
        (dataset(counts={"test": 21}), "test-pictures"),
        (dataset(name="My Set"), "declaration"),
        (dataset(counts={"validation": 20}), "declaration"),
        (dataset(classes=("a", "a")), "declaration"),
        (dataset(class_count=3), "declaration"),
        (dataset(templates=("a photo",)), "declaration"),
        (dataset(description=""), "declaration"),
    ],
)
def test_a_data_set_with_a_fault_is_found(made, check, tmp_path):
    assert check in failures(check_dataset, made, tmp_path)


def test_what_is_no_data_set_is_refused():
    with pytest.raises(DataError, match="expected a DataSet or its name"):
        check_dataset(find)


# -- models ----------------------------------------------------------------------------------------


class Small(Model):
    """Means of the colours, in eight columns, and texts by their letters."""

    fingerprint = "small"
    name = "small"
    preprocessing = {"size": 8}  # noqa: RUF012

    def preprocess(self, image):
        from torchvision.transforms.functional import pil_to_tensor

        return pil_to_tensor(image.convert("RGB").resize((8, 8))).float() / 255

    def encode_images(self, batch):
        return batch.mean(dim=1).mean(dim=1)

    def encode_texts(self, texts):
        return torch.tensor([[float(sum(map(ord, text)) % (7 + i)) for i in range(8)] for text in texts])

    def to(self, device):
        return self


class Nameless(Small):
    fingerprint = ""


class OddPreprocessing(Small):
    preprocessing = {"size": torch.float32}  # noqa: RUF012


class PromptWithoutPlace(Small):
    no_templates = ("not this",)


class PromptsAsText(Small):
    templates = "a photo of a {}"


class OtherSizes(Small):
    def preprocess(self, image):
        from torchvision.transforms.functional import pil_to_tensor

        return pil_to_tensor(image.convert("RGB")).float()


class OnlyColour(Small):
    def preprocess(self, image):
        return super().preprocess(image)[: len(image.getbands())] if image.mode == "L" else super().preprocess(image)


class OfTheBatch(Small):
    def encode_images(self, batch):
        made = super().encode_images(batch)
        return made - made.mean(dim=0)


class Dropout(Small):
    def encode_images(self, batch):
        return torch.nn.functional.dropout(super().encode_images(batch), 0.5)


class Halved(Small):
    def encode_images(self, batch):
        return super().encode_images(batch).half()


class AllAlike(Small):
    def encode_images(self, batch):
        return torch.ones(len(batch), 8)


class OtherWidth(Small):
    def encode_texts(self, texts):
        return torch.ones(len(texts), 9)


class NoTowerButSaysSo(Small):
    has_no_tower = True


class Moves(Small):
    def to(self, device):
        return None


MODELS = {
    Nameless: "attributes",
    OddPreprocessing: "attributes",
    PromptWithoutPlace: "templates",
    PromptsAsText: "templates",
    OtherSizes: "preprocess",
    OnlyColour: "preprocess",
    OfTheBatch: "batch-independence",
    Dropout: "batch-independence",
    Halved: "features",
    AllAlike: "features",
    OtherWidth: "texts",
    NoTowerButSaysSo: "texts",
    Moves: "device",
}


def test_honest_models_pass():
    assert check_model(Small()).scorer == "small"
    assert len(check_model("digits-clip").passed) == 8


@pytest.mark.parametrize(("plant", "check"), MODELS.items(), ids=[plant.__name__ for plant in MODELS])
def test_a_model_with_a_fault_is_found(plant, check):
    assert check in failures(check_model, plant())


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="expected a Model or its name"):
        check_model(Small)
