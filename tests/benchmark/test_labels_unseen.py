"""Labels never reach `score`: a scorer that looks for them gains nothing, wherever it is asked."""

import copy
import pickle
from dataclasses import dataclass, field, fields

import numpy as np
import pytest
import torch

import ood_toolkit
from ood_toolkit import Combiner, Detector, Margin, Outputs, Scored, Scorer, StreamScorer, bench
from ood_toolkit.benchmark.members import Member

pytestmark = pytest.mark.usefixtures("no_plugins")


def peek(x: Outputs, honest: torch.Tensor) -> torch.Tensor:
    """Score by the labels where they can be had, in any form; else honestly."""
    truth = x.labels if x.labels is not None else x.extras.get("source_labels")
    if truth is None and x.right is None:
        return honest
    right = x.right if x.right is not None else torch.zeros(len(x), dtype=torch.bool)
    return 10.0 * right.double() + 0 * honest


@dataclass
class Peeks(Scorer):
    name = "peeks"
    needs = frozenset({"logits"})

    def score(self, x):
        return peek(x, x.confidence)


@dataclass
class PeeksAfterFit(Peeks):
    """Learns from val, so it is cross-fitted."""

    name = "peeks-after-fit"
    needs = frozenset({"logits", "val", "val_labels"})

    def fit(self, val, train=None):
        assert val.labels is not None  # fit is given labels
        self.seen_ = len(val)
        return self


@dataclass
class PeekingStream(StreamScorer):
    name = "peeking-stream"
    needs = frozenset({"logits"})
    order = "not at all"

    def run(self, chunks, seed):
        return torch.cat([peek(x, x.confidence) for x in chunks])


def hidden_integers(x):
    """Look into the object for whole numbers, a row each, that are not its predictions."""
    for value in vars(x).values():
        whole = isinstance(value, torch.Tensor) and value.dtype == torch.int64 and value.shape == (len(x),)
        if whole and not torch.equal(value, x.prediction):
            return value
    return None


WAYS = {
    "the first chunk": lambda x: next(x.chunks(len(x))).labels,
    "a slice": lambda x: x[:].labels,
    "rows by number": lambda x: x[torch.arange(len(x))].labels,
    "another head": lambda x: x.with_head(x.head).labels,
    "known labels": lambda x: x.with_known_labels().labels if x.has_labels else None,
    "a copy": lambda x: copy.deepcopy(x).labels,
    "a pickle": lambda x: pickle.loads(pickle.dumps(x)).labels,
    "what is right": lambda x: None if x.right is None else x.prediction.where(x.right, -1),
    "extras": lambda x: next((torch.as_tensor(v) for k, v in x.extras.items() if "label" in k), None),
    "its insides": hidden_integers,
}


@dataclass
class PeeksSomehow(Scorer):
    way: str = "a slice"
    name = "peeks-somehow"
    needs = frozenset({"logits"})

    def score(self, x):
        truth = WAYS[self.way](x)
        return x.confidence if truth is None else (truth == x.prediction).double()


@dataclass
class AsksForSourceLabels(Peeks):
    name = "asks"
    needs = frozenset({"logits", "extra:source_labels"})


@dataclass
class Halfway(Margin):
    base: Scorer = field(default_factory=Peeks)
    name = "halfway"

    def find(self, scores, val):
        assert val.labels is not None
        return np.full(val.classes, float(scores.median())), ()


@pytest.fixture
def sets(make_outputs):
    ood = make_outputs(40, seed=3, scale=3.0)
    return {
        "test": make_outputs(90, seed=1, scale=3.0),
        "ood": {"labelled": ood, "kept": ood.without_labels(), "bare": Outputs(ood.features, head=ood.head)},
        "val": make_outputs(80, seed=2, scale=3.0),
    }


def rows_of(report):
    return {(row.kind, row.ood): row for row in report.rows if row.kind != "mean"}


@pytest.mark.parametrize("cheat", [Peeks(), PeeksAfterFit()])
def test_in_bench_a_peeking_scorer_is_msp(cheat, sets):
    got, wanted = rows_of(bench(cheat, **sets)), rows_of(bench("msp", **sets))
    assert 0.5 < wanted["misclassification", ""].auroc < 0.999
    for key, row in wanted.items():
        assert got[key].status == "ok", got[key].notes
        assert got[key].metrics == row.metrics


@pytest.mark.parametrize("way", WAYS)
def test_there_is_no_way_round(way, sets):
    cheat, honest = PeeksSomehow(way), rows_of(bench("msp", **sets))
    for key, row in rows_of(bench(cheat, **sets)).items():
        assert row.metrics == honest[key].metrics
    test, val = sets["test"], sets["val"]
    wanted = test.confidence.numpy().tolist()
    assert ood_toolkit.score(cheat, test, val).tolist() == wanted
    assert Detector.fit(cheat, val).score(test).tolist() == wanted
    told = cheat.score(test)  # asked without the benchmark it would gain
    assert (told.tolist() != wanted) is (way != "extras")


def test_in_score_detector_and_calibration_too(sets):
    test, val = sets["test"], sets["val"]
    honest = test.confidence.numpy()
    for cheat in (Peeks(), PeeksAfterFit()):
        assert ood_toolkit.score(cheat, test, val).tolist() == honest.tolist()
        made = Detector.fit(cheat, val)
        assert made.threshold == Detector.fit("msp", val).threshold
        assert made.score(test).tolist() == honest.tolist()
    fitted = PeeksAfterFit().fit(val)
    assert ood_toolkit.score(fitted, test).tolist() == honest.tolist()
    assert Halfway().fit(val).threshold_[0] == val.confidence.median()


def test_streams_see_none(sets):
    stream = ood_toolkit.score(PeekingStream(), sets["test"])
    assert stream.tolist() == sets["test"].confidence.numpy().tolist()
    report = bench(PeekingStream(), **sets)
    wanted = rows_of(bench("msp", **sets))
    for row in report.rows:
        if row.kind == "ood":
            assert row.auroc == pytest.approx(wanted["ood", row.ood].auroc, abs=1e-12)


def test_source_labels_cannot_be_asked_for(sets):
    report = bench(AsksForSourceLabels(), **sets)
    assert {row.status for row in report.rows} == {"skipped"}
    assert report.rows[0].notes == ("needs extra:source_labels",)
    kept = sets["ood"]["kept"]
    assert "source_labels" in kept.extras
    with pytest.raises(ood_toolkit.ScorerError, match="needs extra:source_labels"):
        ood_toolkit.score(AsksForSourceLabels(), kept)


def test_tuning_does_not_see_them_either(sets):
    @dataclass
    class Tuned(Peeks):
        name = "tuned"
        trust: float = 0.0
        grid = {"trust": (0.0, 1.0)}  # noqa: RUF012

        def score(self, x):
            return peek(x, x.confidence) if self.trust else x.confidence

    report = bench(Tuned(), **sets, tune={"o": sets["ood"]["kept"][:30]})
    assert {row.scorer for row in report.rows} == {"tuned"}  # no gain, so the default stays


@dataclass
class Nosy(Combiner):
    """Keeps what it was shown."""

    name = "nosy"

    def fit(self, val):
        self.shown_ = list(val)
        return self

    def combine(self, parts):
        Nosy.parts = list(parts)
        return parts[0]


def test_combiners_are_given_no_truth(sets):
    ids = [f"i{place}" for place in range(90)]
    member = Member(sets["val"], {"a": sets["test"].named(ids)}, {"o": sets["ood"]["kept"]})
    report = bench(Peeks(), combiners=Nosy(), members={"a": member})
    (merged,) = [row for row in report.rows if row.decider == "nosy" and row.kind == "misclassification"]
    alone = rows_of(bench("msp", **sets))["misclassification", ""]
    assert merged.auroc == alone.auroc
    named = {f.name for f in fields(Scored)}
    assert named.isdisjoint({"labels", "label", "right", "truth"})
    assert all(isinstance(part, Scored) and part.own is None for part in Nosy.parts)


def test_blind_outputs_hold_on_to_what_was_derived(make_outputs):
    x = make_outputs(30).named([f"i{place}" for place in range(30)])
    probs = x.probs
    bare = x.blind()
    assert bare.labels is None
    assert bare.right is None
    assert bare.probs is probs
    assert bare.blind() is bare
    assert bare.ids.tolist() == x.ids.tolist()
    kept = x.without_labels()
    assert set(kept.extras) == {"source_labels"}
    assert set(kept.blind().extras) == set()
    assert "extra:source_labels" not in kept.provides
    assert x.labels is not None
