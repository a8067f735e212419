import json
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch

from ood_toolkit import Outputs, Scorer, bench
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.benchmark.gather import gather
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.benchmark.tuning import tuned
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.scorers.candidates import candidates, searched
from ood_toolkit.scorers.energy import Energy
from ood_toolkit.scorers.gen import GEN
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.prompt_average import PromptAverage
from ood_toolkit.testing import ConformanceError, run_check


@dataclass
class Column(Scorer):
    """One column of the features."""

    which: int = 0
    """Which."""
    sign: float = 1.0
    """What it is multiplied by."""

    name = "column"
    needs = frozenset({"features"})
    grid: ClassVar = {"which": (2, 1, 0, 3)}

    def score(self, x):
        return self.sign * x.features[:, self.which]


@dataclass
class Watching(Column):
    """Notes what it is shown."""

    name = "watching"
    seen: ClassVar = []

    def fit(self, val, train=None):
        self.seen += [("fit", self.which, tuple(x.ids)) for x in (val, train) if x is not None]
        return self

    def score(self, x):
        self.seen.append(("score", self.which, tuple(x.ids)))
        return super().score(x)


@dataclass
class Failing(Column):
    """Fails at column 1, and cannot be made for column 3."""

    name = "failing"

    def __post_init__(self):
        if self.which == 3:
            raise ValueError("no column 3")

    def fit(self, val, train=None):
        if self.which == 1:
            raise ValueError("not this one")
        return self


@dataclass
class Hopeless(Column):
    """Fails on sets of ten images."""

    name = "hopeless"

    def score(self, x):
        if len(x) == 10:
            raise ValueError("ten are too few")
        return super().score(x)


@dataclass
class Flow(StreamScorer):
    """A column, as a stream."""

    which: int = 0
    name = "flow"
    needs = frozenset({"features"})
    grid: ClassVar = {"which": (0, 1)}

    def run(self, chunks, seed):
        return torch.cat([chunk.features[:, self.which] for chunk in chunks])


def auroc(inside, outside):
    """Count the pairs in the right order, ties half."""
    inside, outside = np.asarray(inside, dtype=float)[:, None], np.asarray(outside, dtype=float)[None]
    return ((inside > outside).mean() + (inside == outside).mean() / 2).item()


def columns(name, *shifts, n=40):
    """Make outputs whose columns are drawn around these numbers."""
    noise = np.random.default_rng([len(name), n, *map(ord, name)]).normal(size=(n, len(shifts)))
    return Outputs(features=noise + np.array(shifts), ids=[f"{name}/{i}" for i in range(n)])


@pytest.fixture
def problem():
    """Column 1 is best on the OOD validation set, column 3 on the test set."""
    return {
        "val": columns("val", 0, 0, 0, 0, n=60),
        "test": columns("test", 0, 0, 0, 0, n=50),
        "ood": {"far": columns("far", -1, 0, 0, -5, n=30)},
        "tune": {"near": columns("near", -0.5, -3, 0.1, 1, n=35), "other": columns("other", -0.2, -1, 0.2, 2, n=25)},
    }


def values(report, key="to"):
    return [told[key] for told in report.header["tuned"]["scorers"]]


# -- what is chosen --------------------------------------------------------------------------------------------


def test_the_best_mean_auroc_of_validation_sets_wins(problem):
    report = bench(Column(), **problem)
    val, sets = problem["val"].features, problem["tune"].values()
    expected = {which: np.mean([auroc(val[:, which], x.features[:, which]) for x in sets]).item() for which in range(4)}
    (told,) = report.header["tuned"]["scorers"]
    assert max(expected, key=expected.get) == 1
    assert (told["from"], told["to"], told["left_out"]) == ("column", "column:which=1", {})
    assert told["auroc"] == pytest.approx({f"column:which={w}" if w else "column": expected[w] for w in range(4)})
    assert next(iter(told["auroc"])) == "column"
    assert report.header["tuned"]["against"] == {"near": 35, "other": 25}
    row = report.rows[0]
    assert row.scorer == "column:which=1"
    assert row.auroc == pytest.approx(auroc(problem["test"].features[:, 1], problem["ood"]["far"].features[:, 1]))
    assert row.notes == (
        f"tuned on ID validation against near, other: which=1 of 2, 1, 0, 3 (AUROC {100 * expected[1]:.2f}, "
        f"default {100 * expected[0]:.2f})",
    )


def test_the_threshold_stays_that_of_id_validation(problem):
    row = bench(Column(), **problem).rows[0]
    scores = problem["val"].features[:, 1].numpy()
    accepted = np.mean(problem["test"].features[:, 1].numpy() >= np.sort(scores)[int(0.05 * len(scores))])
    assert row.metrics["id_accepted"] == pytest.approx(accepted, abs=0.03)
    assert row.metrics["id_accepted"] == bench(Column(1), **{**problem, "tune": None}).rows[0].metrics["id_accepted"]


@pytest.mark.parametrize(("spec", "made", "grid"), [
    ("knn", KNN, {"k": (50, 100, 200, 500, 1000)}),
    ("gen", GEN, {"gamma": (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0), "m": (10, 50, 100, 200, 500, 1000)}),
    ("energy", Energy, {"temperature": (1.0, 10.0, 100.0, 1000.0)}),
])  # fmt: skip
def test_built_ins_are_searched_as_a_loop_would(make_outputs, spec, made, grid):
    val, train, noise = make_outputs(80, 25), make_outputs(1100, 25, seed=1), make_outputs(70, 25, seed=2)
    draw = torch.Generator().manual_seed(7)
    near = Outputs(noise.features + torch.randn(noise.features.shape, generator=draw) * 1.5, head=noise.head)
    found = {}
    for chosen in product(*grid.values()):
        scorer = made(**dict(zip(grid, chosen, strict=True))).fit(val, train)
        found[scorer.spec] = auroc(scorer.score(val), scorer.score(near))
    ood = {"far": make_outputs(20, 25, seed=3)}
    report = bench(spec, make_outputs(30, 25, seed=4), ood, val, train, tune={"near": near})
    (told,) = report.header["tuned"]["scorers"]
    assert told["auroc"] == pytest.approx(found)
    assert found[told["to"]] == pytest.approx(max(found.values()), abs=1e-12)
    assert len(found) > 1
    assert max(found.values()) > min(found.values())


def test_what_the_user_set_is_held_fixed(make_outputs):
    assert searched(GEN(gamma=0.5)) == {"m": GEN.grid["m"]}
    assert {scorer.gamma for scorer in candidates(GEN(gamma=0.5))} == {0.5}
    assert candidates(GEN(gamma=0.5))[0] == GEN(gamma=0.5)
    assert searched(KNN(k=100)) == {}


def test_a_scorer_that_has_nothing_to_search_stays_as_it_is(problem):
    report = bench([Column(which=2), Column()], **problem)
    assert [row.scorer for row in report.rows] == ["column:which=2", "column:which=1"]
    assert report.rows[0].notes == ()
    assert values(report, "from") == ["column"]


def test_what_becomes_the_same_scorer_is_shown_once(problem):
    report = bench([Column(), Column(which=1)], **problem)
    assert [row.scorer for row in report.rows if row.kind == "ood"] == ["column:which=1"]
    assert len(report.rows[0].notes) == 1


def test_the_scorer_inside_another_is_searched():
    made = candidates(PromptAverage(Energy()))
    assert [scorer.base.temperature for scorer in made] == [1.0, 10.0, 100.0, 1000.0]
    assert searched(PromptAverage(Energy(10.0))) == {}


def test_of_equal_ones_that_with_the_fewest_changes_is_taken(make_outputs):
    val, near = make_outputs(60), make_outputs(60, seed=2, scale=10.0)
    noisy = Outputs(near.features + torch.randn(60, 8, generator=torch.Generator().manual_seed(3)), head=near.head)
    report = bench("gen", make_outputs(), {"far": near}, val, tune={"near": noisy})
    (told,) = report.header["tuned"]["scorers"]
    best = [spec for spec, found in told["auroc"].items() if found == max(told["auroc"].values())]
    gamma = told["to"].removeprefix("gen:")
    assert gamma.startswith("gamma=")  # five classes: every M is all of them
    assert len(best) > 1
    assert ":m=" not in told["to"]


def test_of_equal_ones_the_default_is_kept_then_the_first_of_the_grid(problem):
    flat = {name: Outputs(features=torch.zeros(20, 4)) for name in ("a", "b")}
    problem["val"] = Outputs(features=torch.zeros(20, 4))
    report = bench(Column(), **{**problem, "tune": flat})
    assert values(report) == ["column"]
    assert report.rows[0].notes[-1].endswith("which=0 of 2, 1, 0, 3 (AUROC 50.00, the default)")
    better = {"a": Outputs(features=torch.tensor([[1.0, -1.0, -1.0, 0.0]]).repeat(20, 1))}
    assert values(bench(Column(), **{**problem, "tune": better})) == ["column:which=2"]


def test_scorers_of_streams_are_left_as_they_are(problem):
    report = bench([Flow(), Column()], **problem)
    assert values(report, "from") == ["column"]
    assert report.rows[0].scorer == "flow"
    with pytest.raises(ScorerError, match="expected a scorer with a grid of which a parameter is at its default"):
        bench([Flow()], **problem)


# -- what is looked at -----------------------------------------------------------------------------------------


def test_nothing_but_validation_and_training_is_seen(problem):
    Watching.seen.clear()
    train = columns("train", 0, 0, 0, 0)
    member = Member(problem["val"], {"id": problem["test"]}, problem["ood"], train)
    told = []
    found = tuned([Watching()], {"id": member}, problem["tune"], told.append)
    assert found.scorers == [Watching(which=1)]
    assert {ids[0].split("/")[0] for _, _, ids in Watching.seen} == {"val", "train", "near", "other"}
    assert {ids[0].split("/")[0] for what, _, ids in Watching.seen if what == "fit"} == {"val", "train"}
    walks = [(which, ids) for what, which, ids in Watching.seen if what == "score"]
    assert len(walks) == len(set(walks)) == 4 * 3  # each candidate once on val, near and other
    first = [ids for _, ids in walks[:4]]
    assert len(set(first)) == 1  # all candidates on one chunk before the next is looked at
    assert told[:2] == ["tuning, id: fitting watching", "tuning, id: scoring val"]


def test_labels_of_tune_sets_are_not_shown(problem):
    @dataclass
    class Curious(Column):
        name = "curious"

        def score(self, x):
            assert x.labels is None or x.ids[0].startswith(("val", "test"))
            return super().score(x)

    near = replace_labels(problem["tune"]["near"])
    report = bench(Curious(), **{**problem, "tune": {"near": near}})
    assert values(report, "left_out") == [{}]


def replace_labels(x):
    return Outputs(features=x.features, ids=x.ids, labels=torch.zeros(len(x), dtype=torch.long))


# -- what fails ------------------------------------------------------------------------------------------------


def test_a_candidate_that_fails_is_left_out_with_a_note(problem):
    problem["tune"]["near"] = columns("near", -0.5, -3, -1, 1)
    report = bench(Failing(), **problem)
    (told,) = report.header["tuned"]["scorers"]
    assert set(told["auroc"]) == {"failing", "failing:which=2"}
    assert set(told["left_out"]) == {"failing:which=1", "failing:which=3"}
    assert "ValueError: no column 3 (test_tuning.py:" in told["left_out"]["failing:which=3"]
    chosen, lost = report.rows[0].notes
    assert chosen.startswith("tuned on ID validation")
    assert lost.startswith("2 of 4 candidates left out, such as failing:which=1: ")
    assert "ValueError: not this one (test_tuning.py:" in lost
    assert report.failed == []


def test_a_default_that_fails_may_be_replaced(problem):
    @dataclass
    class Late(Column):
        name = "late"

        def score(self, x):
            if self.which == 0:
                raise ValueError("not 0")
            return super().score(x)

    report = bench(Late(), **problem)
    assert values(report) == ["late:which=1"]
    assert "default failed)" in report.rows[0].notes[0]
    assert report.failed == []


def test_where_all_fail_the_scorer_is_kept_and_says_so(problem):
    problem["tune"] = {"few": columns("few", 0, 0, 0, 0, n=10)}
    report = bench([Hopeless(), Column()], **problem)
    assert values(report) == ["hopeless", report.rows[1].scorer]
    assert report.rows[0].status == "ok"
    assert report.rows[0].notes[0].startswith("not tuned: all 4 candidates failed, such as hopeless: ")
    assert "ten are too few (test_tuning.py:" in report.rows[0].notes[0]


def test_a_tune_set_under_another_head_is_refused(make_outputs):
    val, near = make_outputs(40), make_outputs(40, seed=2)
    bare = Outputs.from_logits(near.logits.numpy())
    with pytest.raises(OutputsError, match="another head"):
        bench("energy", make_outputs(), {"far": near}, val, tune={"bare": bare})


def test_misuse_is_refused_in_a_line(problem):
    given = {key: problem[key] for key in ("test", "ood", "tune")}
    with pytest.raises(OutputsError, match="tune: needs val"):
        bench(Column(), **given)
    with pytest.raises(OutputsError, match="tune: 'far' is tested on"):
        bench(Column(), **{**problem, "tune": {"far": problem["tune"]["near"]}})
    with pytest.raises(OutputsError, match="tune: 'far' is tested on"):
        bench(Column(), **{**problem, "tune": {"near": problem["ood"]["far"]}})
    with pytest.raises(OutputsError, match="tune: 'id' is tested on"):
        bench(Column(), **{**problem, "tune": {"near": problem["test"]}})
    with pytest.raises(OutputsError, match="tune: 'shift' is tested on"):
        bench(Column(), **problem, csid={"shift": problem["tune"]["other"]})
    for wrong in ({}, problem["tune"]["near"]):
        with pytest.raises(OutputsError, match="tune: expected a mapping of names to OOD validation outputs"):
            bench(Column(), **{**problem, "tune": wrong})
    both = {n: Member(problem["val"], dict.fromkeys("ab", problem["test"]), problem["ood"]) for n in "ab"}
    with pytest.raises(OutputsError, match="tune: expected one ID set, got 2: a, b"):
        bench(Column(), members=both, tune=problem["tune"])


# -- grids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({"whihc": (0, 1)}, "did you mean 'which'"),
        ({"which": [0, 1]}, "a tuple of values"),
        ({"which": ()}, "a tuple of values"),
        ({"which": (1, 2)}, "the default of which, 0"),
        ({"which": (0, 3)}, "no column 3"),
    ],
)
def test_the_conformance_kit_looks_at_the_grid(grid, says, monkeypatch):
    monkeypatch.setattr(Failing, "grid", grid)
    with pytest.raises(ConformanceError, match=says):
        run_check("declaration", Failing())


def test_a_wrong_grid_stops_no_run(problem, monkeypatch):
    monkeypatch.setattr(Failing, "grid", {"whihc": (0, 1)})
    report = bench([Failing(), Column()], **problem)
    assert values(report, "from") == ["column"]
    assert report.failed == []


def test_a_grid_is_no_parameter_even_where_it_is_annotated():
    @dataclass
    class Annotated(Column):
        grid: tuple = ()
        name = "annotated"

    assert set(Annotated().parameters()) == {"which", "sign"}


# -- the sets of a request -------------------------------------------------------------------------------------


class Known(Sets):
    """Sets in memory whose images are known by their bytes."""

    label = "m"

    def __init__(self, held):
        self.held = held

    def has(self, name, split, *, download=False):
        return (name, split) in self.held

    def keys(self, name, split):
        return np.array([[int(id.rpartition("/")[2])] for id in self.held[name, split].ids])

    def head(self, name, prompts):
        return None

    def outputs(self, name, split, head, *, own=True):
        return self.held[name, split]

    def shifted(self, name, of, head, local=None):
        return self.held[name, "test"]

    def templates(self, name):
        return ()


def test_a_tune_set_gives_its_validation_split_else_its_test_split():
    held = {
        ("id", "test"): replace_labels(columns("id", 0, 0)),
        ("far", "test"): columns("far", 0, 0, n=15),
        ("own", "val"): columns("own", 0, 0, n=25),
        ("own", "test"): columns("own test", 0, 0, n=35),
        ("plain", "test"): columns("plain", 0, 0, n=12),
    }
    asked = Settings(ids=("id",), groups={"": ("far",)}, tune=("own", "plain"), limit=20)
    found = gather(asked, Known(held), with_train=False)
    assert {name: len(x) for name, x in found.tune.items()} == {"own": 20, "plain": 12}
    assert found.tune["own"].ids[0].startswith("own/")
    assert found.about["tune_splits"] == {"own": "val", "plain": "test"}
    assert "15 of the 25 images of own that are tuned on are also in far" in found.about["notes"]
    assert "12 of the 12 images of plain that are tuned on are also in far" in found.about["notes"]
    assert set(found.members["id"].ood) == {"far"}
    without = gather(replace(asked, tune=()), Known(held), with_train=False)
    assert without.tune == {}
    assert "tune_splits" not in without.about


# -- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def oodkit(oodkit, no_plugins, monkeypatch, tmp_path):
    """Run the command line in this process, with a store of its own."""
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    return oodkit


def test_the_command_tunes_on_a_named_set(oodkit, tmp_path):
    line = "bench --scorers knn,odin,msp --tune letters --ood patches --limit 150"
    code, out, err = oodkit(f"{line} --format json --output {tmp_path / 'run'}")
    assert code == 0, err
    read = json.loads(out)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == read
    tuning = read["tuned"]
    assert tuning["against"] == {"letters": 150}
    assert read["tune_splits"] == {"letters": "test"}
    assert [told["from"] for told in tuning["scorers"]] == ["knn", "odin"]
    for told in tuning["scorers"]:
        assert set(told) == {"from", "to", "auroc", "left_out", "seconds"}
        assert told["auroc"][told["to"]] == max(told["auroc"].values())
        assert told["seconds"] > 0
    assert {row["scorer"] for row in read["rows"]} == {told["to"] for told in tuning["scorers"]} | {"msp"}
    assert {row["ood"] for row in read["rows"] if row["kind"] == "ood"} == {"patches"}
    assert tuning["scorers"][0]["left_out"].keys() == {"knn:k=200", "knn:k=500", "knn:k=1000"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--tune patches", "patches: named after --tune and --ood"),
        ("--tune digits --ood letters", "digits: named after --tune and --id"),
        ("--tune patches --ood letters --id digits --id letters", "named after --id and --ood"),
        (
            "--tune patches --ood letters --id digits --id cifar10",
            "--tune: expected one ID set, got 2: digits",
        ),
        ("--tune patches --ood letters --val-split 0", "--tune: needs ID validation images"),
        ("--tune , --ood letters", "--tune: expected names of OOD validation sets"),
        ("--tune patches --ood letters --scorers msp,knn:k=100", "got msp, knn:k=100; oodkit scorers show"),
        ("--tune patchse --ood letters --scorers knn", "not here: patchse"),
        ("--tune patches --ood letters --scorers knn,odin --paired --against odin", "yet to choose the parameters"),
    ],
)
def test_the_command_refuses_misuse_before_it_encodes(oodkit, line, says):
    code, out, err = oodkit(f"bench {line}" if "--scorers" in line else f"bench --scorers knn {line}")
    assert (code, out) == (1, "")
    assert says in err


def test_the_listing_shows_grids(oodkit):
    _, out, _ = oodkit("scorers --json")
    listed = {row["name"]: row for row in json.loads(out)}
    assert listed["knn"]["grid"] == {"k": ["50", "100", "200", "500", "1000"]}
    assert listed["vim"]["grid"] == {"dim": ["none", "256", "1000"]}
    assert "grid" not in listed["msp"]
