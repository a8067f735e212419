import json
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import ood_toolkit
from ood_toolkit import Head, Member, Outputs, Prompts, Scorer, read_run
from ood_toolkit.api.combiner import Combiner
from ood_toolkit.benchmark.runner import bench, bench_scores
from ood_toolkit.errors import OutputsError, SpecError
from ood_toolkit.outputs.softmax import Softmax

pytestmark = pytest.mark.quick

SEEN: dict[str, list] = {}


@pytest.fixture(autouse=True)
def _alone(no_plugins):
    SEEN.clear()
    SEEN.update(val=[], train=[], scored=[])


@dataclass
class Spy(Scorer):
    name = "spy"
    needs = frozenset({"logits", "val", "train"})

    def fit(self, val, train=None):
        SEEN["val"] += val.ids.tolist()
        SEEN["train"] += train.ids.tolist()
        return self

    def score(self, x):
        SEEN["scored"] += x.ids.tolist()
        return x.max_logit


@dataclass
class Faulty(Scorer):
    name = "faulty"
    needs = frozenset({"logits"})
    where: str = "fit"

    def fit(self, val, train=None):
        if self.where == "fit":
            raise RuntimeError("no fit")
        return self

    def score(self, x):
        if self.where == "score" or (x.ids is not None and x.ids[0].startswith(self.where)):
            raise KeyError("no score")
        return {"nan": x.max_logit * float("nan"), "shape": x.logits}.get(self.where, x.max_logit)


@dataclass
class Asks(Scorer):
    """A scorer with prompts of its own."""

    template: str = "a {}"
    name = "asks"
    needs = frozenset({"zero_shot"})

    @property
    def prompts(self):
        return Prompts((self.template,))

    def score(self, x):
        return x.max_logit


@dataclass
class Breaks(Combiner):
    name = "breaks"

    def combine(self, parts):
        raise ValueError("no merge")


@dataclass
class Records(Combiner):
    name = "records"
    seen: list = field(default_factory=list)

    def clone(self):
        return self

    def fit(self, val):
        self.seen.append(val)
        return self

    def combine(self, parts):
        return parts[0]


def softmax(x: Outputs) -> np.ndarray:
    """Compute the softmax of cosines times scale, independently of the package."""
    images = x.features.double().numpy()
    texts = x.head.weight.double().numpy()
    z = x.head.scale * (images / np.linalg.norm(images, axis=1, keepdims=True)) @ texts.T
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def logits(x: Outputs) -> np.ndarray:
    images = x.features.double().numpy()
    return x.head.scale * (images / np.linalg.norm(images, axis=1, keepdims=True)) @ x.head.weight.double().numpy().T


def auroc(high: np.ndarray, low: np.ndarray) -> float:
    return float((high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean())


def fpr95_id(id_scores: np.ndarray, ood_scores: np.ndarray) -> float:
    cut = np.sort(id_scores)[::-1][-(-95 * len(id_scores) // 100) - 1]
    return float((ood_scores >= cut).mean())


def aupr_in(id_scores: np.ndarray, ood_scores: np.ndarray) -> float:
    points = [(0.0, 1.0)]
    for t in sorted({*id_scores, *ood_scores}, reverse=True):
        tp, fp = (id_scores >= t).sum(), (ood_scores >= t).sum()
        points.append((tp / len(id_scores), tp / (tp + fp)))
    return float(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)))


def aurc(scores: np.ndarray, right: np.ndarray) -> float:
    return float(np.mean([(~right[scores >= t]).mean() for t in scores]))


def cut_of(val_scores: np.ndarray) -> float:
    return np.sort(val_scores)[::-1][-(-95 * len(val_scores) // 100) - 1]


@pytest.fixture
def sets(make_outputs):
    """Give labelled val, train and test, and two OOD sets, each row named by its set."""

    def named(name: str, n: int, seed: int, labelled: bool = True) -> Outputs:
        x = make_outputs(n, seed=seed)
        return (x if labelled else Outputs(x.features, head=x.head)).named([f"{name}{i}" for i in range(n)])

    far = torch.randn(35, 8, generator=torch.Generator().manual_seed(9))
    head = make_outputs(2).head
    return {
        "val": named("val", 50, 1),
        "train": named("train", 80, 2),
        "test": named("test", 60, 3),
        "near": named("near", 40, 4, labelled=False),
        "far": Outputs(far, head=head).named([f"far{i}" for i in range(35)]),
    }


@pytest.fixture
def report(sets):
    specs = "msp,maxlogit,energy,entropy,classwise,mean,mcm,clipn-ctw"
    ood = {"near": sets["near"], "far": sets["far"]}
    return bench(specs, sets["test"], ood, sets["val"], sets["train"], groups={"g": ["far"], "both": ["near", "far"]})


def by_hand(spec: str, x: Outputs, val: Outputs) -> np.ndarray:
    p, z = softmax(x), logits(x)
    if spec == "msp":
        return p.max(axis=1)
    if spec == "maxlogit":
        return z.max(axis=1)
    if spec == "energy":
        return np.log(np.exp(z).sum(axis=1))
    if spec == "entropy":
        return (p * np.log(p)).sum(axis=1)
    if spec == "mcm":
        c = np.exp(z / x.head.scale)
        return (c / c.sum(axis=1, keepdims=True)).max(axis=1)
    if spec == "clipn-ctw":
        images = x.features.double().numpy()
        images = images / np.linalg.norm(images, axis=1, keepdims=True)
        no = x.head.scale * images @ x.head.bank("no").embeddings.double().numpy().T
        at = (np.arange(len(x)), z.argmax(axis=1))
        return 1 / (1 + np.exp(no[at] - z[at]))
    pv, place = softmax(val), softmax(val).argmax(axis=1)
    overall, cuts = cut_of(pv.max(axis=1)), np.empty(5)
    for c in range(5):
        mine = pv.max(axis=1)[place == c]
        n = len(mine)
        own = cut_of(mine) if n else overall
        cuts[c] = own if n >= 20 else (n * own + 20 * overall) / (n + 20)
    return p.max(axis=1) - (cuts[p.argmax(axis=1)] if spec == "classwise" else cuts.mean())


SPECS = ["msp", "maxlogit", "energy", "entropy", "classwise", "mean", "mcm", "clipn-ctw"]


@pytest.mark.parametrize("spec", SPECS)
def test_every_number_is_what_a_computation_by_hand_gives(spec, sets, report):
    test, val = by_hand(spec, sets["test"], sets["val"]), by_hand(spec, sets["val"], sets["val"])
    cut = 0.0 if spec in ("classwise", "mean") else cut_of(val)
    rows = {(r.kind, r.ood): r for r in report.rows if r.scorer == spec}
    assert list(rows) == [
        ("ood", "near"), ("ood", "far"), ("mean", "g"), ("mean", "both"), ("mean", "all"), ("misclassification", ""),
    ]  # fmt: skip
    found = {}
    for name in ("near", "far"):
        ood = by_hand(spec, sets[name], sets["val"])
        wanted = {
            "auroc": auroc(test, ood),
            "fpr95_id": fpr95_id(test, ood),
            "aupr_in": aupr_in(test, ood),
            "id_accepted": (test >= cut).mean(),
            "ood_detected": (ood < cut).mean(),
        }
        row, found[name] = rows["ood", name], wanted
        assert (row.status, row.n_id, row.n_ood) == ("ok", 60, len(ood))
        assert {key: row[key] for key in wanted} == pytest.approx(wanted, abs=1e-9)
    for group, names in {"g": ["far"], "both": ["near", "far"], "all": ["near", "far"]}.items():
        mean = {key: np.mean([found[name][key] for name in names]) for key in wanted}
        assert {key: rows["mean", group][key] for key in wanted} == pytest.approx(mean, abs=1e-9)
    right = logits(sets["test"]).argmax(axis=1) == sets["test"].labels.numpy()
    row, uncertain = rows["misclassification", ""], test < cut
    assert row.auroc == pytest.approx(auroc(test[right], test[~right]), abs=1e-9)
    assert row.aurc == pytest.approx(aurc(test, right), abs=1e-9)
    hits = (uncertain & ~right).sum()
    assert row.f1_uncertain == pytest.approx(2 * hits / (uncertain.sum() + (~right).sum()), abs=1e-9)
    assert 0 < right.mean() < 1


def test_the_header_holds_sizes_accuracy_and_calibration(sets, report):
    p, labels = softmax(sets["test"]), sets["test"].labels.numpy()
    right, confidence = p.argmax(axis=1) == labels, p.max(axis=1)
    ece = 0.0
    for m in range(15):
        mine = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        ece += abs((right[mine]).sum() - confidence[mine].sum()) / len(right)
    (part,) = report.header["id"]
    assert (part["name"], part["images"], part["validation_images"]) == ("id", 60, 50)
    assert part["accuracy"] == right.mean()
    assert part["ece"] == pytest.approx(ece, abs=1e-7)
    assert report.header["ood"] == {"near": 40, "far": 35}


def test_the_header_holds_the_class_names_where_they_are_known(tmp_path):
    logits = np.random.default_rng(0).normal(size=(20, 2))
    known = Outputs.from_logits(logits, class_names=("cat", "dog"))
    report = bench("msp", known, {"far": Outputs.from_logits(logits - 1)}, id_name="pets")
    assert report.header["class_names"] == {"pets": ["cat", "dog"]}
    report.save(tmp_path / "run")
    assert read_run(tmp_path / "run").header["class_names"] == {"pets": ["cat", "dog"]}
    assert "class_names" not in bench("msp", Outputs.from_logits(logits), {}).header


def test_without_validation_nothing_is_decided_and_what_needs_it_is_skipped(sets):
    report = bench("msp,classwise,knn,clipn-ctw,mahalanobis", sets["test"], {"near": sets["near"]})
    rows = {(r.scorer, r.kind): r for r in report.rows}
    assert rows["classwise", "ood"].status == rows["classwise", "misclassification"].status == "skipped"
    assert rows["classwise", "ood"].notes == ("needs val",)
    assert rows["knn", "ood"].notes == ("needs train",)
    assert rows["mahalanobis", "ood"].notes == ("needs train, train_labels",)
    assert not [r for r in report.rows if {"id_accepted", "ood_detected", "f1_uncertain"} & set(r.metrics)]
    assert rows["msp", "ood"].status == rows["clipn-ctw", "ood"].status == "ok"
    assert report.ran
    assert not report.failed


def test_ood_never_reaches_fit_and_every_set_is_scored_once(sets):
    ood = {"near": sets["near"], "far": sets["far"], "near again": sets["near"].named([f"again{i}" for i in range(40)])}
    bench([Spy(), "msp"], sets["test"], ood, sets["val"], sets["train"])
    val, train = sets["val"].ids.tolist(), sets["train"].ids.tolist()
    assert SEEN["val"][:50] == val
    assert sorted(SEEN["val"]) == sorted(5 * val)  # all of it, then each image in four of the five fits on other folds
    assert SEEN["train"] == 6 * train
    scored = [*sets["test"].ids, *val, *val, *[i for x in ood.values() for i in x.ids]]
    assert sorted(SEEN["scored"]) == sorted(scored)


def test_labels_of_an_ood_set_are_neither_seen_nor_judged(sets):
    labelled = bench("msp", sets["test"], {"o": sets["train"]}, sets["val"])
    bare = Outputs(sets["train"].features, head=sets["train"].head)
    assert labelled.rows[0].metrics == bench("msp", sets["test"], {"o": bare}, sets["val"]).rows[0].metrics
    assert labelled.answers["id", "ood:o"].right is None


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("fit", "RuntimeError: no fit"),
        ("score", "KeyError: 'no score'"),
        ("nan", "got NaN"),
        ("shape", r"expected scores of shape \(\d+,\)"),
        ("val", "KeyError: 'no score'"),
        ("near", "KeyError: 'no score'"),
    ],
)
def test_a_scorer_that_fails_has_failed_rows_and_the_others_go_on(sets, where, said, tmp_path):
    ood = {"near": sets["near"], "far": sets["far"]}
    report = bench([Faulty(where), "msp"], sets["test"], ood, sets["val"])
    failed = [r for r in report.rows if r.scorer.startswith("faulty") and r.status == "failed"]
    assert failed == report.failed
    for row in failed:
        assert len(row.notes) == 1
        assert row.notes[0].startswith(f"{Faulty.__module__}: ")
        assert re.search(said, row.notes[0])
    assert {(r.kind, r.ood) for r in failed} == (
        {("ood", "near")} if where == "near" else {("ood", "near"), ("ood", "far"), ("misclassification", "")}
    )
    assert {r.status for r in report.rows if r.scorer == "msp"} == {"ok"}
    assert report.rows[-1].auroc == bench("msp", sets["test"], ood, sets["val"]).rows[-1].auroc
    assert "failed: " in report.table()
    report.save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rows"]


def test_a_failing_builtin_is_blamed_on_the_built_in_plugin(sets):
    report = bench("knn:k=500,msp", sets["test"], {"near": sets["near"]}, sets["val"], sets["train"])
    assert report.failed[0].notes == ("built-in: knn: k=500, but there are only 80 training images; lower k",)


def test_bench_is_a_function_before_and_after_its_first_call(sets):
    first = ood_toolkit.bench("msp", sets["test"], {"near": sets["near"]})
    second = ood_toolkit.bench("msp", sets["test"], {"near": sets["near"]})
    assert first.rows[0].metrics == second.rows[0].metrics
    for name in ("fit", "score"):
        assert callable(getattr(ood_toolkit, name))


def test_scorers_share_what_is_derived_of_a_chunk(sets, monkeypatch):
    made = []
    init = Softmax.__init__
    monkeypatch.setattr(Softmax, "__init__", lambda self, z: (made.append(len(z)), init(self, z))[1])
    fresh = {k: Outputs(x.features, labels=x.labels, head=x.head) for k, x in sets.items()}
    specs = "msp,maxlogit,energy,entropy,classwise,classwise-entropy,mean,grid,clipn-atd"
    bench(specs, fresh["test"], {"near": fresh["near"]}, fresh["val"])
    assert sorted(made) == [40, 50, 60]


def test_a_set_of_many_chunks_gives_the_same(sets, make_outputs, monkeypatch):
    test, val = make_outputs(700, seed=6), make_outputs(600, seed=7)
    whole = bench(SPECS, test, {"near": sets["near"]}, val)
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 4)
    walked = bench(SPECS, make_outputs(700, seed=6), {"near": sets["near"]}, make_outputs(600, seed=7))
    for a, b in zip(whole.rows, walked.rows, strict=True):
        assert a.metrics == pytest.approx(dict(b.metrics), abs=1e-6)


def test_a_margin_decides_at_zero_and_not_at_95_percent(sets):
    report = bench("classwise:target=0.5,mean:target=0.5", sets["test"], {"far": sets["far"]}, sets["val"])
    for spec in ("classwise:target=0.5", "mean:target=0.5"):
        val, said = report.answers["id", "val"].scores[spec], report.answers["id", "test"]
        np.testing.assert_array_equal(said.accepted[spec], said.scores[spec] >= 0)
        assert (said.accepted[spec] != (said.scores[spec] >= cut_of(val))).any()


# -- prompts ------------------------------------------------------------------------------------------------------


def test_scorers_with_prompts_of_their_own_get_the_head_made_of_them_each_declaration_once(sets):
    head, asked = sets["test"].head, []

    def heads(prompts):
        asked.append(prompts)
        turned = head.weight.roll(1, dims=1) if prompts.templates == ("the {}",) else head.weight.roll(2, dims=1)
        return Head.zero_shot(turned, head.class_names, 10.0)

    scorers = ["msp", Asks("the {}"), Asks("my {}"), "classwise:base=mcm", "mcm"]
    report = bench(scorers, sets["test"], {"near": sets["near"]}, sets["val"], heads=heads)
    assert asked == [Prompts(("the {}",)), Prompts(("my {}",)), Prompts(("a photo of a {}",))]
    for template, by in (("the {}", 1), ("my {}", 2)):
        turned = Head.zero_shot(head.weight.roll(by, dims=1), head.class_names, 10.0)
        wanted = auroc(*(logits(sets[k].with_head(turned)).max(axis=1) for k in ("test", "near")))
        row = next(r for r in report.rows if r.scorer == Asks(template).spec)
        assert row.auroc == pytest.approx(wanted, abs=1e-9)
    assert report.rows[0].auroc == pytest.approx(auroc(*(softmax(sets[k]).max(axis=1) for k in ("test", "near"))))
    assert not [r for r in report.rows if any("text tower" in note for note in r.notes)]


def test_without_a_text_tower_the_given_head_is_used_and_the_row_says_so(sets):
    report = bench(["mcm", "msp"], sets["test"], {"near": sets["near"]}, sets["val"])
    note = "its own prompts need a text tower; the given head's texts are used"
    assert {r.scorer for r in report.rows if note in r.notes} == {"mcm"}


def test_a_head_that_cannot_be_made_fails_its_scorer_alone(sets):
    def heads(prompts):
        raise RuntimeError("tower gone")

    report = bench([Asks(), "msp"], sets["test"], {"near": sets["near"]}, heads=heads)
    assert {r.scorer for r in report.failed} == {"asks"}
    ((note,),) = {r.notes for r in report.failed}
    assert re.fullmatch(rf"{__name__}: RuntimeError: tower gone \(test_runner\.py:\d+\)", note)
    assert {r.status for r in report.rows if r.scorer == "msp"} == {"ok"}


# -- small and odd sets -------------------------------------------------------------------------------------------


def test_one_image_two_classes_one_class_and_no_mistakes_crash_nothing(make_outputs, tmp_path):
    two, one = make_outputs(40, k=2), make_outputs(40, k=1, seed=3)
    single = make_outputs(1)
    right = make_outputs(40)
    right = Outputs(right.features, labels=right.prediction, head=right.head)
    cases = [
        (two, make_outputs(1, k=2, seed=5)),
        (one, make_outputs(30, k=1, seed=4)),
        (single, single),
        (right, right),
    ]
    for test, other in cases:
        report = bench(
            "all", test, {"o": Outputs(other.features, head=other.head)}, test, make_outputs(120, k=test.classes)
        )
        assert {r.status for r in report.rows} == {"ok", "skipped"}, report.table()
        lost = [r for r in report.rows if r.status == "skipped"]
        assert {r.notes[0] for r in lost if "needs" not in r.notes[0] and "stream" not in r.notes[0]} == set()
        assert {"msp", "neglabel", "vim", "adaneg"} <= {r.scorer for r in report.rows if r.status == "ok"}
        report.save(tmp_path / str(test.classes) / str(len(test)) / str(len(report.rows)) / str(id(test)))
    note = "all 40 predictions are right: nothing to tell apart"
    assert all(note in r.notes for r in report.rows if r.kind == "misclassification" and r.status == "ok")
    assert "auroc" not in report.rows[-1].metrics
    assert note in " ".join(report.table().split())


def test_a_run_without_labels_or_ood_or_anything_to_run(sets):
    bare = Outputs(sets["test"].features, head=sets["test"].head)
    assert [r.kind for r in bench("msp", bare, {"near": sets["near"]}).rows] == ["ood"]
    assert [r.kind for r in bench("msp", sets["test"]).rows] == ["misclassification"]
    assert not bench("knn", sets["test"], {"near": sets["near"]}).ran
    with pytest.raises(OutputsError, match="expected test="):
        bench("msp")
    with pytest.raises(OutputsError, match="combiners merge members"):
        bench("msp", sets["test"], combiners="vote")
    with pytest.raises(SpecError, match="did you mean 'msp'"):
        bench("mps", sets["test"])
    with pytest.raises(SpecError, match="did you mean 'vote'"):
        bench("msp", members={"a": Member(None, {"a": sets["test"]}, {})}, combiners="vot")


def test_ood_of_another_head_is_refused(sets, make_outputs):
    for other in (make_outputs(10, k=4), make_outputs(10, scale=11.0)):
        with pytest.raises(OutputsError, match="ood:o has another head or number of classes"):
            bench("msp", sets["test"], {"o": other})


def test_groups_that_name_no_set_or_one_twice(sets):
    ood = {"near": sets["near"], "far": sets["far"]}
    groups = {"none": [], "twice": ["far", "far"]}
    rows = bench("msp", sets["test"], ood, groups=groups).rows
    assert [r.ood for r in rows if r.kind == "mean"] == ["twice", "all"]
    assert rows[2].auroc == rows[1].auroc
    with pytest.raises(OutputsError, match=r"groups: 'lost' names the unknown OOD set 'fra'; did you mean 'far'\?"):
        bench("msp", sets["test"], ood, groups={"lost": ["fra"]})


# -- several models -----------------------------------------------------------------------------------------------

A_NAMES, B_NAMES = ("cat", "dog"), ("dog", "car")


def ready(rows, names, labels=None, ids=None):
    made = Outputs.from_logits(torch.tensor(rows), None if labels is None else torch.tensor(labels), names)
    return made if ids is None else made.named(ids)


@pytest.fixture
def pair():
    """Two models of two classes, one of which both know; logits (z, 0) give the confidence 1 / (1 + exp(-|z|))."""
    a_val = ready([[4.0, 0], [3, 0], [0, 2], [0, 1]], A_NAMES, [0, 0, 1, 1])
    b_val = ready([[5.0, 0], [2, 0], [0, 3], [0, 1]], B_NAMES, [0, 0, 1, 1])
    a_ids, b_ids, q_ids = ["a0", "a1", "a2"], ["b0", "b1"], ["q0", "q1"]
    a = Member(
        val=a_val,
        tests={
            "A": ready([[5.0, 0], [0, 2], [0.5, 0]], A_NAMES, [0, 1, 1], a_ids),
            "B": ready([[0, 3.0], [0.25, 0]], A_NAMES, None, b_ids),
        },
        ood={"q": ready([[0.125, 0], [6.0, 0]], A_NAMES, None, q_ids)},
    )
    b = Member(
        val=b_val,
        tests={
            "A": ready([[1.0, 0], [0, 1.5], [4.0, 0]], B_NAMES, None, a_ids),
            "B": ready([[2.0, 0], [0, 7.0]], B_NAMES, [0, 1], b_ids),
        },
        ood={"q": ready([[0, 0.5], [0.25, 0]], B_NAMES, None, q_ids)},
    )
    return {"A": a, "B": b}


def sure(z):
    return 1 / (1 + np.exp(-np.abs(np.asarray(z, dtype=float))))


def test_max_confidence_of_two_members_by_hand(pair):
    report = bench("msp", members=pair, combiners="max-confidence")
    # The image a0: A is surer, says cat, right. a1: A, dog, right. a2: B (4 against 0.5) says dog, right: equal names
    # are one class. b0: A (3 against 2) says dog, right. b1: B says car, right. So the union has no mistake.
    # Of four validation images all four are accepted, so each threshold is the least validation confidence, sure(1).
    merged = report.answers["max-confidence+msp", "test"]
    assert merged.prediction.tolist() == ["cat", "dog", "dog", "dog", "car"]
    assert merged.truth.tolist() == ["cat", "dog", "dog", "dog", "car"]
    assert merged.ids.tolist() == ["a0", "a1", "a2", "b0", "b1"]
    margins = sure([5, 2, 4, 3, 7]) - sure(1)
    np.testing.assert_allclose(merged.scores["msp"], margins, atol=1e-7)
    assert merged.accepted["msp"].all()
    ood = report.answers["max-confidence+msp", "ood:q"]
    assert ood.prediction.tolist() == ["car", "cat"]
    np.testing.assert_allclose(ood.scores["msp"], sure([0.5, 6]) - sure(1), atol=1e-7)
    row = next(r for r in report.rows if r.decider == "max-confidence" and r.kind == "ood")
    assert (row.id, row.n_id, row.n_ood, row.status) == ("union", 5, 2, "ok")
    assert (row.id_accepted, row.ood_detected) == (1.0, 0.5)
    assert row.auroc == pytest.approx(auroc(margins, sure([0.5, 6]) - sure(1)))


def test_single_models_are_shown_on_their_own_set_and_on_the_union(pair):
    report = bench("msp", members=pair, combiners="vote")
    rows = {(r.kind, r.decider, r.id): r for r in report.rows}
    kinds = ("ood", "misclassification")
    own = [(k, d, i) for d in "AB" for i in (d, "union") for k in kinds]
    assert set(rows) == {*own, *[(k, "vote", "union") for k in kinds]}
    q = sure([0.125, 6])
    assert rows["ood", "A", "A"].auroc == pytest.approx(auroc(sure([5, 2, 0.5]), q))
    assert rows["ood", "A", "union"].auroc == pytest.approx(auroc(sure([5, 2, 0.5, 3, 0.25]), q))
    assert rows["ood", "B", "union"].auroc == pytest.approx(auroc(sure([1, 1.5, 4, 2, 7]), sure([0.5, 0.25])))
    assert rows["ood", "A", "union"].id_accepted == 3 / 5
    assert rows["ood", "A", "union"].ood_detected == 1 / 2
    # A on the union: cat right, dog right, cat wrong (dog), dog right by name, cat wrong (car).
    assert rows["misclassification", "A", "union"].auroc == pytest.approx(auroc(sure([5, 2, 3]), sure([0.5, 0.25])))
    # B on the union: a0 dog (cat), a1 car (dog), a2 dog right, b0 dog right, b1 car right.
    assert rows["misclassification", "B", "union"].auroc == pytest.approx(auroc(sure([4, 2, 7]), sure([1, 1.5])))
    assert [part["accuracy"] for part in report.header["id"]] == [2 / 3, 1.0]


def test_what_a_combiner_is_fitted_on(pair):
    each = Records()
    bench("msp", members=pair, combiners=[each])
    (parts,) = each.seen
    assert [len(part) for part in parts] == [4, 4]
    assert all(part.own is None or part.own.all() for part in parts)
    np.testing.assert_allclose(parts[0].margin, sure([4, 3, 2, 1]) - sure(1), atol=1e-7)

    other = {"A": ready([[1.0, 0], [2, 0], [0, 3], [0, 4]], A_NAMES), "B": pair["B"].val}
    shared = {
        "A": replace(pair["A"], val={"B": other["A"], "A": pair["A"].val}),
        "B": replace(pair["B"], val={"A": ready([[1.0, 0]] * 4, B_NAMES), "B": pair["B"].val}),
    }
    both = Records()
    bench("msp", members=shared, combiners=[both])
    (parts,) = both.seen
    assert [part.own.tolist() for part in parts] == [[True] * 4 + [False] * 4, [False] * 4 + [True] * 4]
    np.testing.assert_allclose(parts[0].score, sure([4, 3, 2, 1, 1, 2, 3, 4]), atol=1e-7)
    np.testing.assert_allclose(parts[1].score, sure([1, 1, 1, 1, 5, 2, 3, 1]), atol=1e-7)
    notes = [r.notes for r in bench("msp", members=shared, combiners="mean-score").rows if r.decider == "mean-score"]
    assert notes[0] == ()


def test_one_member_with_a_shared_validation_and_one_without(pair):
    mixed = {
        "A": replace(pair["A"], val={"A": pair["A"].val, "B": ready([[1.0, 0]] * 4, A_NAMES)}),
        "B": pair["B"],
    }
    assert {r.status for r in bench("msp", members=mixed, combiners="all").rows} == {"ok"}
    without = {"A": mixed["A"], "B": replace(pair["B"], val=None)}
    rows = bench("msp", members=without, combiners="vote").rows
    assert {(r.status, r.notes) for r in rows if r.decider == "vote"} == {("skipped", ("combining needs val",))}


def test_members_that_are_not_aligned_are_an_error(pair):
    short = pair["B"].tests["A"][:2]
    strange = pair["B"].tests["A"].named(["x", "y", "z"])
    for x in (short, strange):
        other = {"A": pair["A"], "B": replace(pair["B"], tests={**pair["B"].tests, "A": x})}
        with pytest.raises(OutputsError, match="members are not aligned: the ids of 'B' differ on A"):
            bench("msp", members=other)
    lacking = {"A": pair["A"], "B": replace(pair["B"], tests={"B": pair["B"].tests["B"]})}
    with pytest.raises(OutputsError, match="'B' has no outputs for the ID test of 'A'"):
        bench("msp", members=lacking)
    with pytest.raises(OutputsError, match="'B' has other OOD sets"):
        bench("msp", members={"A": pair["A"], "B": replace(pair["B"], ood={})})
    with pytest.raises(OutputsError, match="expected one for each ID set"):
        bench("msp", members=[replace(pair["A"], tests={"A": pair["A"].tests["A"]})] * 2)


def test_members_are_aligned_by_their_ids(pair):
    b = pair["B"]
    turned = replace(b, tests={**b.tests, "A": b.tests["A"][[1, 0, 2]]}, ood={"q": b.ood["q"][[1, 0]]})
    straight = bench("msp", members=pair, combiners="max-confidence,vote")
    again = bench("msp", members={"A": pair["A"], "B": turned}, combiners="max-confidence,vote")
    assert [row.metrics for row in again.rows] == [row.metrics for row in straight.rows]


def test_members_in_a_list_are_named_by_their_own_set(pair):
    own_first = replace(pair["B"], tests=dict(reversed(pair["B"].tests.items())))
    listed = bench("msp", members=[pair["A"], own_first], combiners="vote").rows
    for a, b in zip(listed, bench("msp", members=pair, combiners="vote").rows, strict=True):
        assert (a.decider, a.id, a.metrics) == (b.decider, b.id, b.metrics)


@dataclass
class Forgetful(Scorer):
    name = "forgetful"
    needs = frozenset({"logits", "val"})
    what: str = "fit"

    def fit(self, val, train=None):
        self.seen_ = len(val)
        return None if self.what == "fit" else self

    def score(self, x):
        return None


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("fit", "expected a fitted scorer, got None; fit must return self"),
        ("score", "expected 60 scores, one an image, got None; does its score() return them?"),
    ],
)
def test_a_scorer_that_returns_nothing_is_named(what, said, sets):
    report = bench(Forgetful(what), sets["test"], {"near": sets["near"]}, sets["val"])
    assert report.rows[0].status == "failed"
    assert said in report.rows[0].notes[0]
    assert "test_runner" in report.rows[0].notes[0]


def test_a_combiner_or_a_member_that_fails_stops_nothing(pair):
    report = bench(["msp", "knn", Faulty("nan")], members=pair, combiners=[Breaks(), "vote"])
    rows = {(r.scorer, r.decider): r for r in report.rows if r.kind == "ood"}
    assert rows["msp", "breaks"].status == "failed"
    (note,) = rows["msp", "breaks"].notes
    assert re.fullmatch(r"breaks: ValueError: no merge \(test_runner\.py:\d+\)", note)
    assert rows["msp", "vote"].status == "ok"
    assert rows["knn", "vote"].status == "skipped"
    assert rows[Faulty("nan").spec, "vote"].status == "failed"
    assert "NaN" in rows[Faulty("nan").spec, "vote"].notes[0]


# -- ready scores -------------------------------------------------------------------------------------------------


def test_ready_scores_are_evaluated_as_they_are():
    rng = np.random.default_rng(0)
    held = {
        "i": {"scores": rng.normal(1, 1, 50)},
        "near": {"scores": rng.normal(0, 1, 40)},
        "far": {"scores": -rng.random(9)},
    }
    report = bench_scores(held, ["i"], {"": ("near",), "g": ("far", "near")}, {"model": "m"})
    assert [(r.kind, r.ood, r.scorer) for r in report.rows] == [
        ("ood", "near", "m"), ("ood", "far", "m"), ("mean", "g", "m"), ("mean", "all", "m"),
    ]  # fmt: skip
    assert report.rows[0].auroc == pytest.approx(auroc(held["i"]["scores"], held["near"]["scores"]))
    assert report.rows[1].aupr_in == pytest.approx(aupr_in(held["i"]["scores"], held["far"]["scores"]))
    assert report.rows[2].fpr95_id == pytest.approx((report.rows[0].fpr95_id + report.rows[1].fpr95_id) / 2)
    assert "id_accepted" not in report.rows[0].metrics


def test_the_order_of_scorers_changes_no_scorers_seconds(make_outputs, monkeypatch):
    """With a clock that only `logits` of a chunk and one scorer move."""
    from ood_toolkit.outputs import ledger
    from ood_toolkit.outputs.head import Head
    from ood_toolkit.scorers.knn import KNN

    clock = [0.0]
    monkeypatch.setattr(ledger.time, "perf_counter", lambda: clock[0])

    def slower(cls, name, seconds):
        function = getattr(cls, name)

        def moved(*given):
            clock[0] += seconds
            return function(*given)

        monkeypatch.setattr(cls, name, moved)

    slower(Head, "cosine", 10.0)
    slower(KNN, "_score", 3.0)
    test, val, ood = (make_outputs(20, seed=seed) for seed in (1, 2, 3))

    def seconds(specs):
        clock[0] = 0.0
        report = bench(specs, test, {"o": ood}, val, make_outputs(30, seed=4))
        return {row.scorer: row.seconds for row in report.rows}, report.header["shared_seconds"]

    names = ["msp", "energy", "knn:k=3"]
    found, together = seconds(",".join(names))
    assert seconds(",".join(names[::-1])) == (found, together)
    assert (found["msp"], found["energy"]) == (0.0, 0.0)
    assert found["knn:k=3"] == 9.0  # a chunk of validation, test and OOD
    assert together == 30.0
