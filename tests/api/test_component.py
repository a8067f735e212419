from dataclasses import dataclass, field

import pytest
import torch

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.combiners.mean_score import MeanScore
from ood_toolkit.errors import NotFittedError, NotSavableError
from ood_toolkit.scorers.classwise import Classwise, ClasswiseEntropy
from ood_toolkit.scorers.entropy import Entropy
from ood_toolkit.scorers.grid import Grid
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.mahalanobis import Mahalanobis
from ood_toolkit.scorers.mean import Mean
from ood_toolkit.scorers.msp import MSP

pytestmark = pytest.mark.quick

OTHERWISE = {
    "classwise:base=(knn:k=3):rule=youden:target=0.9": Classwise(base=KNN(k=3), rule="youden", target=0.9),
    "classwise:base=energy": Classwise(base=get_registry().scorer("energy")),
    "classwise:base=(classwise:base=(knn:k=2))": Classwise(base=Classwise(base=KNN(k=2))),
    "classwise-entropy:base=entropy:rule=conformal": ClasswiseEntropy(base=Entropy(), rule="conformal"),
    "mean:target=0.8": Mean(target=0.8),
    "mean:base=(entropy:normalised=true)": Mean(base=Entropy(normalised=True)),
    "grid:base=maxlogit": Grid(base=get_registry().scorer("maxlogit")),
    "energy:temperature=0.01": get_registry().get("scorers", "energy")(temperature=0.01),
    "mcm:temperature=1e-05": get_registry().get("scorers", "mcm")(temperature=1e-5),
    "entropy:normalised=true": Entropy(normalised=True),
    "mahalanobis:normalise=true": Mahalanobis(normalise=True),
    "knn:k=3": KNN(k=3),
}


@pytest.mark.parametrize("kind", ["scorers", "combiners"])
def test_a_builtin_at_its_defaults_is_its_name(kind, monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    registry = get_registry()
    make = registry.scorer if kind == "scorers" else registry.combiner
    for name in registry.names(kind):
        component = registry.get(kind, name)()
        assert component.spec == name
        assert make(component.spec) == component


@pytest.mark.parametrize("spec", OTHERWISE)
def test_other_parameters_are_written_and_parse_back(spec):
    assert OTHERWISE[spec].spec == spec
    assert get_registry().scorer(spec) == OTHERWISE[spec]


def test_a_combiner_has_a_spec_too():
    assert MeanScore(target=0.9).spec == "mean-score:target=0.9"
    assert get_registry().combiner("mean-score:target=0.9") == MeanScore(target=0.9)


@dataclass
class Learner(Scorer):
    base: Scorer = field(default_factory=MSP)
    weights: list = field(default_factory=lambda: [1.0])

    name: str = "learner"
    needs: frozenset = frozenset({"logits"})

    def fit(self, val, train=None):
        self.base_ = self.base.clone().fit(val, train)
        self.shift_ = val.confidence.mean()
        self.words_ = ["a"]
        return self

    def score(self, x):
        return self.base_.score(x) - self.shift_


def test_annotated_declarations_are_no_parameters():
    assert Learner().parameters() == {"base": MSP(), "weights": [1.0]}
    assert Learner().spec == "learner"


def test_a_clone_has_equal_parameters_of_its_own_and_nothing_learned(make_outputs):
    scorer = Learner(KNN(k=3)).fit(make_outputs(), make_outputs())
    clone = scorer.clone()
    assert clone == scorer
    assert clone.base is not scorer.base
    assert clone.weights is not scorer.weights
    assert clone.learned() == {}


def test_what_is_learned_ends_in_an_underscore(make_outputs):
    scorer = Learner().fit(make_outputs())
    assert set(scorer.learned()) == {"base_", "shift_", "words_"}
    assert scorer.state() == {"base_": {}, "shift_": scorer.shift_, "words_": ["a"]}


def test_a_missing_learned_attribute_says_not_fitted():
    with pytest.raises(NotFittedError, match=r"knn: not fitted, bank_ is missing; call fit\(val\) first"):
        _ = KNN().bank_
    with pytest.raises(AttributeError, match="'KNN' has no attribute 'bank'"):
        _ = KNN().bank
    assert not hasattr(KNN(), "bank_")


@pytest.mark.parametrize("base", [KNN(k=3), Mahalanobis(), Classwise(base=KNN(k=2))], ids=lambda base: base.spec)
def test_the_state_makes_an_equal_scorer(make_outputs, base):
    val, train, x = make_outputs(seed=1), make_outputs(seed=2), make_outputs(seed=3)
    fitted = Learner(base).fit(val, train)
    made = Learner.from_state(fitted.state(), base=base)
    assert torch.equal(made.score(x), fitted.score(x))
    assert type(made.base_) is type(base)


def test_a_base_at_its_default_is_restored_without_being_named(make_outputs):
    fitted = Classwise().fit(make_outputs())
    made = Classwise.from_state(fitted.state())
    assert made.base_ == MSP()
    assert torch.equal(made.score(make_outputs(seed=1)), fitted.score(make_outputs(seed=1)))


def test_a_state_that_needs_pickle_is_refused():
    class Pickled(MSP):
        name = "pickled"
        savable = False

    with pytest.raises(NotSavableError, match="pickled: its state cannot be saved without pickle"):
        Pickled().state()


def test_learned_tensors_move_with_the_scorer(make_outputs):
    scorer = Learner(KNN(k=3)).fit(make_outputs(), make_outputs())
    assert scorer.to("meta") is scorer
    assert (scorer.shift_.device.type, scorer.base_.bank_.device.type) == ("meta", "meta")
