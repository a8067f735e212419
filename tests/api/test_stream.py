"""Scorers of streams: what they are given, how a benchmark runs and keeps them, and what the rest refuses."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import ood_toolkit
from ood_toolkit import Detector, Head, Member, Outputs, Prompts, metrics
from ood_toolkit.api.plugins import Plugin
from ood_toolkit.api.registry import Registry, get_registry
from ood_toolkit.api.stream import StreamScorer, mixed, run_apart
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import PluginError, ScorerError, SpecError
from ood_toolkit.testing import STREAM_CHECKS, ConformanceError, check_scorer, parametrize_with_checks, run_check

SEEN: list[Outputs] = []


@pytest.fixture(autouse=True)
def _alone(no_plugins, one_thread):
    SEEN.clear()


@dataclass
class Running(StreamScorer):
    """Largest cosine less its mean over all images of the stream so far."""

    batch: int = 16
    name = "running"
    group = "clip"
    needs = frozenset({"zero_shot"})
    order = "the mean is over the images up to the end of the batch"

    def run(self, chunks, seed):
        total, count, parts = 0.0, 0, []
        for x in chunks:
            SEEN.append(x)
            best = x.cosine.amax(dim=1).double()
            total, count = total + best.sum(), count + len(x)
            parts.append(best - total / count)
        return torch.cat(parts)


class Place(Running):
    """The first number of the features, which is a tag."""

    name = "place"

    def run(self, chunks, seed):
        chunks = list(chunks)
        SEEN.extend(chunks)
        return torch.cat([x.features[:, 0] for x in chunks]) + 1000.0 * seed


def slow_running(order, cosine, batch):
    scores = np.empty(len(cosine))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        scores[rows] = cosine[rows] - cosine[order[: start + batch]].mean()
    return scores


@pytest.fixture
def sets(make_outputs):
    test, val = make_outputs(50, seed=1).named([f"t{i}" for i in range(50)]), make_outputs(40, seed=2)
    ood = {name: make_outputs(n, seed=3 + n).without_labels() for name, n in (("near", 30), ("far", 23))}
    return {"test": test, "val": val, "ood": ood}


def best_cosine(x):
    return x.cosine.amax(dim=1).double().numpy()


# -- the stream ------------------------------------------------------------------------------------


def test_run_is_the_one_abstract_method_and_there_is_no_fit():
    assert StreamScorer.__abstractmethods__ == {"run"}
    assert not hasattr(StreamScorer, "fit")
    assert not hasattr(StreamScorer, "score")
    assert (Running().spec, Running(batch=4).spec) == ("running", "running:batch=4")


def test_images_are_mixed_by_the_seed_and_come_back_to_their_places(sets):
    parts = [sets["test"], sets["ood"]["near"], sets["ood"]["far"]]
    tagged = []
    for i, part in enumerate(parts):
        features = part.features.clone()
        features[:, 0] = 100.0 * i + torch.arange(len(part))
        tagged.append(Outputs(features, ids=[f"{i}-{j}" for j in range(len(part))], head=part.head))
    found = mixed(Place(batch=10), tagged, 0)
    for i, (part, scores) in enumerate(zip(parts, found, strict=True)):
        np.testing.assert_array_equal(scores, 100.0 * i + np.arange(len(part)))
    assert [len(x) for x in SEEN] == [10] * 10 + [3]
    tags = torch.cat([x.features[:, 0] for x in SEEN]).numpy()
    flat = np.concatenate([x.features[:, 0].numpy() for x in tagged])
    np.testing.assert_array_equal(tags, flat[np.random.default_rng(0).permutation(103)])
    assert mixed(Place(), tagged, 3)[0][0] == 3000.0  # the seed is passed on


def test_a_stream_shows_no_labels_ids_or_extras_that_are_not_needed(sets):
    test = sets["test"]
    x = Outputs(test.features, labels=test.labels, ids=test.ids, extras={"a": torch.arange(50.0)}, head=test.head)
    mixed(Running(), [x, x], 0)
    assert all(seen.labels is None and seen.ids is None and not seen.extras for seen in SEEN)

    class Asking(Running):
        needs = frozenset({"zero_shot", "extra:a"})

    SEEN.clear()
    mixed(Asking(batch=100), [x, x], 0)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(SEEN[0].extras["a"].numpy(), order % 50)


def test_ready_logits_and_class_names_are_kept():
    logits = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    x = Outputs.from_logits(logits, class_names=["a", "b", "c"])

    class OfLogits(Running):
        needs = frozenset({"logits"})

        def run(self, chunks, seed):
            chunks = list(chunks)
            assert all(x.class_names == ("a", "b", "c") for x in chunks)
            return torch.cat([x.max_logit for x in chunks])

    for scores in mixed(OfLogits(), [x, x], 1):
        np.testing.assert_allclose(scores, logits.max(axis=1), rtol=1e-6)


class LargestLogit(Running):
    needs = frozenset({"logits"})

    def run(self, chunks, seed):
        return torch.cat([x.max_logit.double() for x in chunks])


@pytest.mark.parametrize("half", [False, True])
def test_ready_logits_win_over_those_of_a_head(make_outputs, half):
    """Ready logits are a little off from the head's, as far as rounding may be, and only one of the sets has any."""
    plain, like = make_outputs(30, seed=1), make_outputs(20, seed=2)
    ready = like.logits.half() if half else like.logits + 5e-4
    given = Outputs(like.features, ready, labels=like.labels, head=like.head)
    assert not torch.equal(given.logits, like.logits)
    for parts in ([given, plain], [plain, given]):
        found = mixed(LargestLogit(batch=8), parts, 0)
        for part, scores in zip(parts, found, strict=True):
            np.testing.assert_allclose(scores, part.logits.double().amax(dim=1).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: torch.zeros(n - 1), r"expected scores of shape \(20,\), one an image, got \(19,\)"),
        (lambda n: torch.full((n,), torch.nan), "expected finite scores, got NaN for 20 of 20"),
        (lambda n: torch.zeros(n, dtype=torch.int64), "expected floating scores, got int64"),
    ],
)
def test_scores_that_break_the_contract_are_refused(answer, message):
    class Wrong(Running):
        def run(self, chunks, seed):
            return answer(sum(len(x) for x in chunks))

    x = Outputs.from_logits(np.eye(20))
    for run in (lambda: mixed(Wrong(), [x[:10], x[10:]], 0), lambda: run_apart(Wrong(), x)):
        with pytest.raises(ScorerError, match=f"running: {message}"):
            run()


# -- in a benchmark --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
def test_a_benchmark_runs_one_stream_a_pair(sets, seed, tmp_path):
    report = bench(["msp", Running()], **sets, seed=seed)
    report.save(tmp_path / "run")
    inside = np.load(tmp_path / "run" / "scores" / "id" / "test.npz")
    rows = {row.ood: row for row in report.rows if row.scorer == "running" and row.kind == "ood"}
    for place, (name, x) in enumerate(sets["ood"].items()):
        cosine = np.concatenate([best_cosine(sets["test"]), best_cosine(x)])
        wanted = slow_running(np.random.default_rng(seed).permutation(50 + len(x)), cosine, 16)
        outside = np.load(tmp_path / "run" / "scores" / "id" / f"ood_{name}.npz")
        assert (inside["stream_scorers"][place], inside["stream_ood"][place]) == ("running", name)
        assert (outside["stream_scorers"].tolist(), outside["stream_ood"].tolist()) == (["running"], [name])
        np.testing.assert_allclose(inside["stream_scores"][place], wanted[:50], rtol=1e-6)
        np.testing.assert_allclose(outside["stream_scores"][0], wanted[50:], rtol=1e-6)
        kept = inside["stream_scores"][place], outside["stream_scores"][0]
        assert rows[name].auroc == metrics.auroc(*kept)
        assert rows[name].fpr95_id == metrics.fpr95_id(*kept)
        assert rows[name].notes == (f"stream: shuffled with seed {seed}, batches of 16; no threshold",)
        assert "id_accepted" not in rows[name].metrics
        assert (outside["scorers"].tolist(), outside["accepted"].shape) == (["msp"], (1, len(x)))
    assert not np.allclose(*inside["stream_scores"])  # ID scores differ by OOD set
    mean = next(row for row in report.rows if row.scorer == "running" and row.kind == "mean")
    assert mean.auroc == pytest.approx(np.mean([row.auroc for row in rows.values()]))


def test_a_saved_run_reads_back_its_streams(sets, tmp_path):
    from ood_toolkit.report.run_folder import read_run

    report = bench([Running()], **sets)
    report.save(tmp_path / "run")
    said = read_run(tmp_path / "run").answers["id", "test"]
    for name in sets["ood"]:
        np.testing.assert_array_equal(
            said.beside(name, "running"), report.answers["id", "test"].beside(name, "running")
        )


def test_misclassification_is_skipped_and_labels_of_ood_sets_are_not_seen(sets):
    far = sets["ood"]["far"]
    sets["ood"]["far"] = Outputs(far.features, labels=torch.zeros(23, dtype=torch.int64), head=far.head)
    (row,) = [row for row in bench([Running()], **sets).rows if row.kind == "misclassification"]
    assert (row.status, row.metrics) == ("skipped", {})
    assert row.notes == (
        "misclassification: a score of streams holds for the ID test and one OOD set together, not for ID alone",
    )
    assert all(x.labels is None for x in SEEN)


def test_unmet_needs_skip_and_errors_fail_and_the_rest_goes_on(sets):
    class Falls(Running):
        name = "falls"

        def run(self, chunks, seed):
            if sum(len(x) for x in chunks) == 73:
                raise RuntimeError("far is too far")
            return torch.zeros(80)

    class Wants(Running):
        name = "wants"
        needs = frozenset({"text:candidates"})

    report = bench(["msp", Falls(), Wants()], **sets)
    by = {(row.scorer, row.ood): row for row in report.rows if row.kind == "ood"}
    assert by["falls", "near"].status == by["msp", "far"].status == "ok"
    assert by["falls", "far"].status == "failed"
    assert "far is too far (test_stream.py:" in by["falls", "far"].notes[0]
    for name in ("near", "far"):
        assert (by["wants", name].status, by["wants", name].notes) == ("skipped", ("needs text:candidates",))


def test_a_stream_is_seen_under_the_head_of_its_own_prompts(sets):
    own = Head.zero_shot(torch.randn(5, 8, generator=torch.Generator().manual_seed(5)), sets["test"].head.class_names)

    class Prompted(Running):
        prompts = Prompts(("the nice {}",))

    bench([Prompted()], **sets, heads=lambda prompts: own)
    assert {x.head.fingerprint for x in SEEN} == {own.fingerprint}


def test_members_are_run_on_their_own_test_and_not_combined(make_outputs):
    def member(seed):
        tests = {name: make_outputs(30, seed=seed + i) for i, name in enumerate(("a", "b"))}
        return Member(make_outputs(40, seed=seed + 5), tests, {"far": make_outputs(20, seed=9).without_labels()})

    report = bench(["msp", Running()], members={"a": member(1), "b": member(1)}, combiners="vote")
    rows = [row for row in report.rows if row.scorer == "running"]
    assert [(row.decider, row.id, row.status) for row in rows if row.kind == "ood"] == [
        ("a", "a", "ok"),
        ("b", "b", "ok"),
        ("vote", "union", "skipped"),
    ]
    assert rows[-1].notes == ("combining needs a score of single images; this one is of streams",)


# -- elsewhere -------------------------------------------------------------------------------------


def test_score_takes_a_set_in_its_row_order_and_keeps_nothing(sets):
    x = sets["test"]
    wanted = slow_running(np.arange(50), best_cosine(x), 16)
    for _ in range(2):
        np.testing.assert_allclose(ood_toolkit.score(Running(), x), wanted, rtol=1e-6)
    with pytest.raises(ScorerError, match=r"running: needs zero_shot, which the given outputs do not provide"):
        ood_toolkit.score(Running(), Outputs.from_logits(np.eye(3)))


class Anchored(Running):
    """Cosine with the mean training image less its mean over the stream up to the end of the batch."""

    name = "anchored"
    needs = frozenset({"features", "train"})

    def fit(self, val, train=None):
        self.anchor_ = torch.nn.functional.normalize(train.embeddings.double().mean(dim=0), dim=0)
        return self

    def run(self, chunks, seed):
        total, count, parts = 0.0, 0, []
        for x in chunks:
            cosine = x.embeddings.double() @ self.anchor_
            total, count = total + cosine.sum(), count + len(x)
            parts.append(cosine - total / count)
        return torch.cat(parts)


def test_a_stream_that_learns_from_id_images_is_fitted_once_before_any_run(sets, make_outputs):
    train = make_outputs(60, seed=4)
    anchor = np.asarray(train.embeddings.double()).mean(axis=0)
    anchor /= np.linalg.norm(anchor)

    def slow(x, batch):
        cosine = np.asarray(x.embeddings.double()) @ anchor
        ends = [min(len(cosine), (i // batch + 1) * batch) for i in range(len(cosine))]
        return np.array([value - cosine[:end].mean() for value, end in zip(cosine, ends, strict=True)])

    x, given = sets["test"], Anchored(batch=16)
    np.testing.assert_allclose(ood_toolkit.score(given, x, train=train), slow(x, 16), rtol=1e-9)
    assert not given.learned()
    with pytest.raises(ScorerError, match="anchored: needs train, which"):
        ood_toolkit.score(given, x)
    report = bench([given], **sets, train=train)
    assert {row.status for row in report.rows if row.kind == "ood"} == {"ok"}
    assert bench([given], **sets).rows[0].notes == ("needs train",)
    wanted = mixed(Anchored(16).fit(None, train), [x, sets["ood"]["near"]], 0)
    np.testing.assert_array_equal(report.answers["id", "test"].streamed["near"]["anchored"], wanted[0])


class Unfitted(Running):
    name = "unfitted"
    needs = frozenset({"zero_shot", "train"})


def test_a_stream_that_needs_a_split_and_has_no_fit_is_told_so(sets):
    with pytest.raises(ScorerError, match="unfitted: needs train but has no fit"):
        ood_toolkit.score(Unfitted(), sets["test"], train=sets["test"])
    with pytest.raises(ConformanceError, match="no need of val or train without a fit"):
        run_check("declaration", Unfitted())


def test_what_fits_or_thresholds_refuses_a_stream(sets):
    line = "running: expected a scorer of single images, got one of streams; there is nothing to fit; "
    for refused in (lambda: Detector.fit(Running(), sets["val"]), lambda: ood_toolkit.fit(Running(), sets["val"])):
        with pytest.raises(ScorerError, match=line):
            refused()
    with pytest.raises(SpecError, match="classwise: base: expected a scorer of single images, 'adaneg' is one of str"):
        get_registry().scorer("classwise:base=adaneg")


def registry_of(target):
    class Module:
        @staticmethod
        @ood_toolkit.hookimpl
        def register_scorers():
            return [target]

    return Registry([Plugin("mine", "1", Module)])


def test_a_plugin_may_register_a_scorer_of_streams():
    registry = registry_of(Running)
    assert registry.scorer("running:batch=5") == Running(batch=5)
    assert registry.scorers("clip") == [Running()]
    assert registry.scorers(Running(batch=3)) == [Running(batch=3)]
    (about,) = registry.about_components("scorers")
    assert (about["group"], about["parameters"]) == ("clip", {"batch": "16"})

    class NoScorer:
        name = "running"

    with pytest.raises(PluginError, match="is no Scorer"):
        registry_of(NoScorer).get("scorers", "running")


# -- the conformance kit ---------------------------------------------------------------------------


def test_an_honest_stream_passes_every_check():
    report = check_scorer(Running())
    assert report.passed == tuple(STREAM_CHECKS)


class Leaky(Running):
    name = "leaky"

    def run(self, chunks, seed):
        scores = super().run(chunks, seed)
        self.seen = getattr(self, "seen", 0) + 1
        return scores + 0.01 * self.seen


class Keeper(Running):
    name = "keeper"

    def run(self, chunks, seed):
        scores = super().run(chunks, seed)
        self.last_ = scores
        return scores


class Indifferent(Running):
    name = "indifferent"

    def run(self, chunks, seed):
        return torch.cat([x.cosine.amax(dim=1) for x in chunks])


class Turned(Running):
    name = "turned"

    def run(self, chunks, seed):
        return -super().run(chunks, seed)


class Silent(Running):
    name = "silent"
    order = ""


class Fitted(Running):
    name = "fitted"
    needs = frozenset({"zero_shot", "val"})


class Drawn(Running):
    name = "drawn"

    def run(self, chunks, seed):
        scores = super().run(chunks, seed)
        return scores + 0.01 * torch.rand(len(scores))


PLANTS = [
    (Leaky, "repeatability"),
    (Leaky, "memory"),
    (Keeper, "memory"),
    (Indifferent, "order"),
    (Turned, "sign"),
    (Silent, "declaration"),
    (Fitted, "declaration"),
    (Drawn, "repeatability"),
]


@pytest.mark.parametrize(("plant", "check"), PLANTS, ids=lambda value: getattr(value, "__name__", value))
def test_the_kit_finds_planted_faults(plant, check):
    with pytest.raises(ConformanceError):
        run_check(check, plant())


def test_no_exemption_from_what_always_applies():
    class Exempt(Leaky):
        exempt: ClassVar = {"memory": "I want to", "order": "it is so"}

    with pytest.raises(ConformanceError, match="expected sign, finiteness and memory to apply always") as error:
        check_scorer(Exempt())
    assert "memory" in error.value.failures


@parametrize_with_checks([Running(), "adaneg:groups=2"])
def test_the_decorator_takes_streams(scorer, check):
    check(scorer)
