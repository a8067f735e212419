"""The kit finds faults that a plain run does not show, each planted here, and names the check and what came."""

import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.scorers.temperature import Temperature
from ood_toolkit.testing import ConformanceError, check_scorer, make_problem, run_check
from ood_toolkit.testing.problem import permuted, rescaled, shuffled

pytestmark = pytest.mark.usefixtures("one_thread")

LOGITS = frozenset({"logits"})
TRAIN = frozenset({"features", "train"})


@dataclass
class Plant(Scorer):
    name = "plant"
    needs = LOGITS

    def score(self, x):
        return x.max_logit


class ReadsLabels(Plant):
    def score(self, x):
        return x.max_logit if x.labels is None else 100.0 * (x.labels >= 0).double()


class ReadsRight(Plant):
    def score(self, x):
        return x.max_logit if x.right is None else 100.0 * x.right.double()


class ReadsSourceLabels(Plant):
    def score(self, x):
        return x.max_logit - 50.0 * ("source_labels" in x.extras)


class CentresLargeBatches(Plant):
    def score(self, x):
        return x.max_logit - (x.max_logit.mean() if len(x) > 256 else 0.0)


class RanksLargeBatches(Plant):
    def score(self, x):
        return x.max_logit if len(x) <= 512 else x.max_logit.argsort().argsort().double()


@dataclass
class IdleNumber(Plant):
    power: float = 2.0


@dataclass
class IdleCount(Plant):
    neighbours: int = 5


@dataclass
class IdleSwitch(Plant):
    normalise: bool = False


@dataclass
class IdleGrid(Plant):
    grid = {"mode": ("a", "b")}  # noqa: RUF012
    mode: str = "a"


@dataclass
class IdleChoice(Plant):
    kind: Literal["mean", "max"] = "mean"


class QuietValidation(Plant):
    """Centres by validation where it is given any, which it does not say."""

    def fit(self, val, train=None):
        self.mean_ = 0.0 if val is None else float(val.max_logit.mean())
        return self

    def score(self, x):
        return x.max_logit - self.mean_


class QuietTraining(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.mean_ = float((val if train is None else train).max_logit.mean())
        return self

    def score(self, x):
        return x.max_logit - self.mean_


class QuietLabels(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        known = torch.ones(len(train), dtype=torch.bool) if train.labels is None else train.labels > 0
        self.mean_ = train.features[known].mean(dim=0)
        return self

    def score(self, x):
        return x.features @ self.mean_


class NextText(Plant):
    needs = frozenset({"zero_shot"})

    def score(self, x):
        place = (x.prediction + 1) % x.classes
        return x.cosine.max(dim=1).values + 0.1 * x.cosine.gather(1, place[:, None]).squeeze(1)


class BothNeighbours(Plant):
    def score(self, x):
        around = x.logits.roll(1, dims=1) + x.logits.roll(-1, dims=1)
        return x.max_logit - 0.1 * around.gather(1, x.prediction[:, None]).squeeze(1)


class ScaleOfClip(Plant):
    needs = frozenset({"zero_shot"})

    def score(self, x):
        return (100.0 * x.cosine).double().softmax(dim=1).max(dim=1).values


class ScaleOfTheKit(Plant):
    needs = frozenset({"zero_shot"})

    def score(self, x):
        return x.map(lambda part: (part.cosine.double() / 0.05).logsumexp(dim=1))


class ScaleByHand(Plant):
    needs = frozenset({"features", "zero_shot"})

    def score(self, x):
        return (20 * (x.embeddings @ x.head.weight.T)).double().logsumexp(dim=1)


class CosinesOfLogits(Plant):
    """Takes the scale out of logits that may have any."""

    def score(self, x):
        return (x.logits / 100).double().softmax(dim=1).max(dim=1).values


class BoundedByScale(Plant):
    bounds = (-1.0, 1.0)

    def score(self, x):
        return x.max_logit / 20


class FarFromTwenty(Plant):
    def score(self, x):
        return -(x.max_logit - 20.0).abs()


class FirstRows(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.bank_ = train.embeddings[:100].clone()
        return self

    def score(self, x):
        return (x.embeddings @ self.bank_.T).max(dim=1).values


class FirstHalfOfValidation(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.mean_ = float(val.max_logit[: len(val) // 2].mean())
        return self

    def score(self, x):
        return x.max_logit - self.mean_


class FirstBatch(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.mean_ = next(iter(train.chunks(256))).features.mean(dim=0)
        return self

    def score(self, x):
        return x.features @ self.mean_


class SeedsTorch(Plant):
    def score(self, x):
        torch.manual_seed(0)
        return x.max_logit + 1e-3 * torch.rand(1)


class SeedsNumpy(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        np.random.seed(3)
        self.rows_ = train.embeddings[np.random.permutation(len(train))[:50]]
        return self

    def score(self, x):
        return (x.embeddings @ self.rows_.T).max(dim=1).values


class SeedsRandom(Plant):
    def score(self, x):
        random.seed(1)
        return x.max_logit


class SinglePrecision(Plant):
    bounds = (0.0, 1.0)

    def score(self, x):
        return x.logits.float().softmax(dim=1).max(dim=1).values


class OneMinusUncertainty(Plant):
    def score(self, x):
        return 1 - (1 - x.confidence.float())


class NeedsTwoHundred(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.bank_ = train.embeddings[torch.arange(200)]
        self.rest_ = train.embeddings.mean(dim=0)
        return self

    def score(self, x):
        return (x.embeddings @ self.bank_.T).max(dim=1).values + x.embeddings @ self.rest_


class NotANumberOnFew(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.spread_ = float(val.max_logit[150:].std()) + 0 * float(val.max_logit.std())
        return self

    def score(self, x):
        return x.max_logit / self.spread_


@dataclass
class TurnsOnItsGrid(Plant):
    grid = {"power": (1.0, 2.0, -1.0)}  # noqa: RUF012
    power: float = 1.0

    def score(self, x):
        return self.power * x.max_logit


@dataclass
class TurnsAbove(Plant):
    grid = {"share": (0.1, 0.9)}  # noqa: RUF012
    share: float = 0.1

    def score(self, x):
        return (0.5 - self.share) * x.max_logit


class NearlyRandom(Plant):
    def score(self, x):
        return (4 * x.max_logit.double()).sin() + 0.5 * x.confidence


class BarelyInformed(Plant):
    def score(self, x):
        return (5 * x.max_logit.double()).sin() + 0.5 * x.confidence


PLANTS = {
    ReadsLabels: "labels",
    ReadsRight: "labels",
    ReadsSourceLabels: "labels",
    CentresLargeBatches: "batch-independence",
    RanksLargeBatches: "batch-independence",
    IdleNumber: "effect",
    IdleCount: "effect",
    IdleSwitch: "effect",
    IdleGrid: "effect",
    IdleChoice: "effect",
    QuietValidation: "splits",
    QuietTraining: "splits",
    QuietLabels: "splits",
    NextText: "class-order",
    BothNeighbours: "class-order",
    ScaleOfClip: "scale",
    ScaleOfTheKit: "scale",
    ScaleByHand: "scale",
    CosinesOfLogits: "scale",
    BoundedByScale: "scale",
    FarFromTwenty: "scale",
    FirstRows: "every-row",
    FirstHalfOfValidation: "every-row",
    FirstBatch: "every-row",
    SeedsTorch: "generators",
    SeedsNumpy: "generators",
    SeedsRandom: "generators",
    SinglePrecision: "ties",
    OneMinusUncertainty: "ties",
    NeedsTwoHundred: "few-images",
    NotANumberOnFew: "few-images",
    TurnsOnItsGrid: "grid-sign",
    TurnsAbove: "grid-sign",
    NearlyRandom: "separation",
    BarelyInformed: "separation",
}


@pytest.mark.parametrize(("plant", "check"), PLANTS.items(), ids=[plant.__name__ for plant in PLANTS])
def test_a_planted_fault_is_found(plant, check):
    with pytest.raises(ConformanceError) as caught:
        check_scorer(plant())
    assert check in caught.value.failures
    assert "expected" in caught.value.failures[check]


def test_a_plant_fails_its_own_check_and_no_other():
    spreading = {QuietLabels, NearlyRandom, BarelyInformed}  # by one class's images; by how large logits are
    for plant, check in PLANTS.items():
        if plant in spreading:
            continue
        with pytest.raises(ConformanceError) as caught:
            check_scorer(plant())
        assert set(caught.value.failures) == {check}, plant


@pytest.mark.quick
def test_labels_cannot_be_exempted():
    class Excused(ReadsLabels):
        exempt = {"labels": "the paper reads them"}  # noqa: RUF012

    with pytest.raises(ConformanceError) as caught:
        check_scorer(Excused())
    assert set(caught.value.failures) == {"declaration", "labels"}


@dataclass
class Follows(StreamScorer):
    """Largest logit less its mean so far; the plants below change it."""

    batch: int = 32
    name = "follows"
    needs = LOGITS
    order = "an image is compared with those before it"

    def run(self, chunks, seed):
        total, count, parts = 0.0, 0, []
        for x in chunks:
            total, count = total + float(x.max_logit.double().sum()), count + len(x)
            parts.append(self.of(x) - 0.1 * total / count)
        return torch.cat(parts)

    def of(self, x):
        return x.max_logit.double()


class FollowsLabels(Follows):
    def of(self, x):
        return x.max_logit.double() if x.labels is None else 9.0 * x.labels.double()


class FollowsItsSeed(Follows):
    def run(self, chunks, seed):
        torch.manual_seed(seed)
        return super().run(chunks, seed)


class FollowsNoise(Follows):
    def of(self, x):
        return (4 * x.max_logit.double()).sin() + 0.5 * x.confidence


class FollowsClip(Follows):
    needs = frozenset({"zero_shot"})

    def of(self, x):
        return (100 * x.cosine).double().logsumexp(dim=1)


def test_streams_are_held_to_the_same():
    check_scorer(Follows())
    found = {FollowsLabels: "labels", FollowsItsSeed: "generators", FollowsNoise: "sign", FollowsClip: "scale"}
    for plant, check in found.items():
        with pytest.raises(ConformanceError) as caught:
            check_scorer(plant())
        assert set(caught.value.failures) == {check}, plant


# -- honest scorers that look like it --------------------------------------------------------------


@dataclass
class ManyWays(Plant):
    """Parameters that matter only beside others, or for the machine alone."""

    mode: str = "max"
    power: float = 2.0
    softly: bool = False
    sharpness: float = 3.0
    rows: int = 128
    seed: int = 0

    def __post_init__(self):
        if self.mode not in ("max", "power"):
            raise ValueError(f"mode: expected max or power, got {self.mode!r}")

    def score(self, x):
        if self.softly:
            return (x.logits.double() * self.sharpness).logsumexp(dim=1)
        return x.max_logit if self.mode == "max" else x.probs.double().pow(self.power).sum(dim=1)


@dataclass
class FewOfMany(Plant):
    """Draws a part of the training images with its seed, so that the order of the rows matters."""

    needs = TRAIN
    seed: int = 0

    def fit(self, val, train=None):
        draw = torch.Generator().manual_seed(self.seed)
        self.bank_ = train.embeddings[torch.randperm(len(train), generator=draw)[:100]]
        return self

    def score(self, x):
        return (x.embeddings @ self.bank_.T).topk(3, dim=1).values.mean(dim=1)


@dataclass
class ByParameter(Plant):
    needs = frozenset({"zero_shot"})
    temperature: float = 0.01

    def score(self, x):
        return (x.cosine.double() / self.temperature).logsumexp(dim=1)


class Percent(Plant):
    needs = frozenset({"zero_shot"})

    def score(self, x):
        return 100 * x.cosine.max(dim=1).values


class Reweighted(Plant):
    needs = frozenset({"zero_shot"})

    def score(self, x):
        return (2 * x.cosine - 1).double().square().sum(dim=1).neg() / 100 + 5 * x.cosine.max(dim=1).values


class Refuses(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        if len(train) < 400:
            from ood_toolkit.errors import ScorerError

            raise ScorerError(f"plant: expected at least 400 training images, got {len(train)}")
        self.mean_ = train.features.mean(dim=0)
        return self

    def score(self, x):
        return x.features @ self.mean_


class DrawsGlobally(Plant):
    """Draws from the global generator and gives back what it took."""

    def score(self, x):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            noise = 1e-9 * torch.rand(1)
        return x.max_logit + noise


@dataclass
class BoundedByRounding(Plant):
    bounds = (0.0, 1.0)

    def score(self, x):
        return x.confidence * (1 + 1e-7)


@pytest.mark.parametrize(
    "scorer",
    [
        ManyWays(),
        ManyWays(softly=True),
        FewOfMany(),
        ByParameter(),
        Percent(),
        Reweighted(),
        Refuses(),
        DrawsGlobally(),
        BoundedByRounding(),
        Temperature(),
    ],
    ids=lambda one: f"{type(one).__name__}",
)
def test_an_honest_scorer_is_not_refused(scorer):
    check_scorer(scorer)


@pytest.mark.quick
def test_bounds_are_said_in_full():
    @dataclass
    class Beyond(Plant):
        bounds = (0.0, 0.9999)

        def score(self, x):
            return x.confidence

    with pytest.raises(ConformanceError, match=r"within bounds \[0.0, 0.9999\], but for 1e-05, got 0\.\d{10,} to 0\.9"):
        run_check("bounds", Beyond())


# -- how problems are turned about -----------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 10, 100])
def test_a_drawn_order_keeps_no_place_and_not_all_neighbours(classes):
    for seed in range(5):
        order = shuffled(classes, seed)
        assert sorted(order.tolist()) == list(range(classes))
        assert classes < 2 or not (order == torch.arange(classes)).any()
        if classes > 3:
            steps = (order - order.roll(1)) % classes
            assert not bool(((steps == 1) | (steps == classes - 1)).all())


@pytest.mark.quick
@pytest.mark.parametrize("needs", [LOGITS, frozenset({"linear_head"}), frozenset({"zero_shot"})])
def test_a_rescaled_problem_has_larger_logits_and_the_same_features(needs):
    x = make_problem(needs).x
    twice = rescaled(x, 2.0)
    torch.testing.assert_close(twice.logits, 2 * x.logits)
    assert torch.equal(twice.features, x.features)
    assert permuted(x, 1).class_names != permuted(x, 0).class_names
