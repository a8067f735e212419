"""What the scores in front of a head share: signed features, both kinds of head, features of any size."""

import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import missing_needs
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.families.activations import kept

pytestmark = pytest.mark.quick

NAMES = ("react", "vra", "dice", "ash-p", "ash-b", "ash-s", "scale", "lts")


def scorer(spec):
    return get_registry().scorer(spec)


def outputs(features, seed=0):
    rng = np.random.default_rng(seed)
    return Outputs(features, head=Head.linear(rng.normal(size=(5, features.shape[1])), rng.normal(size=5)))


def features(rows=80, width=12, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, width))


@pytest.mark.parametrize("name", NAMES)
def test_signed_features_are_an_unmet_need(name):
    signed, positive = outputs(features()), outputs(np.abs(features()))
    assert "nonnegative_features" in missing_needs(scorer(name), signed, positive, positive)
    assert missing_needs(scorer(name), positive, positive, positive) == []
    for choice in ("rectify", "allow"):
        assert missing_needs(scorer(f"{name}:signed={choice}"), signed, signed, signed) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_direct_call_on_signed_features_says_what_to_pass(name):
    signed, positive = outputs(features()), outputs(np.abs(features()))
    with pytest.raises(ScorerError) as error:
        scorer(name).fit(positive, positive).score(signed)
    said = str(error.value)
    assert said.startswith(f"{name}: features: expected numbers of at least 0, got -")
    assert "signed=rectify" in said
    assert "signed=allow" in said
    assert "\n" not in said
    if name in ("react", "vra", "dice"):
        with pytest.raises(ScorerError, match="signed=allow"):
            scorer(name).fit(signed, signed)


@pytest.mark.parametrize("name", NAMES)
def test_rectify_is_the_score_of_features_with_zeros_below_zero(name):
    raw = features()
    rectified = outputs(np.maximum(raw, 0))
    wanted = scorer(name).fit(rectified, rectified).score(rectified)
    signed = outputs(raw)
    found = scorer(f"{name}:signed=rectify").fit(signed, signed).score(signed)
    assert found.numpy() == pytest.approx(wanted.numpy(), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_allow_changes_nothing_on_features_of_at_least_zero(name):
    x = outputs(np.abs(features()))
    wanted = scorer(name).fit(x, x).score(x)
    assert scorer(f"{name}:signed=allow").fit(x, x).score(x).tolist() == wanted.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_allowed_features_whose_sums_vanish_stay_finite(name):
    rows = features()
    rows[:10] -= rows[:10].mean(axis=1, keepdims=True)  # sum over all: about 0
    rows[10:20, :2], rows[10:20, 2:] = [1.0, -1.0], -2.0  # sum over the two largest: 0
    rows[20:30] = 0.0
    rows[30:40] = -np.abs(rows[30:40])
    for size in (1e-30, 1.0, 1e10):
        x = outputs(size * rows)
        assert scorer(f"{name}:signed=allow").fit(x, x).score(x).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_equal_entries_and_few_kept_do_not_overflow(name, kind):
    """The sum over the kept sum is the width here, 4,000, and exp(4000) is infinite even in float64."""
    rows = np.ones((6, 4000), dtype=kind)
    rng = np.random.default_rng(0)
    head = Head.linear(rng.normal(size=(5, 4000)).astype(kind), rng.normal(size=5).astype(kind))
    x = Outputs(1e6 * rows, head=head)
    spec = {"vra": "vra", "react": "react:percentile=100", "dice": "dice:percentile=99"}.get(
        name, f"{name}:percentile=100"
    )
    assert scorer(spec).fit(x, x).score(x).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_shot_head_takes_unit_rows(name, make_outputs):
    x = make_outputs()
    unit = x.features.numpy() / np.sqrt((x.features.numpy() ** 2).sum(axis=1, keepdims=True))
    weight = x.head.weight.numpy() * 10
    linear = Outputs(unit, head=Head.linear(weight, None))
    spec = f"{name}:signed=rectify"
    wanted = scorer(spec).fit(linear, linear).score(linear)
    assert scorer(spec).fit(x, x).score(x).numpy() == pytest.approx(wanted.numpy(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_head_it_is_refused(name):
    x = Outputs(np.abs(features()))
    y = outputs(np.abs(features()))
    assert "head" in missing_needs(scorer(name), x, y, y)
    with pytest.raises(OutputsError, match="head"):
        scorer(name).fit(y, y).score(x)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_choice_is_refused(name):
    with pytest.raises(ScorerError, match="signed: expected refuse, rectify or allow, got 'relu'"):
        scorer(f"{name}:signed=relu")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "vra"])
@pytest.mark.parametrize("wrong", [-1, 101])
def test_a_percentile_lies_from_0_to_100(name, wrong):
    with pytest.raises(ScorerError, match=f"{name}: percentile: expected a number from 0 to 100, got {wrong}"):
        scorer(f"{name}:percentile={wrong}")


@pytest.mark.parametrize(
    ("width", "percentile", "wanted"), [(64, 65, 22), (64, 90, 6), (64, 95, 3), (10, 0, 10), (10, 100, 1), (5, 50, 3)]
)
def test_how_many_are_kept(width, percentile, wanted):
    assert kept(width, percentile) == max(1, width - int(np.round(width * percentile / 100))) == wanted
