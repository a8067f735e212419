"""The conformance kit finds every planted fault, and refuses no honest scorer, however awkward."""

import dataclasses
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.families.margin import Margin
from ood_toolkit.scorers.maxlogit import MaxLogit
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.testing import (
    CHECKS,
    ConformanceError,
    Problem,
    check_scorer,
    make_problem,
    parametrize_with_checks,
    run_check,
)
from ood_toolkit.testing.problem import bare, huge, permuted
from ood_toolkit.testing.traps import TRAPS

LOGITS = frozenset({"logits"})
TRAIN = frozenset({"features", "train"})


pytestmark = pytest.mark.usefixtures("one_thread")


# -- planted faults --------------------------------------------------------------------------------


@dataclass
class Plant(Scorer):
    name = "plant"
    needs = LOGITS

    def score(self, x):
        return x.max_logit


class WrongSign(Plant):
    def score(self, x):
        return -x.max_logit


class Constant(Plant):
    def score(self, x):
        return torch.zeros(len(x))


class Column(Plant):
    def score(self, x):
        return x.max_logit[:, None]


class OneForAll(Plant):
    def score(self, x):
        return x.max_logit.mean()


class NumpyScores(Plant):
    def score(self, x):
        return x.max_logit.numpy()


class ListOfScores(Plant):
    def score(self, x):
        return x.max_logit.tolist()


class IntegerScores(Plant):
    def score(self, x):
        return (1000 * x.max_logit).round().long()


class HalfScores(Plant):
    def score(self, x):
        return (x.max_logit / 100).half()


class NotANumberOnEqualLogits(Plant):
    def score(self, x):
        top = x.top_logits(2)
        return (top[:, 0] - top[:, 1]) / (x.logits.max(dim=1).values - x.logits.min(dim=1).values)


class LogOfLogit(Plant):
    def score(self, x):
        return x.max_logit.log()


class InfiniteOnTraining(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.bank_ = train.embeddings
        return self

    def score(self, x):
        return -(x.embeddings[:, None] - self.bank_).square().sum(dim=2).min(dim=1).values.log()


class OutOfBounds(Plant):
    bounds = (0.0, 1.0)


class BatchMean(Plant):
    def score(self, x):
        return x.max_logit - x.max_logit.mean()


class BatchRank(Plant):
    def score(self, x):
        return x.max_logit.argsort().argsort().double() / len(x)


class FirstClass(Plant):
    def score(self, x):
        return x.max_logit + x.logits[:, 0] / 10


class WeightsClassesByPlace(Plant):
    def score(self, x):
        return x.max_logit * (1 + x.prediction / 10)


class Overflows(Plant):
    def score(self, x):
        return x.logits.exp().sum(dim=1)


class Unseeded(Plant):
    def score(self, x):
        return x.max_logit + torch.rand(len(x))


class UnseededFit(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.mean_ = train.embeddings[torch.randperm(len(train))[:100]]
        return self

    def score(self, x):
        return (x.embeddings @ self.mean_.T).max(dim=1).values


class Accumulates(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        held = self.learned().get("bank_")
        self.bank_ = train.embeddings[:, :28] if held is None else torch.cat([held, train.embeddings[:, :28]])
        return self

    def score(self, x):
        return (x.embeddings[:, : self.bank_.shape[1]] @ self.bank_.T).max(dim=1).values


class NotItself(Plant):
    def fit(self, val, train=None):
        return self.clone()


@dataclass
class TunesItself(Plant):
    temperature: float = 0.0

    def fit(self, val, train=None):
        self.temperature = 2.0
        return self


@dataclass
class CountsCalls(Plant):
    calls: int = 0

    def score(self, x):
        self.calls += 1
        return x.max_logit


@dataclass
class FitsItsBase(Plant):
    base: Scorer = field(default_factory=lambda: get_registry().scorer("knn:k=5"))
    needs = TRAIN

    def fit(self, val, train=None):
        self.base.fit(val, train)
        return self

    def score(self, x):
        return self.base.score(x)


class LazyDefault(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.mean_ = float(val.max_logit.mean())
        return self

    def score(self, x):
        return x.max_logit - getattr(self, "mean_", 0.0)


class HiddenState(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.mean = float(val.max_logit.mean())
        return self

    def score(self, x):
        return x.max_logit - getattr(self, "mean", 0.0)


class ForgetsState(LazyDefault):
    def score(self, x):
        return x.max_logit - self.mean_

    def state(self):
        return {}


class HoldsFunction(Plant):
    needs = frozenset({"logits", "val"})

    def fit(self, val, train=None):
        self.center_ = [lambda z: z - 1.0]
        return self

    def score(self, x):
        return self.center_[0](x.max_logit)


class HoldsObject(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        from sklearn.neighbors import NearestNeighbors

        self.model_ = NearestNeighbors(n_neighbors=5).fit(train.embeddings.numpy())
        return self

    def score(self, x):
        return -torch.as_tensor(self.model_.kneighbors(x.embeddings.numpy())[0][:, -1])


class SavesWhatItCannot(HoldsObject):
    savable = False

    def state(self):
        return self.learned()


class WritesToLogits(Plant):
    def score(self, x):
        return x.logits.sub_(x.logits.mean(dim=1, keepdim=True)).max(dim=1).values


class WritesToTraining(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        train.features[0] = train.features[0] * 2
        self.mean_ = train.features.mean(dim=0)
        return self

    def score(self, x):
        return x.features @ self.mean_


class UndeclaredFeatures(Plant):
    def score(self, x):
        return x.max_logit + 0 * x.features[:, 0]


class UndeclaredLogits(Plant):
    needs = frozenset()


class UndeclaredTrainingLabels(Plant):
    needs = TRAIN

    def fit(self, val, train=None):
        self.mean_ = train.features[train.labels >= 0].mean(dim=0)
        return self

    def score(self, x):
        return x.features @ self.mean_


class UndeclaredValidation(LazyDefault):
    needs = LOGITS

    def score(self, x):
        return x.max_logit - self.mean_


class UndeclaredBank(Plant):
    needs = frozenset({"zero_shot", "text:no"})

    def score(self, x):
        return -x.cosine_to("negatives").max(dim=1).values


class MisspeltNeed(Plant):
    needs = frozenset({"logits", "feature"})


class TwoHeads(Plant):
    needs = frozenset({"zero_shot", "linear_head"})


class Squeezes(Plant):
    def score(self, x):
        return x.top_logits(1).squeeze()


class ThreeClasses(Plant):
    def score(self, x):
        return x.logits.topk(3, dim=1).values[:, 0]


class NeverRuns(Plant):
    def score(self, x):
        raise RuntimeError("no such kernel")


@dataclass
class HidesMethod(Plant):
    state: str = "new"


class ExemptsSign(Plant):
    exempt = {"sign": "the paper has it so"}  # noqa: RUF012


class ExemptsUnknown(Plant):
    exempt = {"batch": "it looks at the batch"}  # noqa: RUF012


class ExemptsSilently(Plant):
    exempt = {"class-order": " "}  # noqa: RUF012


class NoSlug(Plant):
    name = "My Score"


class Undecorated(Scorer):
    name = "undecorated"
    needs = LOGITS

    def score(self, x):
        return x.max_logit


FAULTS = {
    WrongSign: {"sign"},
    Constant: {"sign"},
    Column: {"shape"},
    NumpyScores: {"shape", "dtype"},
    ListOfScores: {"shape", "dtype"},
    IntegerScores: {"dtype"},
    HalfScores: {"dtype"},
    NotANumberOnEqualLogits: {"finiteness"},
    InfiniteOnTraining: {"finiteness"},
    OutOfBounds: {"bounds"},
    BatchMean: {"batch-independence"},
    BatchRank: {"batch-independence"},
    FirstClass: {"class-order"},
    WeightsClassesByPlace: {"class-order"},
    Overflows: {"huge-logits"},
    Accumulates: {"refit"},
    NotItself: {"refit"},
    TunesItself: {"parameters"},
    CountsCalls: {"parameters"},
    LazyDefault: {"unfitted"},
    HiddenState: {"unfitted", "state"},
    ForgetsState: {"state"},
    HoldsFunction: {"state"},
    HoldsObject: {"state"},
    SavesWhatItCannot: {"state"},
    WritesToLogits: {"input"},
    UndeclaredFeatures: {"needs"},
    UndeclaredLogits: {"needs"},
    UndeclaredTrainingLabels: {"needs"},
    UndeclaredValidation: {"needs"},
    UndeclaredBank: {"needs"},
    MisspeltNeed: {"needs"},
    TwoHeads: {"needs"},
    Squeezes: {"one-image"},
    ThreeClasses: {"two-classes"},
    ExemptsSign: {"declaration"},
    ExemptsUnknown: {"declaration"},
    ExemptsSilently: {"declaration"},
    NoSlug: {"declaration"},
    Undecorated: {"declaration"},
}
"""Scorers with one fault, and all the checks that must fail."""
SPREADING = {
    OneForAll: {"shape", "one-image"},
    LogOfLogit: {"finiteness", "huge-logits"},
    Unseeded: {"repeatability"},
    UnseededFit: {"repeatability"},
    FitsItsBase: {"parameters"},
    WritesToTraining: {"input", "repeatability"},
    HidesMethod: {"declaration"},
}
"""Scorers whose one fault may make further checks fail."""


@pytest.mark.parametrize(("plant", "checks"), FAULTS.items(), ids=[plant.__name__ for plant in FAULTS])
def test_a_fault_fails_its_own_check_and_no_other(plant, checks):
    with pytest.raises(ConformanceError) as caught:
        check_scorer(plant())
    assert set(caught.value.failures) == checks


@pytest.mark.parametrize(("plant", "checks"), SPREADING.items(), ids=[plant.__name__ for plant in SPREADING])
def test_a_spreading_fault_is_found(plant, checks):
    with pytest.raises(ConformanceError) as caught:
        check_scorer(plant())
    assert set(caught.value.failures) >= checks


def test_every_check_finds_something():
    assert set().union(*FAULTS.values()) | {"repeatability"} == set(CHECKS) - set(TRAPS)  # those are in test_traps


def test_the_error_lists_each_failed_check_with_expected_and_got():
    with pytest.raises(AssertionError, match=r"plant: 2 of 28 checks failed") as caught:
        check_scorer(ListOfScores())
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["shape", "dtype"]
    assert all("expected" in line and ", got list" in line for line in lines)


def test_what_the_scorer_raised_is_the_cause():
    with pytest.raises(ConformanceError, match="got RuntimeError: no such kernel") as caught:
        check_scorer(NeverRuns())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_turned_sign_is_named():
    with pytest.raises(ConformanceError, match="turn the sign"):
        run_check("sign", WrongSign())


def test_sign_is_checked_although_the_scorer_exempts_it():
    class Turned(WrongSign):
        exempt = {"sign": "the paper has it so"}  # noqa: RUF012

    with pytest.raises(ConformanceError) as caught:
        check_scorer(Turned())
    assert set(caught.value.failures) == {"declaration", "sign"}


def test_a_class_or_an_unknown_check_is_refused():
    with pytest.raises(ScorerError, match="call the class"):
        check_scorer(MSP)
    with pytest.raises(ScorerError, match="did you mean 'sign'"):
        run_check("sing", MSP())


# -- honest scorers, however awkward ---------------------------------------------------------------


@dataclass
class Forest(Scorer):
    """Not smooth, not savable, and it draws."""

    trees: int = 20
    name = "forest"
    needs = frozenset({"features", "train", "train_labels"})
    savable = False
    exempt = {"class-order": "a forest draws by place"}  # noqa: RUF012

    def fit(self, val, train=None):
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(self.trees, random_state=0)
        self.forest_ = forest.fit(train.embeddings.numpy(), train.labels.numpy())
        return self

    def score(self, x):
        return torch.from_numpy(self.forest_.predict_proba(x.embeddings.numpy())).max(dim=1).values


@dataclass
class PromptEnsemble(Scorer):
    """Mean over the prompt sets of the largest cosine, on a (p, k, d) bank."""

    name = "prompt-ensemble"
    needs = frozenset({"zero_shot", "text:plain"})

    def score(self, x):
        return x.map(lambda chunk: chunk.cosine_to("plain").max(dim=2).values.mean(dim=1))


@dataclass
class Negatives(Scorer):
    """Share of the class texts in a softmax with streamed (m, d) negatives."""

    name = "negatives"
    needs = frozenset({"zero_shot", "text:wordnet-negatives"})

    def score(self, x):
        blocks = list(x.blocks("wordnet-negatives", 5))
        return x.cosine.exp().sum(dim=1) / torch.cat([x.cosine, *blocks], dim=1).exp().sum(dim=1)


@dataclass
class Extra(Scorer):
    name = "extra"
    needs = frozenset({"extra:agreement"})

    def score(self, x):
        return x.extras["agreement"]


@dataclass
class Clipped(Scorer):
    """As ReAct: the energy of a linear head on features clipped at a percentile of the training ones."""

    percentile: float = 0.9
    name = "clipped"
    needs = frozenset({"linear_head", "train"})

    def fit(self, val, train=None):
        self.limit_ = float(train.features.quantile(self.percentile))
        return self

    def score(self, x):
        return x.map(lambda chunk: x.head.logits(chunk.features.clamp(max=self.limit_)).logsumexp(dim=1))


@dataclass
class Subspace(Scorer):
    """As ViM's residual: the length off the principal subspace of the training features, with notes."""

    rank: int = 8
    name = "subspace"
    needs = TRAIN

    def fit(self, val, train=None):
        self.off_ = torch.linalg.eigh(torch.cov(train.features.double().T))[1][:, : -self.rank]
        self.centre_ = train.features.double().mean(dim=0)
        self.notes_ = {"rank": self.rank, "why": ["variance", None]}
        return self

    def score(self, x):
        return -((x.features.double() - self.centre_) @ self.off_).norm(dim=1)


@dataclass
class Rounded(Scorer):
    """Many ties."""

    name = "rounded"
    needs = LOGITS

    def score(self, x):
        return (x.confidence * 4).round() / 4


@dataclass
class Ranks(Scorer):
    name = "ranks"
    needs = LOGITS
    exempt = {"batch-independence": "it ranks a batch"}  # noqa: RUF012

    def score(self, x):
        return x.max_logit.argsort().argsort().double()


@dataclass
class OverUnsavable(Margin):
    """A margin over a base that cannot be saved, and so cannot be saved itself."""

    base: Scorer = field(default_factory=Forest)
    name = "over-unsavable"
    exempt = Forest.exempt

    def find(self, scores, val):
        return np.full(val.classes, float(scores.min())), ()


HONEST = [
    Forest(),
    PromptEnsemble(),
    Negatives(),
    Extra(),
    Clipped(),
    Subspace(),
    Rounded(),
    Ranks(),
    OverUnsavable(),
]


@pytest.mark.parametrize("scorer", HONEST, ids=lambda scorer: scorer.name)
def test_an_honest_scorer_passes(scorer):
    report = check_scorer(scorer)
    assert set(report.passed) | set(report.exempted) == set(CHECKS)
    assert dict(report.exempted) == dict(scorer.exempt)
    assert not scorer.learned()


@parametrize_with_checks([get_registry().scorer(name) for name in get_registry().names("scorers")])
def test_built_in(scorer, check):
    check(scorer)


@parametrize_with_checks(
    [
        "classwise:base=(knn:k=50):rule=youden",
        "classwise:rule=conformal",
        "classwise-entropy:rule=f1",
        "grid:base=maxlogit",
        "mahalanobis:normalise=true",
        "energy:temperature=0.5",
    ]
)
def test_built_in_with_parameters(scorer, check):
    check(scorer)


# -- the decorator and the problem -----------------------------------------------------------------


def test_the_decorator_names_and_skips():
    mark = parametrize_with_checks([Ranks(), MaxLogit()]).mark
    cases = {case.id: case for case in mark.args[1]}
    assert mark.args[0] == ("scorer", "check")
    assert len(cases) == 2 * len(CHECKS)
    skipped = {name: case.marks[0].kwargs["reason"] for name, case in cases.items() if case.marks}
    assert skipped == {"ranks-batch-independence": "exempt: it ranks a batch"}
    with pytest.raises(ConformanceError, match="plant: 1 of 1 checks failed"):
        cases["maxlogit-sign"].values[1](WrongSign())


def test_an_author_may_bring_a_problem():
    @dataclass
    class Views(Scorer):
        name = "views"
        needs = frozenset({"extra:views"})

        def score(self, x):
            return x.extras["views"][:, :, 0].mean(dim=1)

    def with_views(needs, classes, seed):
        problem = make_problem(needs, classes, seed)

        def widened(x: Outputs) -> Outputs:
            views = x.extras["views"][:, None, None].expand(-1, 3, 2)
            return Outputs(x.features, labels=x.labels, extras={"views": views}, head=x.head)

        return problem.changed(widened)

    with pytest.raises(ConformanceError, match="IndexError"):
        check_scorer(Views())
    assert check_scorer(Views(), with_views).exempted == {}


def test_nothing_global_is_drawn():
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    check_scorer("knn:k=5")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"linear_head"})], ids=["zero-shot", "linear"])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_problem_is_clear_but_not_without_mistakes(needs, classes):
    problem = make_problem(needs, classes, 3)
    assert problem.x.labels is None
    inside, outside = problem.x.confidence[~problem.ood], problem.x.confidence[problem.ood]
    assert inside.mean() > 0.9
    assert outside.mean() < 0.75
    for split in (problem.val, problem.train):
        wrong = (split.prediction != split.labels).double().mean()
        assert 0.02 < wrong < 0.2
        assert split.confidence.mean() > 0.8


def test_the_problem_is_the_same_each_time_and_another_by_seed():
    one, two, other = (make_problem(seed=seed).x.features for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_permuted_problem_moves_labels_head_and_banks_together():
    x = make_problem(frozenset({"text:plain"})).val
    moved = permuted(x)
    assert not (moved.labels == x.labels).any()
    assert [moved.class_names[i] for i in moved.labels] == [x.class_names[i] for i in x.labels]
    for array in ("logits", "no_logits"):
        of_label = [getattr(o, array).gather(1, o.labels[:, None]) for o in (x, moved)]
        torch.testing.assert_close(*of_label)
    sets = [o.cosine_to("plain")[torch.arange(len(o)), :, o.labels] for o in (x, moved)]
    torch.testing.assert_close(*sets)
    ready = permuted(Outputs(logits=x.logits, labels=x.labels))
    torch.testing.assert_close(ready.logits, moved.logits)
    assert torch.equal(ready.labels, moved.labels)


@pytest.mark.parametrize("word", ["zero_shot", "linear_head", "logits"])
def test_huge_logits_are_ten_thousand_times_as_large(word):
    x = bare(make_problem(frozenset({word})), frozenset({word}))[0].x
    ratio = huge(x).logits.abs().max() / x.logits.abs().max()
    assert ratio == pytest.approx(1e4, rel=0.1)


def test_bare_gives_what_is_asked_and_no_more():
    needs = frozenset({"features", "text:no", "extra:a", "train_labels"})
    (only,) = bare(make_problem(needs | {"extra:b"}), needs)
    assert only.x.provides == {"features", "head", "logits", "zero_shot", "text:no", "extra:a"}
    assert only.val is None
    assert only.train.labels is not None
    either = bare(make_problem(), frozenset({"val"}))
    assert [problem.x.provides for problem in either] == [{"features"}, {"logits"}]
    assert all(problem.val.labels is None and problem.train is None for problem in either)


def test_problems_are_of_one_type():
    assert isinstance(make_problem(), Problem)
    assert [f.name for f in dataclasses.fields(Problem)] == ["x", "ood", "edges", "val", "train"]
