"""Intervals, tests and spread of reports, each against the metric functions on the arrays themselves."""

from dataclasses import replace

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError, ScorerError
from ood_toolkit.report import Report
from ood_toolkit.report import comparison as comparing
from ood_toolkit.report.comparison_tables import about_runs, differences_grids, text_of
from ood_toolkit.report.intervals import with_intervals
from ood_toolkit.report.report import joined
from ood_toolkit.report.results import Answers


@pytest.fixture
def report(make_outputs):
    test, val = make_outputs(60, seed=1), make_outputs(50, seed=2)
    ood = {name: make_outputs(n, seed=seed) for name, n, seed in (("o", 40, 3), ("q", 45, 4))}
    return bench("msp,energy,classwise,knn", test, ood, val, groups={"near": ["o", "q"]})


def scores_of(report, spec, ood="o"):
    return report.answers["id", "test"].scores[spec], report.answers["id", f"ood:{ood}"].scores[spec]


def row_of(report, spec, ood="o"):
    return next(row for row in report.rows if (row.kind, row.scorer, row.ood) == ("ood", spec, ood))


def test_intervals_are_those_of_the_scores(report):
    found = with_intervals(report, 50, seed=3)
    for spec in ("msp", "classwise"):
        for ood in ("o", "q"):
            expected = metrics.intervals(*scores_of(report, spec, ood), "native", 50, 3)
            row = row_of(found, spec, ood)
            for key, interval in expected.items():
                assert (row[f"{key}_low"], row[f"{key}_high"]) == (interval.low, interval.high)
            assert row.auroc == row_of(report, spec, ood).auroc
    for row in found.rows:
        if row.kind == "mean" or row.status != "ok":
            assert not any(key.endswith(("_low", "_high")) for key in row.metrics)
    assert found.header["intervals"]["replicates"] == 50


def test_right_against_wrong_has_the_intervals_of_its_scores(report):
    found = with_intervals(report, 50, seed=3)
    (row,) = [row for row in found.rows if (row.kind, row.scorer) == ("misclassification", "msp")]
    test = report.answers["id", "test"]
    scores, right = test.scores["msp"], test.right
    expected = metrics.selective_intervals(scores[right], scores[~right], 50, 3)
    assert list(expected) == ["auroc", "aurc", "eaurc", "augrc"]
    for key, interval in expected.items():
        assert (row[f"{key}_low"], row[f"{key}_high"]) == (interval.low, interval.high)
        assert interval.low <= row[key] <= interval.high
    assert not {"f1_uncertain_low", "id_accepted_low"} & set(row.metrics)
    assert f"[{100 * row.augrc_low:.1f}, {100 * row.augrc_high:.1f}]" in found.table(200)
    plain = [row for row in comparing.measured(found, "native").rows if row.kind == "misclassification"]
    assert plain == [row for row in report.rows if row.kind == "misclassification"]


def test_intervals_tell_how_far_they_are(report):
    told = []
    comparing.compared(report, 5, progress=lambda *given: told.append(given))
    with_scores = [place for place, row in enumerate(report.rows) if row.kind != "mean" and row.status == "ok"]
    assert told == [("intervals", place, len(report.rows), "rows") for place in with_scores]
    silent = []
    comparing.compared(report, 0, True, progress=lambda *given: silent.append(given))
    assert silent == []


def test_bench_gives_the_same(make_outputs, report):
    test, ood = make_outputs(60, seed=1), {"o": make_outputs(40, seed=3)}
    made = bench("msp,energy", test, ood, ci=30, paired=True, seed=5)
    expected = metrics.intervals(*scores_of(made, "energy"), "native", 30, 5)["fpr95_id"]
    row = row_of(made, "energy")
    assert (row.fpr95_id_low, row.fpr95_id_high) == (expected.low, expected.high)
    assert [test["scorer"] for test in made.header["paired"]] == ["energy"]
    plain = bench("msp,energy", test, ood)
    assert not {"paired", "intervals", "groups"} & plain.header.keys()


def test_tests_are_delongs_and_corrected_over_all(report):
    found = comparing.with_tests(report).header["paired"]
    assert [(test["ood"], test["scorer"]) for test in found] == [
        (ood, spec) for ood in ("o", "q") for spec in ("energy", "classwise")
    ]
    for test in found:
        expected = metrics.delong_test(
            *scores_of(report, test["scorer"], test["ood"]), *scores_of(report, "msp", test["ood"])
        )
        assert (test["difference"], test["p"], test["low"]) == (expected.value, expected.p, expected.low)
        assert test["against"]["scorer"] == "msp"
        own = row_of(report, test["scorer"], test["ood"]).auroc
        assert test["auroc"] == pytest.approx(own, abs=1e-12)
    assert [test["p_holm"] for test in found] == metrics.holm([test["p"] for test in found]).tolist()


def test_the_reference_can_be_named_or_the_best(report):
    named = comparing.with_tests(report, "energy").header["paired"]
    assert {test["against"]["scorer"] for test in named} == {"energy"}
    best = comparing.with_tests(report, "best").header["paired"]
    for ood in ("o", "q"):
        aurocs = {spec: row_of(report, spec, ood).auroc for spec in ("msp", "energy", "classwise")}
        assert {t["against"]["scorer"] for t in best if t["ood"] == ood} == {max(aurocs, key=aurocs.get)}
    with pytest.raises(ScorerError, match="no scorer 'energyy' in this run; did you mean 'energy'"):
        comparing.with_tests(report, "energyy")


def test_one_image_has_no_interval_and_the_row_says_so(make_outputs):
    found = bench("msp,energy", make_outputs(20, seed=1), {"o": make_outputs(1, seed=2)}, ci=10, paired=True)
    assert any("no interval: AUROC: expected at least two" in note for note in row_of(found, "msp").notes)
    assert "auroc_low" not in row_of(found, "msp").metrics
    assert found.header["paired"] == []
    assert any(
        note.startswith("energy on o: no test against msp: AUROC: expected at least") for note in found.header["notes"]
    )


@pytest.mark.parametrize("protocol", ["mcm", "openood-v1.5", "native"])
def test_another_protocol_gives_what_bench_would(make_outputs, report, protocol):
    test, val = make_outputs(60, seed=1), make_outputs(50, seed=2)
    ood = {name: make_outputs(n, seed=seed) for name, n, seed in (("o", 40, 3), ("q", 45, 4))}
    other = bench("msp,energy,classwise,knn", test, ood, val, groups={"near": ["o", "q"]}, protocol=protocol)
    found = comparing.measured(comparing.compared(report, 10, True), protocol)
    assert [replace(row, seconds=0) for row in found.rows] == [replace(row, seconds=0) for row in other.rows]
    assert found.header["protocol"] == protocol
    assert not {"intervals", "paired"} & found.header.keys()


def test_a_run_without_its_groups_says_what_is_left_out(report):
    header = {key: value for key, value in report.header.items() if key != "groups"}
    found = comparing.measured(Report(report.rows, header, report.answers), "mcm")
    assert [row.ood for row in found.rows if row.kind == "mean"] == ["all"] * 3
    assert "does not say which OOD sets its groups hold" in found.header["notes"][-1]


def test_members_unions_and_combinations_lead_back_to_their_scores(make_outputs):
    def member(own, other, shift):
        val = {own: make_outputs(40, seed=4 + shift), other: make_outputs(40, seed=5 + shift)}
        tests = {"a": make_outputs(30, seed=6 + shift), "b": make_outputs(32, seed=7 + shift)}
        return Member(val, tests, {"o": make_outputs(28, seed=8 + shift)})

    members = {"a": member("a", "b", 0), "b": member("b", "a", 50)}
    report = bench("msp,energy", members=members, combiners="vote,max-confidence")
    again = comparing.measured(report, "native")
    assert [row.metrics for row in again.rows] == [row.metrics for row in report.rows]
    tests = comparing.with_tests(report).header["paired"]
    union = [test for test in tests if test["id"] == "union"]
    assert {(t["scorer"], t["decider"]) for t in union} == {
        (spec, decider) for spec in ("msp", "energy") for decider in ("a", "b", "vote", "max-confidence")
    } - {("msp", "a")}
    assert {t["against"]["decider"] for t in union} == {"a"}


def test_models_of_a_joined_report_are_tested_against_one_another(make_outputs):
    ood = {"o": make_outputs(40, seed=3)}
    reports = [
        bench("msp", make_outputs(60, seed=seed), ood, about={"model": name}) for name, seed in (("m", 1), ("w", 2))
    ]
    whole = joined(reports)
    (test,) = comparing.with_tests(whole).header["paired"]
    assert (test["model"], test["against"]["model"], test["scorer"]) == ("w", "m", "msp")
    arrays = [report.answers["id", key].scores["msp"] for report in reversed(reports) for key in ("test", "ood:o")]
    assert test["p"] == metrics.delong_test(*arrays).p
    found = with_intervals(whole, 20)
    expected = metrics.intervals(*arrays[:2], "native", 20)["ap_out"]
    row = next(row for row in found.rows if (row.model, row.kind) == ("w", "ood"))
    assert (row.ap_out_low, row.ap_out_high) == (expected.low, expected.high)
    assert " w " in found.table()


def shuffled(report, seed=0, drop=0):
    """The same report with the images of every set in another order, and some of them gone."""
    answers = {}
    for place, (key, said) in enumerate(report.answers.items()):
        rows = np.random.default_rng(seed + place).permutation(len(said))[drop:]
        answers[key] = Answers(said.ids[rows], {spec: scores[rows] for spec, scores in said.scores.items()})
    return Report(report.rows, report.header, answers)


def named(report, spec, other):
    """The same report with a scorer under another's name."""
    rows = [replace(row, scorer=spec) for row in report.rows if row.scorer == other]
    answers = {key: replace(said, scores={spec: said.scores[other]}) for key, said in report.answers.items()}
    return Report(rows, report.header, answers)


def test_runs_are_matched_by_ids(report):
    runs = {"one": report, "two": shuffled(named(report, "msp", "energy"))}
    found = comparing.compared_runs(runs, replicates=40, seed=2)
    assert [(test["run"], test["scorer"], test["ood"]) for test in found] == [("two", "msp", o) for o in ("o", "q")]
    for test in found:
        arrays = (*scores_of(report, "energy", test["ood"]), *scores_of(report, "msp", test["ood"]))
        auroc, fpr = metrics.delong_test(*arrays), metrics.paired_bootstrap(*arrays, "native", 40, 2)["fpr95_id"]
        assert (test["difference"], test["p"]) == (auroc.value, auroc.p)
        assert (test["fpr95_id_difference"], test["fpr95_id_p"]) == (fpr.value, fpr.p)
        assert (test["fpr95_id_low"], test["fpr95_id_high"]) == (fpr.low, fpr.high)
    for key in ("p", "fpr95_id_p"):
        assert [t[f"{key}_holm"] for t in found] == metrics.holm([t[key] for t in found]).tolist()


def test_scorers_of_one_run_or_of_two_can_be_compared(report):
    within = comparing.compared_runs({"one": report}, ["energy"], "msp", 10)
    assert [(t["run"], t["scorer"], t["against"]["scorer"]) for t in within] == [("one", "energy", "msp")] * 2
    across = comparing.compared_runs({"one": report, "two": shuffled(report)}, ["energy"], "msp", 10)
    assert [t["run"] for t in across] == ["one", "two"] * 2
    assert across[0]["difference"] == across[1]["difference"]


def test_other_images_are_named(report):
    with pytest.raises(DataError) as caught:
        comparing.compared_runs({"one": report, "two": shuffled(report, drop=3)}, replicates=5)
    said = str(caught.value)
    assert "id and o: expected the same images, got 60 in one msp and 57 in two msp" in said
    assert "3 of them only in the first (such as " in said
    renamed = {k: replace(s, ids=np.char.add(s.ids, "x")) for k, s in report.answers.items()}
    with pytest.raises(DataError, match=r"60 of them only in the first \(such as .*and 60 of them only in the second"):
        comparing.compared_runs({"one": report, "two": Report(report.rows, report.header, renamed)}, replicates=5)


def test_nothing_to_compare_is_said(report):
    with pytest.raises(DataError, match="nothing to compare: one, two share no scorer"):
        comparing.compared_runs({"one": report, "two": named(report, "mcm", "msp")})
    with pytest.raises(ScorerError, match="no scorer 'mspp' in these runs; did you mean 'msp'"):
        comparing.compared_runs({"one": report}, against="mspp")
    torn = Report(report.rows, report.header, {k: v for k, v in report.answers.items() if k[1] != "ood:q"})
    with pytest.raises(DataError, match="expected scores of every image, got none of 'ood:q'"):
        comparing.with_tests(torn)


def test_spread_by_hand(report):
    def moved(by):
        rows = [
            replace(row, metrics={key: value + by for key, value in row.metrics.items()}, model=f"m{by}")
            for row in report.rows
        ]
        return Report(rows, report.header)

    found = comparing.spread({"one": moved(0.0), "two": moved(0.01), "three": moved(0.05)})
    first, row = found[0], report.rows[0]
    assert (first["kind"], first["scorer"], first["ood"], first["runs"]) == ("ood", "msp", "o", 3)
    assert first["mean"]["auroc"] == pytest.approx(row.auroc + 0.02)
    assert first["std"]["auroc"] == pytest.approx(((0.02**2 + 0.01**2 + 0.03**2) / 2) ** 0.5)
    assert {one["kind"] for one in found} == {"ood", "mean", "misclassification"}
    assert "knn" not in {one["scorer"] for one in found}  # skipped: needs train


def test_spread_refuses_what_cannot_be_averaged(report):
    with pytest.raises(DataError, match="expected at least two runs, got 1"):
        comparing.spread({"one": report})
    other = Report(report.rows, {**report.header, "protocol": "mcm"})
    with pytest.raises(DataError, match="expected runs of one protocol, got one native, two mcm"):
        comparing.spread({"one": report, "two": other})
    with pytest.raises(DataError, match="have no row in common"):
        comparing.spread({"one": report, "two": Report([], report.header)})


def test_replicates_are_enough_for_the_correction(report):
    for tests in (1, 19, 20, 32, 500):
        drawn = comparing.enough_replicates(tests)
        assert tests * 2 / (drawn + 1) <= 0.04 or drawn == 1000
        assert drawn >= 1000
    assert comparing.enough_replicates(32) == 1599
    runs = {"one": report, "two": shuffled(report)}
    notes = []
    few = comparing.compared_runs(runs, replicates=50, notes=notes)
    assert [test["replicates"] for test in few] == [50] * len(few)
    floor = len(few) * 2 / 51
    assert f"p of FPR95(ID) cannot be less than {floor:.3f} after Holm's correction, with 50 replicates" in notes[-1]
    assert min(test["fpr95_id_p_holm"] for test in few) >= floor
    quiet = []
    assert comparing.compared_runs(runs, replicates=None, notes=quiet)[0]["replicates"] == 1000
    assert not [note for note in quiet if "cannot be less" in note]


def test_a_large_difference_among_many_tests_can_be_shown():
    from ood_toolkit.report.results import Row

    draw = np.random.default_rng(0)
    specs = [f"s{place}" for place in range(33)]
    both = {"test": draw.normal(3, 1, 80), "ood:o": draw.normal(0, 1, 80)}
    answers = {
        ("i", key): Answers(
            np.arange(80).astype(str), {spec: base if spec == "s0" else draw.normal(0, 1, 80) for spec in specs}
        )
        for key, base in both.items()
    }
    header = {"protocol": "native", "id": [{"name": "i", "images": 80}], "ood": {"o": 80}}
    rows = [Row("ood", spec, "i", "o", metrics={"auroc": 0.5}) for spec in specs]
    found = comparing.compared_runs({"r": Report(rows, header, answers)}, against="s0", replicates=None)
    assert len(found) == 32
    assert all(test["fpr95_id_p_holm"] <= 0.05 for test in found)


def test_the_best_of_all_runs_is_chosen_for_each_pair(report):
    notes = []
    runs = {"one": named(report, "energy", "energy"), "two": shuffled(named(report, "msp", "msp"))}
    found = comparing.compared_runs(runs, against="best", replicates=20, notes=notes)
    for test in found:
        values = {spec: metrics.auroc(*scores_of(report, spec, test["ood"])) for spec in ("msp", "energy")}
        best = max(values, key=values.get)
        assert (test["against"]["scorer"], test["scorer"]) == (best, ({"msp", "energy"} - {best}).pop())
        assert test["difference"] <= 0
    assert "chosen on the same images" in notes[0]
    alone = comparing.compared_runs({"one": report}, against="best", replicates=20)
    assert len(alone) == 2 * 2  # two others on two sets


def test_what_is_not_tested_is_named_with_the_reason(report):
    notes = []
    runs = {"one": report, "two": shuffled(named(report, "msp", "msp"))}
    comparing.compared_runs(runs, replicates=2000, notes=notes)
    assert notes == [
        "not tested: knn of one, skipped: needs train",
        "not tested: energy, classwise of one, which no other run has on the same sets",
    ]
    only = []
    comparing.compared_runs(runs, ["msp"], replicates=2000, notes=only)
    assert only == []
    assert "not tested: knn, skipped: needs train" in comparing.with_tests(report).header["notes"]
    twice = comparing.with_tests(comparing.with_tests(report, "best"), "best").header["notes"]
    assert len(twice) == len(set(twice)) == 2
    left = []
    comparing.spread({"one": report, "two": report}, left)
    assert left == ["left out, as not all runs have a result of it: knn"]


def test_what_is_not_tested_is_said_once(report):
    runs = {"one": comparing.with_tests(report), "two": shuffled(named(report, "msp", "msp"))}
    kept = runs["one"].header["notes"]
    assert "not tested: knn, skipped: needs train" in kept
    runs["one"] = replace(runs["one"], header={**runs["one"].header, "notes": [*kept, "of the run itself"]})
    notes = []
    found = comparing.compared_runs(runs, replicates=2000, notes=notes)
    text = text_of(found, differences_grids(found), "table", None, False, about_runs(runs), notes)
    assert text.count("needs train") == 1
    assert "of the run itself" in text


@pytest.mark.parametrize("against", ["first", "best", "msp"])
def test_one_scorer_has_nothing_to_be_tested_against(make_outputs, against):
    made = bench("msp", make_outputs(20, seed=1), {"o": make_outputs(20, seed=2)})
    header = comparing.with_tests(made, against).header
    assert header["paired"] == []
    assert header["notes"] == ["--paired: there is nothing to test, the run has one scorer; name more after --scorers"]
