from dataclasses import dataclass

import numpy as np
import pytest
import torch

from ood_toolkit.api.builtin import register_scorers
from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Scorer, between, given, missing_needs, not_negative
from ood_toolkit.errors import NotFittedError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.classwise import Classwise
from ood_toolkit.scorers.energy import Energy
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.scorers.msp import MSP

pytestmark = pytest.mark.quick

HELD = {"logits", "features", "head", "zero_shot", "text:no", "text:negatives", "text:prompts"}
"""What the made-up outputs provide; scorers that need more are held by the conformance kit and tests of their own."""
SPLITS = {"val", "val_labels", "train", "train_labels"}
NAMES = [
    name
    for name in register_scorers()
    if issubclass(get_registry().get("scorers", name), Scorer) and get_registry().scorer(name).needs <= HELD | SPLITS
]


@pytest.fixture(params=NAMES)
def scorer(request) -> Scorer:
    made = get_registry().scorer(request.param)
    if made.name in ("knn", "nnguide"):
        made.k = 5
    return made


def test_score_is_the_one_abstract_method():
    assert Scorer.__abstractmethods__ == {"score"}
    with pytest.raises(TypeError, match=r"abstract method '?score"):
        Scorer()


def test_by_default_nothing_is_learned(make_outputs):
    scorer = MSP()
    assert scorer.fit(make_outputs()) is scorer
    assert scorer.learned() == {}


def test_a_score_does_not_depend_on_the_company(make_outputs, scorer):
    val, train, x = make_outputs(400, seed=1), make_outputs(300, seed=2), make_outputs(90, seed=3)
    whole = scorer.fit(val, train).score(x).double()
    assert whole.shape == (90,)
    assert bool(torch.isfinite(whole).all())
    assert scorer.score(x[17]).double().item() == pytest.approx(whole[17].item(), rel=1e-5, abs=1e-6)
    joined = torch.cat([scorer.score(chunk).double() for chunk in x.chunks(7)])
    assert joined.numpy() == pytest.approx(whole.numpy(), rel=1e-5, abs=1e-6)


def test_fitting_again_forgets_and_keeps_the_parameters(make_outputs, scorer):
    val, train, x = make_outputs(200, seed=1), make_outputs(100, seed=2), make_outputs(30, seed=3)
    before = scorer.spec
    wanted = scorer.fit(val, train).score(x)
    scorer.fit(make_outputs(150, seed=4), make_outputs(80, seed=5))
    assert torch.equal(scorer.fit(val, train).score(x), wanted)
    assert scorer.spec == before


def test_scoring_leaves_the_outputs_as_they_are(make_outputs, scorer):
    x, same = make_outputs(50, seed=3), make_outputs(50, seed=3)
    scorer.fit(make_outputs(200, seed=1), make_outputs(100, seed=2)).score(x)
    assert torch.equal(x.features, same.features)
    assert torch.equal(x.logits, same.logits)
    assert x.head.fingerprint == same.head.fingerprint


def test_what_must_be_fitted_says_so(make_outputs, scorer):
    if "val" in scorer.needs or "train" in scorer.needs:
        with pytest.raises(NotFittedError, match=f"{scorer.name}: not fitted"):
            scorer.score(make_outputs())
    else:
        assert scorer.score(make_outputs()).shape == (60,)


def test_float64_outputs_meet_float32_training(make_outputs, scorer):
    val, train, x = make_outputs(200, seed=1), make_outputs(100, seed=2), make_outputs(30, seed=3)
    fitted = scorer.fit(val, train)
    double = Outputs(x.features.double(), head=x.head)
    assert fitted.score(double).numpy() == pytest.approx(fitted.score(x).numpy(), rel=1e-4, abs=1e-5)


def test_missing_needs_are_listed(make_outputs):
    x = Outputs.from_logits([[1.0, 2.0]])
    assert missing_needs(MSP(), x, None, None) == []
    assert missing_needs(MCM(), x, None, None) == ["zero_shot"]
    assert missing_needs(KNN(), x, x, None) == ["features", "train"]
    assert missing_needs(Classwise(rule="f1"), x, x, None) == ["val_labels"]
    assert missing_needs(Classwise(rule="f1"), x, Outputs.from_logits([[1.0, 2]], labels=[0]), None) == []
    assert missing_needs(get_registry().scorer("clipn-ctw"), make_outputs(), None, None) == []
    assert missing_needs(get_registry().scorer("mahalanobis"), make_outputs(), None, make_outputs()) == []
    assert missing_needs(
        get_registry().scorer("mahalanobis"), make_outputs(), None, make_outputs().without_labels()
    ) == ["train_labels"]


def test_needs_follow_the_base_score():
    assert Classwise(base=KNN()).needs == {"features", "train", "logits", "val"}
    assert Classwise(rule="mean").needs == {"logits", "val", "val_labels"}
    assert Classwise(base=MCM()).prompts == MCM.prompts


def test_a_split_that_is_missing_is_asked_for(make_outputs):
    with pytest.raises(ScorerError, match="knn: needs train to fit, got none; pass train="):
        KNN().fit(make_outputs())
    assert given(KNN(), make_outputs, "train") is make_outputs


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
def test_a_parameter_out_of_range_is_refused(value):
    with pytest.raises(ScorerError, match=f"energy: temperature: expected a number above 0, got {value}"):
        Energy(temperature=value)


@dataclass
class Ranged(Scorer):
    """A scorer with parameters of either kind."""

    share: float = 0.5
    count: int = 3
    name = "ranged"

    def score(self, x):
        return x.max_logit


NO_NUMBERS = (True, "1", None, float("nan"))


@pytest.mark.parametrize("value", [-1e-9, float("inf"), *NO_NUMBERS])
def test_what_is_below_zero_or_no_number_is_refused(value):
    not_negative(Ranged(share=0), "share", "count")
    not_negative(Ranged(count=0), "share", "count")
    with pytest.raises(ScorerError) as caught:
        not_negative(Ranged(share=value), "share")
    assert str(caught.value) == f"ranged: share: expected a number of at least 0, got {value!r}"


@pytest.mark.parametrize("value", [0.5, 2.0, -1, *NO_NUMBERS])
def test_a_fraction_is_refused_where_the_default_is_whole(value):
    with pytest.raises(ScorerError) as caught:
        not_negative(Ranged(count=value), "count")
    assert str(caught.value) == f"ranged: count: expected a whole number of at least 0, got {value!r}"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("inf"), *NO_NUMBERS])
def test_a_range_has_its_ends_or_not(value):
    for end in (0, 1, 1.0):
        between(Ranged(share=end), "share", 0, 1)
        with pytest.raises(ScorerError, match=f"share: expected a number above 0 and below 1, got {end}"):
            between(Ranged(share=end), "share", 0, 1, ends=False)
    between(Ranged(share=0.5), "share", 0, 1, ends=False)
    for ends, said in ((True, "from 0 to 1"), (False, "above 0 and below 1")):
        with pytest.raises(ScorerError) as caught:
            between(Ranged(share=value), "share", 0, 1, ends=ends)
        assert str(caught.value) == f"ranged: share: expected a number {said}, got {value!r}"


def test_a_third_party_scorer_is_one_short_class():
    @dataclass
    class Range(Scorer):
        name = "range"
        needs = frozenset({"logits"})

        def score(self, x):
            return x.logits.amax(dim=1) - x.logits.amin(dim=1)

    assert Range().score(Outputs.from_logits(np.array([[1.0, 4.0]]))).tolist() == [3.0]
