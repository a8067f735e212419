"""What the page holds against a slow computation from the scores."""

import json

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.report.html.contents import contents
from ood_toolkit.report.html.histograms import histograms
from ood_toolkit.report.html.page import html_page
from ood_toolkit.report.html.samples import id_sample
from ood_toolkit.report.html.summary import block_names
from ood_toolkit.report.images_of_rows import Case, cases_of
from ood_toolkit.report.picks import picks
from ood_toolkit.report.report import Report
from ood_toolkit.report.results import Answers, Row


def test_values_are_those_of_the_rows(drawn):
    held = contents(drawn)
    assert [row["kind"] for row in held["rows"]] == [row.kind for row in drawn.rows]
    for shown, row in zip(held["rows"], drawn.rows, strict=True):
        wanted = held["rightColumns"] if row.kind == "misclassification" else held["columns"]
        assert wanted
        assert {c["key"]: shown["values"][c["key"]] for c in wanted} == {c["key"]: [row[c["key"]]] for c in wanted}
        assert held["blocks"][shown["block"]]["label"] == row.scorer
        if row.kind == "ood":
            case = held["cases"][shown["case"]]
            assert (case["ood"], case["sizes"]["ood"]) == (row.ood, row.n_ood)


def test_intervals_and_paired_tests_are_shown(drawn):
    from ood_toolkit.report.comparison import compared

    report = compared(drawn, ci=20, paired=True)
    held = contents(report)
    row, shown = report.rows[0], held["rows"][0]
    assert shown["values"]["auroc"] == [row.auroc, row.auroc_low, row.auroc_high]
    test = report.header["paired"][0]
    found = next(one["against"] for one in held["rows"] if one["against"])
    assert found == {"scorer": "msp", "difference": test["difference"], "p": test["p_holm"]}
    assert any(line.startswith("below the values 95 % intervals") for line in held["lines"])


def test_classes_are_counted_and_their_scores_drawn(drawn):
    held = contents(drawn)
    for case, shown in zip(cases_of(drawn), held["cases"], strict=True):
        block = held["blocks"][shown["block"]]
        names, spec = held["names"][block["names"]], case.row.scorer
        taken = case.test.class_cuts.get(spec)
        assert block["margin"] == (taken is not None) == (spec == "classwise")
        for said, scores, found in (
            (case.test, case.scores[0], block["classes"]),
            (case.ood, case.scores[1], shown["classes"]),
        ):
            for place, name in enumerate(names):
                mine = said.prediction == name
                assert found["n"][place] == mine.sum()
                assert found["accepted"][place] == (mine & said.accepted[spec]).sum()
                base = scores[mine] if taken is None else scores[mine] + taken[place]
                middle = found["quantiles"][len(found["quantiles"]) // 2][place]
                expected = np.quantile(base, 0.5, method="inverted_cdf") if mine.any() else None
                assert middle == (None if expected is None else pytest.approx(expected, rel=1e-4))
        theta = block["classes"]["theta"]
        assert theta == (taken.tolist() if taken is not None else case.test.cuts[spec])
        assert sum(block["classes"]["right"]) == case.test.right.sum()


def test_errors_are_the_gravest(drawn):
    for case, shown in zip(cases_of(drawn), contents(drawn)["cases"], strict=True):
        spec, (inside, outside) = case.row.scorer, case.scores
        found = {one["kind"]: one for one in shown["errors"]}
        wrong = np.flatnonzero(~case.test.right)
        surest = wrong[np.argmax(inside[wrong])]
        assert found["mistakes"]["total"] == len(wrong)
        first = found["mistakes"]["images"][0]
        assert (first["id"], first["class"]) == (case.test.ids[surest], case.test.truth[surest])
        rejected = case.test.right & ~case.test.accepted[spec]
        assert found["rejected"]["total"] == rejected.sum()
        missed = case.ood.accepted[spec]
        assert found["missed"]["total"] == missed.sum()
        assert found["missed"]["images"][0]["id"] == case.ood.ids[np.argmax(np.where(missed, outside, -np.inf))]
        for image in found["rejected"]["images"]:
            assert image["score"] < image["threshold"]
        assert all(image["score"] >= image["threshold"] for image in found["missed"]["images"])
        assert all(image["picture"] is None for one in shown["errors"] for image in one["images"])


def test_a_pick_is_no_more_than_asked_for_and_its_order_does_not_hang_on_ties(make_report):
    case = cases_of(make_report())[0]
    for one in picks(case, 3):
        assert len(one.rows) == min(3, one.total)
    case.scores[0][:] = 1.0
    assert all((np.diff(one.rows) > 0).all() for one in picks(case, 20) if one.kind != "missed")


def test_without_validation_the_extremes_are_shown_and_said_so():
    scores = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([0.0, 5.0])}
    said = {name: Answers(np.array([f"{name}{i}" for i in range(len(s))]), {"s": s}) for name, s in scores.items()}
    rows = [Row("ood", "s", "a", "b", n_id=3, n_ood=2, metrics=metrics.evaluate(*scores.values()))]
    header = {"protocol": "native", "id": [{"name": "a", "images": 3}], "ood": {"b": 2}}
    held = contents(Report(rows, header, {("a", "test"): said["a"], ("a", "ood:b"): said["b"]}))
    (case,) = held["cases"]
    assert case["positions"]["own"] is None
    assert held["blocks"][0]["classes"] is None
    found = {one["kind"]: [image["id"] for image in one["images"]] for one in case["errors"]}
    assert found == {"rejected": ["a1", "a2", "a0"], "missed": ["b1", "b0"]}
    assert not any(one["decided"] for one in case["errors"])


def test_blocks_are_named_by_what_differs():
    def named(*blocks):
        rows = [Row("ood", scorer, id_name, "o", decider, model) for model, scorer, decider, id_name in blocks]
        return [label for _, label in block_names(rows)]

    assert named(("m", "msp", "", "a"), ("m", "knn", "", "a")) == ["msp", "knn"]
    assert named(("m", "msp", "", "a"), ("n", "msp", "", "a")) == ["msp · m", "msp · n"]
    assert named(("m", "msp", "", "a"), ("m", "msp", "", "a+csid")) == ["msp · a", "msp · a+csid"]
    members = [("m", "msp", "a", "a"), ("m", "msp", "a", "union"), ("m", "msp", "vote", "union")]
    assert named(*members) == ["msp · a", "msp · a · union", "msp · vote · union"]


def test_published_values_stand_beside_measured_ones(drawn):
    item = {
        "scorer": "msp", "model": "drawn", "kind": "ood", "id": "id", "ood": "other", "metric": "auroc",
        "measured": 90.0, "published": 89.5, "difference": 0.5, "tolerance": 1.0, "same_images": True,
        "verdict": "within tolerance",
        "method": "MSP <b>", "published_model": "x", "published_protocol": "native", "source": "a\x1bpaper",
        "secondary": False, "note": "",
    }  # fmt: skip
    held = contents(Report(drawn.rows, {**drawn.header, "published": [item]}, drawn.answers))["published"]
    assert held["columns"] == [
        "scorer", "published by", "OOD set", "metric", "measured", "published", "points", "verdict",
    ]  # fmt: skip
    assert held["rows"] == [["msp", "MSP <b> [1]", "other", "AUROC", "90.00", "89.50", "+0.50", "within tolerance"]]
    assert held["notes"] == ["[1] a\\x1bpaper (protocol native)"]
    assert contents(drawn)["published"] is None


def test_scores_of_streams_are_those_of_their_pair():
    said = {name: Answers(np.array(["x", "y"])) for name in ("a", "b")}
    said["a"].streamed = {"b": {"s": np.array([1.0, 2.0])}}
    said["b"].streamed = {"b": {"s": np.array([0.0, 1.5])}}
    scores = said["a"].streamed["b"]["s"], said["b"].streamed["b"]["s"]
    rows = [Row("ood", "s", "a", "b", n_id=2, n_ood=2, metrics=metrics.evaluate(*scores))]
    header = {"protocol": "native", "id": [{"name": "a", "images": 2}], "ood": {"b": 2}}
    (case,) = contents(Report(rows, header, {("a", "test"): said["a"], ("a", "ood:b"): said["b"]}))["cases"]
    assert case["positions"]["t"] == [0.0, 1.0, 1.5, 2.0, "Infinity"]
    assert case["positions"]["accepted"] == {"unknown": [2, 2, 1, 1, 0], "ood": [2, 1, 1, 0, 0]}


def test_samples_are_the_same_images_for_every_scorer(drawn):
    held, cases = contents(drawn), cases_of(drawn)
    for case, shown in zip(cases, held["cases"], strict=True):
        sample = held["blocks"][shown["block"]]["sample"]
        np.testing.assert_allclose(sample["scores"], case.scores[0], rtol=1e-5)  # so few are drawn all
        assert sample["groups"] == "".join("0" if right else "1" for right in case.test.right)
        np.testing.assert_allclose(shown["sample"]["scores"], case.scores[1], rtol=1e-5)
    assert len({block["sample"]["images"] for block in held["blocks"]}) == 1
    assert len({case["sample"]["images"] for case in held["cases"]}) == 2


def test_a_sample_of_many_is_spread_over_the_rows():
    said = Answers(np.arange(5000).astype(str), {"s": np.arange(5000.0)})
    found = id_sample(Case(Row("ood", "s", "a", "b"), said, said))
    assert (found["scores"][0], found["scores"][-1], len(found["scores"])) == (0.0, 4999.0, 400)
    assert set(np.diff(found["scores"])) <= {12.0, 13.0}
    assert found["groups"] == "2" * 400
    said.streamed = {"b": {"s": said.scores["s"]}}
    assert id_sample(Case(Row("ood", "s", "a", "b"), said, said)) is None


@pytest.mark.parametrize(
    ("groups", "ends"),
    [
        ({"right": [0.0, 1.0], "ood": [0.5]}, (0.0, 1.0)),
        ({"right": [2.0, 2.0]}, (1.998, 2.002)),
        ({"ood": [np.inf, -np.inf]}, (0.0, 1.0)),
        ({"right": [*np.linspace(0, 1, 2000), 1e9]}, (0.0, 1.0)),
    ],
)
def test_histograms_hold_every_image_once(groups, ends):
    found = histograms({name: np.array(scores) for name, scores in groups.items()})
    assert {name: sum(counts) for name, counts in found["counts"].items()} == {k: len(v) for k, v in groups.items()}
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=0.01)
    pooled = np.concatenate(list(groups.values()))
    assert found["beyond"] == ((pooled < found["low"]) | (pooled > found["high"])).sum()


def test_the_footer_says_what_decided_the_run(drawn):
    header = {
        **drawn.header, "command": ["bench", "--id", "a b"], "weights": "ab12", "seed": 7, "limit": None, "own": [1],
        "templates": {"id": ["a {}", "the {}"]},
    }  # fmt: skip
    facts = dict(contents(Report(drawn.rows, header, drawn.answers))["facts"])
    assert facts["command"] == ["oodkit bench --id 'a b'"]
    assert (facts["weights (SHA-256)"], facts["seed"], facts["limit"], facts["own"]) == (
        ["ab12"],
        ["7"],
        ["none"],
        ["1"],
    )
    assert facts["templates"] == ['id: ["a {}", "the {}"]']
    assert facts["protocol"][0].startswith("native: ")
    assert any("torch" in line for line in facts["versions"])


def test_a_page_of_ten_scorers_four_sets_and_85000_images_is_below_eight_megabytes(large):
    report = large()
    assert sum(report.header["ood"].values()) + report.header["id"][0]["images"] == 85_640
    page = html_page(report)
    held = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    assert len(held["cases"]) == 40
    assert len(held["pictures"]) > 600
    assert len(page.encode()) < 8_000_000
