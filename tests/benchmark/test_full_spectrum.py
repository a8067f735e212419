"""The full spectrum: covariate-shifted ID sets beside the ID test, against numpy on the scores themselves."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from ood_toolkit import metrics
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.runner import bench, bench_scores
from ood_toolkit.benchmark.splits import of_known_classes
from ood_toolkit.errors import DataError, OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.report import comparison as comparing
from ood_toolkit.report.intervals import with_intervals
from ood_toolkit.report.report import Report, joined
from ood_toolkit.report.run_folder import read_run

SPECTRUM = "id+csid"


pytestmark = pytest.mark.usefixtures("no_plugins")


@dataclass
class Spy(Scorer):
    """Largest logit; keeps what it was fitted on."""

    name = "spy"
    needs = frozenset({"logits", "val", "train"})
    seen = ()

    def fit(self, val, train=None):
        Spy.seen = (*Spy.seen, (val, train))
        return self

    def score(self, x):
        return x.max_logit


@dataclass
class Stumbles(Scorer):
    """Fails on images whose ids begin with "v"."""

    name = "stumbles"
    needs = frozenset({"logits"})

    def score(self, x):
        if x.ids is not None and x.ids[0].startswith("v"):
            raise KeyError("no score")
        return x.max_logit


@dataclass
class Streams(StreamScorer):
    batch: int = 16
    name = "streams"
    needs = frozenset({"zero_shot"})
    order = "none"

    def run(self, chunks, seed):
        return torch.cat([x.cosine.amax(dim=1) for x in chunks])


@pytest.fixture
def sets(make_outputs):
    """A run whose shifted sets are noisier than the ID test."""

    def shifted(n, seed, noise):
        x = make_outputs(n, seed=seed)
        draw = torch.Generator().manual_seed(seed)
        return Outputs(x.features + noise * torch.randn(x.features.shape, generator=draw), labels=x.labels, head=x.head)

    return {
        "test": make_outputs(60, seed=1),
        "val": make_outputs(50, seed=2),
        "ood": {name: make_outputs(n, seed=seed).without_labels() for name, n, seed in (("o", 40, 3), ("q", 45, 4))},
        "groups": {"near": ["o", "q"], "only": ["q"]},
        "csid": {"v2": shifted(35, 5, 1.0), "art": shifted(25, 6, 2.0)},
    }


def of(report, kind, spec, id_name, ood=""):
    (row,) = [r for r in report.rows if (r.kind, r.scorer, r.id, r.ood) == (kind, spec, id_name, ood)]
    return row


def auroc_by_pairs(inside, outside):
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    return sum(wins) / len(wins)


def fpr95_by_hand(inside, outside):
    cut = max(t for t in inside if sum(s >= t for s in inside) * 20 >= 19 * len(inside))
    return sum(s >= cut for s in outside) / len(outside)


@pytest.mark.parametrize("spec", ["msp", "energy", "classwise"])
def test_rows_of_the_full_spectrum_by_hand(sets, spec):
    report = bench(spec, **sets)
    held = report.answers
    inside = np.concatenate([held["id", key].scores[spec] for key in ("test", "csid:v2", "csid:art")])
    accepted = np.concatenate([held["id", key].accepted[spec] for key in ("test", "csid:v2", "csid:art")])
    aurocs = {}
    for ood in ("o", "q"):
        row = of(report, "ood", spec, SPECTRUM, ood)
        outside = held["id", f"ood:{ood}"].scores[spec]
        aurocs[ood] = row.auroc
        assert row.auroc == pytest.approx(auroc_by_pairs(inside, outside), abs=1e-12)
        assert row.fpr95_id == fpr95_by_hand(inside.tolist(), outside.tolist())
        assert (row.n_id, row.n_ood) == (60 + 35 + 25, len(outside))
        assert row.id_accepted == accepted.mean()
        plain = of(report, "ood", spec, "id", ood)
        assert plain.auroc == pytest.approx(auroc_by_pairs(held["id", "test"].scores[spec], outside), abs=1e-12)
        assert plain.auroc != row.auroc
        assert plain.ood_detected == row.ood_detected  # one threshold, whatever counts as ID
    for group, names in (("near", "oq"), ("only", "q"), ("all", "oq")):
        mean = of(report, "mean", spec, SPECTRUM, group)
        assert mean.auroc == pytest.approx(np.mean([aurocs[name] for name in names]), abs=1e-15)


def test_misclassification_and_accuracy_are_over_all_images(sets):
    report = bench("msp", **sets)
    right, scores, sure = [], [], []
    for x in (sets["test"], *sets["csid"].values()):
        probs = x.logits.double().softmax(dim=1).numpy()
        right += (probs.argmax(axis=1) == x.labels.numpy()).tolist()
        sure += probs.max(axis=1).tolist()
    for key in ("test", "csid:v2", "csid:art"):
        scores += report.answers["id", key].scores["msp"].tolist()
    right, scores = np.array(right), np.array(scores)
    assert 0 < right.mean() < 1
    row = of(report, "misclassification", "msp", SPECTRUM)
    assert row.auroc == pytest.approx(auroc_by_pairs(scores[right], scores[~right]), abs=1e-12)
    assert row.n_id == 120
    about = report.header["csid"]
    assert (about["name"], about["images"], about["accuracy"]) == (SPECTRUM, 120, right.mean())
    assert about["ece"] == pytest.approx(metrics.ece(np.array(sure), right), abs=1e-6)
    parts = {part["name"]: part for part in about["sets"]}
    assert (parts["v2"]["images"], parts["v2"]["accuracy"]) == (35, right[60:95].mean())
    assert (parts["art"]["images"], parts["art"]["accuracy"]) == (25, right[95:].mean())
    assert report.header["id"][0]["accuracy"] == right[:60].mean()


def test_the_ordinary_rows_are_as_without_and_nothing_is_fitted_on_shifted_images(sets, make_outputs):
    train = make_outputs(80, seed=9)
    scorers = ["msp", "knn:k=5", "mahalanobis", "grid", Spy()]
    report = bench(scorers, train=train, **sets)
    # Once on all of validation, then once for each of the five folds that its threshold is from.
    assert [(len(val), len(seen)) for val, seen in Spy.seen] == [(50, 80), *5 * [(40, 80)]]
    plain = bench(scorers, train=train, **{**sets, "csid": None})
    ordinary = [replace(row, seconds=0) for row in report.rows if row.id == "id"]
    assert ordinary == [replace(row, seconds=0) for row in plain.rows]
    assert "csid" not in plain.header
    assert {row.id for row in plain.rows} == {"id"}


def test_a_saved_run_gives_every_number_again(sets, tmp_path):
    report = bench("msp,energy,classwise", ci=20, paired=True, **sets)
    report.save(tmp_path / "run")
    held = sorted(file.name for file in (tmp_path / "run" / "scores" / "id").iterdir())
    assert held == ["csid_art.npz", "csid_v2.npz", "ood_o.npz", "ood_q.npz", "test.npz", "val.npz"]
    run = read_run(tmp_path / "run")
    assert run.rows == report.rows
    again = Report(run.rows, run.header, run.answers)
    plain = comparing.measured(again, "native")
    assert [row.metrics for row in with_intervals(plain, 20).rows] == [row.metrics for row in report.rows]
    assert comparing.with_tests(plain).header["paired"] == report.header["paired"]
    assert {test["id"] for test in report.header["paired"]} == {"id", SPECTRUM}
    other = comparing.measured(again, "openood-v1.5")
    direct = bench("msp,energy,classwise", protocol="openood-v1.5", **sets)
    assert [replace(row, seconds=0) for row in other.rows] == [replace(row, seconds=0) for row in direct.rows]


def test_two_models_keep_their_own_spectrum(sets, make_outputs, tmp_path):
    first = bench("msp", about={"model": "m"}, **sets)
    second = bench("msp", about={"model": "w"}, **{**sets, "test": make_outputs(60, seed=31)})
    joined([first, second]).save(tmp_path / "run")
    run = read_run(tmp_path / "run")
    again = comparing.measured(Report(run.rows, run.header, run.answers), "native")
    assert [row.metrics for row in again.rows] == [row.metrics for row in run.rows]
    assert again.table().count("full spectrum id+csid: 120 test images") == 2


def test_the_table_shows_which_id_a_row_is_of(sets):
    report = bench("msp", **sets)
    lines = report.table(120).splitlines()
    assert any(line.startswith("full spectrum id+csid: 120 test images, accuracy ") for line in lines)
    assert any(line.startswith("  v2: 35 test images, accuracy ") for line in lines)
    heads = [line.split()[:2] for line in lines if line.strip().startswith("scorer")]
    assert heads == [["scorer", "ID"]] * 2
    assert sum(line.split()[:3] == ["msp", SPECTRUM, "o"] for line in lines) == 1
    assert "decides" not in report.table(120)
    assert "ID  " not in bench("msp", **{**sets, "csid": None}).table(120).split("OOD detection")[1]
    assert f"| msp | {SPECTRUM} | mean near |" in report.to_markdown()
    assert f"misclassification,msp,{SPECTRUM},," in report.to_csv()


def test_without_labels_nothing_is_said_of_right_and_wrong(sets):
    csid = {**sets["csid"], "art": sets["csid"]["art"].without_labels()}
    report = bench("msp", **{**sets, "csid": csid})
    assert [row.id for row in report.rows if row.kind == "misclassification"] == ["id"]
    assert "accuracy" not in report.header["csid"]
    assert ["accuracy" in part for part in report.header["csid"]["sets"]] == [True, False]
    assert of(report, "ood", "msp", SPECTRUM, "o").n_id == 120


def test_a_scorer_that_fails_on_shifted_images_keeps_its_ordinary_rows(sets):
    v2 = sets["csid"]["v2"]
    report = bench([Stumbles(), "msp"], **{**sets, "csid": {"v2": v2.named([f"v{i}" for i in range(len(v2))])}})
    rows = [row for row in report.rows if row.scorer == "stumbles"]
    assert {(row.id, row.status) for row in rows} == {("id", "ok"), (SPECTRUM, "failed")}
    assert "no score" in next(row for row in rows if row.id == SPECTRUM).notes[0]
    assert of(report, "ood", "msp", SPECTRUM, "o").status == "ok"


def test_what_a_shifted_set_lacks_is_named(sets):
    bare = Outputs.from_logits(sets["csid"]["v2"].logits)
    both = Outputs(sets["test"].features, sets["test"].logits)
    with pytest.raises(OutputsError, match="csid:v2 has another head or number of classes than the ID test"):
        bench("msp", **{**sets, "csid": {"v2": bare}})
    logits = Outputs.from_logits(sets["val"].logits)
    report = bench("knn,msp", both, {"o": logits}, train=both, csid={"v2": bare})
    row = next(row for row in report.rows if row.scorer == "knn")
    assert (row.status, row.notes) == ("skipped", ("needs features in v2, features in o",))


def test_streams_are_skipped_on_the_full_spectrum_with_a_note(sets):
    report = bench([Streams(), "msp"], **sets)
    rows = [row for row in report.rows if row.scorer == "streams" and row.kind == "ood"]
    assert [(row.id, row.ood, row.status) for row in rows] == [
        ("id", "o", "ok"), ("id", "q", "ok"), (SPECTRUM, "o", "skipped"), (SPECTRUM, "q", "skipped"),
    ]  # fmt: skip
    assert rows[2].notes == ("a score of streams was not run on the full spectrum, which would be another stream",)
    assert [r.metrics for r in rows[:2]] == [r.metrics for r in bench([Streams()], **{**sets, "csid": None}).rows[:2]]


def test_ready_scores_have_a_full_spectrum(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {name: {"scores": draw.normal(m, 1, n)} for name, m, n in (("i", 2, 40), ("s", 1, 30), ("o", 0, 20))}
    report = bench_scores(arrays, ["i"], {"": ["o"]}, {"model": "toy"}, csid=["s"])
    inside = np.concatenate([arrays["i"]["scores"], arrays["s"]["scores"]])
    row = of(report, "ood", "toy", "i+csid", "o")
    assert row.auroc == pytest.approx(auroc_by_pairs(inside, arrays["o"]["scores"]), abs=1e-12)
    report.save(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.answers["i", "csid:s"].scores["toy"].tolist() == arrays["s"]["scores"].tolist()
    again = comparing.measured(Report(run.rows, run.header, run.answers), "native")
    assert [r.metrics for r in again.rows] == [r.metrics for r in report.rows]
    with pytest.raises(OutputsError, match="csid: expected one ID set, got 2: i, s"):
        bench_scores(arrays, ["i", "s"], {"": ["o"]}, csid=["s"])


def test_what_cannot_be_is_refused_in_a_line(sets, make_outputs):
    def refused(said, **changed):
        with pytest.raises(OutputsError, match=said) as caught:
            bench(**{"scorers": "msp", **sets, **changed})
        assert "\n" not in str(caught.value)

    x = sets["csid"]["v2"]
    refused("csid: 'o' is an ID test or OOD set too", csid={"o": x})
    refused("csid: 'id' is an ID test or OOD set too", csid={"id": x})
    strange = Outputs(x.features, labels=torch.where(torch.arange(len(x)) < 3, -1, x.labels), head=x.head)
    refused("expected images of the classes of 'id' in 'v2', got 3 with label -1", csid={"v2": strange})
    refused("csid: expected a mapping of names to outputs, got list", csid=[x])
    refused("tune: 'v2' is tested on", scorers="knn", tune={"v2": x}, train=make_outputs(90, seed=3))


def test_one_id_set_only(sets, make_outputs):
    tests = {"a": sets["test"], "b": make_outputs(20, seed=8)}
    member = Member({"a": sets["val"], "b": sets["val"]}, tests, sets["ood"], csid=sets["csid"])
    for combiners in ((), "vote"):
        with pytest.raises(OutputsError, match="csid: expected one ID set, got 2: a, b; leave csid out"):
            bench("msp", members={"a": member, "b": member}, combiners=combiners)
    with pytest.raises(OutputsError, match="csid=, got both"):
        bench("msp", members={"a": member, "b": member}, csid=sets["csid"])


def test_images_of_other_classes_are_left_out_and_counted(make_outputs):
    x = make_outputs(10)
    labels = torch.tensor([0, -1, 2, 3, -1, 0, 1, 1, 2, 3])
    kept, notes = of_known_classes(Outputs(x.features, labels=labels, head=x.head), "art", "photos")
    assert kept.labels.tolist() == [0, 2, 3, 0, 1, 1, 2, 3]
    assert torch.equal(kept.features, x.features[labels >= 0])
    assert notes == ["2 of the 10 images of art are of classes that photos lacks, and left out"]
    assert of_known_classes(x, "art", "photos") == (x, [])
    assert of_known_classes(x.without_labels(), "art", "photos")[1] == []
    none = Outputs(x.features, labels=torch.full((10,), -1), head=x.head)
    with pytest.raises(DataError, match="art: expected images of the classes of photos, got none, by class name"):
        of_known_classes(none, "art", "photos")
