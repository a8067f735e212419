"""Several classifiers of one ID set: each is shown as a model, and each combination of them as one more."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ood_toolkit import Combiner, Member, Outputs, bench
from ood_toolkit.errors import OutputsError
from ood_toolkit.metrics import auroc
from ood_toolkit.report.run_folder import read_run

CLASSES = ("cat", "dog", "fox", "owl")
TRUTH = np.random.default_rng(0).integers(0, len(CLASSES), 240)
VAL, TEST = slice(0, 80), slice(80, 240)
IDS = np.array([f"image {place}" for place in range(240)])


def logits(seed, noise, truth=TRUTH):
    found = np.random.default_rng(seed).normal(size=(len(truth), len(CLASSES))) * noise
    found[np.arange(len(truth)), truth] += 3 * (truth >= 0)
    return found


def classifier(seed, noise, names=CLASSES, **more):
    """Give what a classifier put out for the set `pets` and OOD images, and its logits of both."""
    own = logits(seed, noise)
    other = np.random.default_rng(seed + 50).normal(size=(90, len(CLASSES)))

    def of(rows):
        return Outputs.from_logits(own[rows], labels=TRUTH[rows], class_names=names).named(IDS[rows])

    return Member(of(VAL), {"pets": of(TEST)}, {"cars": Outputs.from_logits(other, class_names=names)}, **more), (
        own[TEST],
        other,
    )


ONE, OF_ONE = classifier(1, 1.0)
TWO, OF_TWO = classifier(2, 1.5)
PAIR = {"prompts": ONE, "probe": TWO}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def rows_of(report, model, kind="ood"):
    return [row for row in report.rows if row.model == model and row.kind == kind]


def test_each_classifier_has_the_rows_it_has_alone():
    report = bench("msp,energy,classwise", members=PAIR, combiners="vote")
    for name, member in PAIR.items():
        alone = bench("msp,energy,classwise", member.tests["pets"], member.ood, member.val, id_name="pets")
        assert [(r.scorer, r.id, r.metrics) for r in report.rows if r.model == name] == [
            (r.scorer, r.id, r.metrics) for r in alone.rows
        ]


def test_the_mean_of_probabilities_is_that_of_a_slow_formula_and_stands_once():
    report = bench("msp,energy", members=PAIR, combiners="mean-probability,mean-probability:score=max")
    mean = [(softmax(one) + softmax(two)) / 2 for one, two in zip(OF_ONE, OF_TWO, strict=True)]
    entropy = [(p * np.log(p)).sum(axis=1) for p in mean]
    (row,) = rows_of(report, "mean-probability")
    assert row.scorer == "mean-probability"
    assert row.auroc == pytest.approx(auroc(*entropy), abs=1e-6)
    (largest,) = rows_of(report, "mean-probability:score=max")
    assert largest.auroc == pytest.approx(auroc(*(p.max(axis=1) for p in mean)), abs=1e-6)
    header = next(part for part in report.header["models"] if part["model"] == "mean-probability")
    assert header["combines"] == ["prompts", "probe"]
    assert header["id"][0]["accuracy"] == (mean[0].argmax(axis=1) == TRUTH[TEST]).mean()
    assert all(said.probabilities is None for said in report.answers.values())


@pytest.mark.parametrize("combiner", ["max-confidence", "vote", "mean-score"])
def test_combiners_of_scores_merge_what_each_classifier_says_by_a_scorer(combiner):
    report = bench("msp,energy", members=PAIR, combiners=combiner)
    assert [row.scorer for row in rows_of(report, combiner)] == ["msp", "energy"]
    said = report.answers[combiner, "pets", "test"]
    sure = np.stack([softmax(one).max(axis=1) for one in (OF_ONE[0], OF_TWO[0])])
    named = np.stack([np.array(CLASSES)[one.argmax(axis=1)] for one in (OF_ONE[0], OF_TWO[0])])
    assert said.prediction.tolist() == named[sure.argmax(axis=0), np.arange(len(IDS[TEST]))].tolist()
    assert set(said.scores) == {"msp", "energy"}
    if combiner == "mean-score":
        parts = []
        for own in (OF_ONE[0], OF_TWO[0]):
            score = softmax(own).max(axis=1)
            val = softmax(logits(1 if own is OF_ONE[0] else 2, 1.0 if own is OF_ONE[0] else 1.5)[VAL]).max(axis=1)
            parts.append((score - val.mean()) / val.std())
        assert said.scores["msp"] == pytest.approx(np.mean(parts, axis=0))


def test_images_and_classes_may_come_in_another_order_and_spelling():
    places = np.random.default_rng(3).permutation(160)
    back = [2, 0, 3, 1]
    names = ["Fox", "CAT", "owl", "dog"]

    def turned(x, rows=slice(None)):
        labels = None if x.labels is None else np.argsort(back)[x.labels.numpy()][rows]
        made = Outputs.from_logits(x.logits.numpy()[rows][:, back], labels=labels, class_names=names)
        return made if x.ids is None else made.named(x.ids[rows])

    other = replace(
        TWO,
        val=turned(TWO.val),
        tests={"pets": turned(TWO.tests["pets"], places)},
        ood={"cars": turned(TWO.ood["cars"])},
    )
    straight = bench("msp", members=PAIR, combiners="all")
    again = bench("msp", members={"prompts": ONE, "probe": other}, combiners="all")
    for one, two in zip(straight.rows, again.rows, strict=True):
        assert one.metrics == pytest.approx(two.metrics), one.model
    key = ("mean-probability", "pets", "test")
    assert again.answers[key].prediction.tolist() == straight.answers[key].prediction.tolist()


def test_a_run_folder_and_pages_hold_them_as_models(tmp_path):
    report = bench("msp", members=PAIR, combiners="all", ci=True, paired=True)
    report.save(tmp_path / "run")
    again = read_run(tmp_path / "run")
    assert again.answers.keys() == report.answers.keys()
    assert [row.metrics for row in again.rows] == [dict(row.metrics) for row in report.rows]
    assert "mean-probability of prompts, probe" in report.table()
    assert "auroc_low" in rows_of(report, "vote")[0].metrics


def test_shifted_images_count_as_in_distribution_in_combinations_too():
    drawn = [f"drawn {place}" for place in range(160)]
    shifted = {name: replace(one, csid={"drawn": one.tests["pets"].named(drawn)}) for name, one in PAIR.items()}
    report = bench("msp", members=shifted, combiners="mean-probability")
    whole = [row for row in rows_of(report, "mean-probability") if row.id == "pets+csid"]
    assert whole[0].n_id == 320
    assert whole[0].auroc == pytest.approx(rows_of(report, "mean-probability")[0].auroc)


def test_a_score_that_one_lacks_is_skipped_in_combinations_and_a_broken_combiner_fails_alone():
    @dataclass
    class Broken(Combiner):
        name = "broken"

        def combine(self, parts):
            raise ValueError("no")

    report = bench("msp,knn", members=PAIR, combiners=[Broken(), "vote"])
    assert [(row.scorer, row.status) for row in rows_of(report, "broken")] == [("msp", "failed"), ("knn", "skipped")]
    assert [(row.scorer, row.status) for row in rows_of(report, "vote")] == [("msp", "ok"), ("knn", "skipped")]


def test_predictions_that_depend_on_the_score_stand_apart():
    @dataclass
    class ByScore(Combiner):
        name = "by-score"

        def combine(self, parts):
            best = np.argmax([part.score for part in parts], axis=0)
            rows = np.arange(len(best))
            return replace(parts[0], prediction=np.stack([part.prediction for part in parts])[best, rows])

    report = bench("msp,energy", members=PAIR, combiners=[ByScore()])
    assert list(dict.fromkeys(row.model for row in report.rows)) == [
        "prompts",
        "probe",
        "by-score",
        "by-score of energy",
    ]


def test_without_validation_nothing_is_combined():
    bare = {name: replace(member, val=None) for name, member in PAIR.items()}
    (row,) = rows_of(bench("msp", members=bare, combiners="vote"), "vote")
    assert (row.status, row.notes) == ("skipped", ("combining needs val",))


@pytest.mark.parametrize(
    ("members", "more", "said"),
    [
        ([ONE, TWO], {}, "pass a dict by the names of the classifiers"),
        ({"a": ONE, "b": replace(TWO, ood={})}, {}, "'b' has other OOD sets than the first"),
        ({"a": ONE, "b": replace(TWO, val=None)}, {}, "of every classifier or of none; see 'b'"),
        ({"a": ONE, "b": replace(TWO, tests={"pets": TWO.tests["pets"][:50]})}, {}, "ids of 'b' differ on pets"),
        ({"a": ONE, "vote": TWO}, {}, "has the name of the combiner 'vote'"),
        (PAIR, {"tune": {"x": ONE.ood["cars"]}}, "tune: goes with one classifier of pets"),
        (PAIR, {"groups": {"far": ["trains"]}}, "unknown OOD set 'trains'"),
    ],
)
def test_what_cannot_be_combined_is_refused(members, more, said):
    with pytest.raises(OutputsError, match=said):
        bench("msp", members=members, combiners="vote", **more)
