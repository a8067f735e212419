"""Ranks and means of a leaderboard against a slow computation from the scores of every image."""

import itertools
import math

import pytest
from scipy.stats import t as student

from ood_toolkit.report.leaderboard.asked import Asked
from ood_toolkit.report.leaderboard.board import board_of
from ood_toolkit.report.leaderboard.entries import contribution_of
from ood_toolkit.report.run_folder import read_run

pytestmark = pytest.mark.quick


def contributions(folders):
    return [contribution_of(str(folder), read_run(folder)) for folder in folders]


def slow_auroc(inside, outside):
    won = sum((a > b) + (a == b) / 2 for a, b in itertools.product(inside.tolist(), outside.tolist()))
    return won / (len(inside) * len(outside))


def slow_values(folders, sets):
    """Give the AUROC by (model, scorer) and (set, seed), counted pair by pair."""
    found = {}
    for (_, seed), folder in folders.items():
        run = read_run(folder)
        for row in run.rows:
            if row.kind == "ood" and row.status == "ok" and row.ood in sets:
                test, ood = run.answers["known", "test"], run.answers["known", f"ood:{row.ood}"]
                value = slow_auroc(test.scores[row.scorer], ood.scores[row.scorer])
                found.setdefault((row.model, row.scorer), {})[row.ood, seed] = value
    return found


def slow_rank(name, trial, values):
    """Count how many are better, and give those that are equal the mean of the places that they take."""
    mine = values[name][trial]
    better = [other for other in values if values[other][trial] > mine + 1e-12]
    equal = [other for other in values if abs(values[other][trial] - mine) <= 1e-12]
    places = range(len(better) + 1, len(better) + len(equal) + 1)
    return sum(places) / len(places)


def slow_estimate(by_trial, sets, seeds):
    means = [sum(by_trial[name, seed] for seed in seeds) / len(seeds) for name in sets]
    sample = means if len(sets) > 1 else [by_trial[sets[0], seed] for seed in seeds]
    middle = sum(means) / len(means)
    error = math.sqrt(sum((x - middle) ** 2 for x in sample) / (len(sample) - 1) / len(sample))
    half = student.ppf(0.975, len(sample) - 1) * error
    return middle, middle - half, middle + half


@pytest.mark.parametrize(("part", "sets"), [("near", ["close"]), ("far", ["away", "apart"]),
                                           ("all OOD sets", ["close", "away", "apart"])])  # fmt: skip
def test_ranks_and_means_are_those_of_a_slow_count(saved, part, sets):
    board = board_of(contributions(saved.values()), Asked())
    (found,) = [one for one in board.parts if one.name == part]
    values = slow_values(saved, sets)
    assert len(found.standings) == len(values) == found.ranked == 14
    trials = list(itertools.product(sets, (0, 1)))
    expected = {}
    for name in values:
        ranks = {trial: slow_rank(name, trial, values) for trial in trials}
        expected[name] = slow_estimate(ranks, sets, (0, 1)), slow_estimate(values[name], sets, (0, 1))
    shared = 0
    for standing in found.standings:
        rank, auroc = expected[standing.entry.who.model, standing.entry.who.scorer]
        for measured, (value, low, high), least, most in (
            (standing.rank, rank, 1, 14), (standing.measures["auroc"], auroc, 0, 1)
        ):  # fmt: skip
            assert measured.value == pytest.approx(value, abs=1e-9)
            assert measured.low == pytest.approx(max(low, least), abs=1e-9)
            assert measured.high == pytest.approx(min(high, most), abs=1e-9)
        better = [name for name in expected if expected[name][0][0] < rank[0] - 1e-9]
        assert standing.place == len(better) + 1
        shared += sum(one.place == standing.place for one in found.standings) > 1
    order = [standing.rank.value for standing in found.standings]
    assert order == sorted(order)
    assert shared >= 4, "energy and its weighted kin give the same scores, so they share a place in both models"


def test_what_lacks_a_result_has_no_rank_and_changes_none(saved, changed, tmp_path):
    def fail(held):
        for row in held["rows"]:
            if row["scorer"] == "mcm" and row["ood"] == "away":
                row.update(status="failed", notes=["it broke"], metrics={})

    folders = {**saved, ("one", 1): changed(saved["one", 1], tmp_path / "failed", fail)}
    board = board_of(contributions(folders.values()), Asked())
    parts = {part.name: part for part in board.parts}
    assert parts["near"].ranked == 14
    for name, sets in (("far", ["away", "apart"]), ("all OOD sets", ["close", "away", "apart"])):
        found = parts[name]
        assert found.ranked == 13
        last = found.standings[-1]
        assert (last.entry.who.model, last.entry.who.scorer) == ("one", "mcm")
        assert (last.place, last.rank) == (None, None)
        assert [(trial.pair.ood, trial.seed) for trial in last.lacking] == [("away", 1)]
        assert last.results == 2 * len(sets) - 1
        held = slow_values(folders, sets)
        mine = held.pop(("one", "mcm"))
        by_set = [[mine[one, seed] for seed in (0, 1) if (one, seed) in mine] for one in sets]
        means = [sum(values) / len(values) for values in by_set]
        assert last.measures["auroc"].value == pytest.approx(sum(means) / len(means))
        assert last.measures["auroc"].low is None
        for standing in found.standings[:-1]:
            who = standing.entry.who
            ranks = [slow_rank((who.model, who.scorer), trial, held) for trial in itertools.product(sets, (0, 1))]
            assert standing.rank.value == pytest.approx(sum(ranks) / len(ranks))


def test_a_single_result_has_no_interval(saved):
    board = board_of(contributions([saved["one", 0]]), Asked(ood=["close"]))
    (part,) = board.parts
    assert part.over == ""
    assert all(one.rank.low is None and one.measures["auroc"].low is None for one in part.standings)


def test_protocols_that_average_apart_have_no_table_of_all(make_run, tmp_path):
    make_run(protocol="openood-v1.5").save(tmp_path / "run")
    board = board_of(contributions([tmp_path / "run"]), Asked())
    assert [part.name for part in board.parts] == ["near", "far"]
    assert board.measures == ("auroc", "fpr95_ood")


def test_the_full_spectrum_is_ranked_apart(make_run, make_outputs, tmp_path):
    shifted = {"blurred": make_outputs("one", "blurred", 20, labelled=True)}
    make_run(csid=shifted).save(tmp_path / "run")
    board = board_of(contributions([tmp_path / "run"]), Asked())
    assert [(part.name, part.scope) for part in board.parts] == [
        ("near", ""), ("far", ""), ("all OOD sets", ""),
        ("near", "full spectrum"), ("far", "full spectrum"), ("all OOD sets", "full spectrum"),
    ]  # fmt: skip
    inside = {part.pairs[0].id for part in board.parts if part.scope}
    assert inside == {"known+csid"}
    assert {board.sizes[pair][0] for part in board.parts if part.scope for pair in part.pairs} == {67 + 20}


@pytest.mark.parametrize(
    ("spec", "supervision", "cost"),
    [("msp", "zero-shot", "logits"), ("mcm", "zero-shot", "logits"), ("klm", "few-shot", "logits"),
     ("knn", "training", "train"), ("neglabel:groups=1:share=1.0", "zero-shot", "texts")],
)  # fmt: skip
def test_classes_of_supervision_and_cost(saved, spec, supervision, cost):
    (run,) = contributions([saved["one", 0]])
    found = {(one.supervision, one.cost) for one in run.results if one.who.scorer == spec}
    assert found == {(supervision, cost)}


@pytest.mark.parametrize(
    ("needs", "head", "trained", "shots", "expected"),
    [
        ({"logits"}, "zero_shot", False, None, "zero-shot"),
        ({"logits", "val"}, "zero_shot", False, None, "few-shot"),
        ({"logits"}, "zero_shot", True, 16, "few-shot"),
        ({"logits"}, "zero_shot", True, None, "training"),
        ({"logits"}, "linear", True, 4, "few-shot"),
        ({"logits"}, "linear", False, None, "training"),
        ({"features", "train_labels"}, "zero_shot", False, None, "training"),
        ({"logits"}, "", False, None, ""),
        ({"logits", "val"}, "", False, None, ""),
        ({"features", "train"}, "", False, None, "training"),
    ],
)
def test_what_a_score_learns_from(needs, head, trained, shots, expected):
    from ood_toolkit.report.leaderboard.demands import supervision_of

    assert supervision_of(needs, head, trained, shots) == expected


def test_every_scorer_has_a_cost():
    from ood_toolkit import get_registry
    from ood_toolkit.report.leaderboard.demands import COSTS, cost_of, needs_of

    costs = {scorer.spec: cost_of(scorer.needs) for scorer in get_registry().scorers("all")}
    assert set(costs.values()) == set(COSTS)
    assert (costs["energy"], costs["gl-mcm"], costs["react"]) == ("logits", "features", "features")
    assert needs_of("my own label") is None
