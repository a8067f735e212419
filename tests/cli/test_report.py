"""`oodkit report` and the options of `oodkit bench` that say how sure a number is."""

import csv
import io
import json
import re

import numpy as np
import pytest

from ood_toolkit import metrics

OOD = {"inaturalist": "OOD_iNaturalist", "sun": "OOD_Sun", "places": "OOD_Places", "texture": "OOD_Texture"}


@pytest.fixture
def toy(oodkit, tmp_path):
    """Ready scores of an ID and two OOD sets in the store, as model `toy`."""
    draw = np.random.default_rng(0)
    arrays = {
        name: draw.normal(mean, 1, n).round(2) for name, mean, n in (("i", 1.5, 80), ("o", 0, 60), ("q", 0.5, 50))
    }
    for name, scores in arrays.items():
        np.savez(tmp_path / f"{name}.npz", scores=scores)
        assert oodkit("import", name, tmp_path / f"{name}.npz", "--scores", "--model", "toy").code == 0
    return arrays


def bench(oodkit, *more):
    return oodkit("bench", "--id", "i", "--ood", "near=o,q", "--model", "toy", *more)


def by_set(result):
    return {row["ood"]: row["metrics"] for row in result["rows"]}


@pytest.mark.parametrize("model", ["clip_base_Vanilla_MCM", "clip_base_Vanilla_GL_MCM"])
def test_published_scores_come_out_of_a_saved_run_to_the_printed_digit(data, oodkit, tmp_path, model):
    folder = data / "scores" / "setar_imagenet1k"
    if not folder.is_dir():
        pytest.skip("no scores/setar_imagenet1k in the folder of real data")
    file, run = folder / f"{model}.npz", tmp_path / "run"
    for name in ("imagenet1k", *OOD):
        assert oodkit("import", name, file, "--scores", "--lower-is-id", "--model", model).code == 0
    done = oodkit("bench", "--id", "imagenet1k", "--ood", ",".join(OOD), "--model", model, "--output", run)
    assert done.code == 0, done.err
    printed = json.loads((folder / "metrics.json").read_text())[model]["published_by_authors"]
    found = by_set(oodkit("report", run, "--protocol", "mcm", "--format", "json").read)
    for name, theirs in OOD.items():
        assert round(100 * found[name]["auroc"], 2) == printed[theirs]["auroc"]
        assert round(100 * found[name]["ap_in"], 2) == printed[theirs]["aupr_in"]
        assert 100 * found[name]["fpr95_id"] == pytest.approx(printed[theirs]["fpr95"], abs=0.05)
    assert found["all"]["auroc"] == pytest.approx(np.mean([found[name]["auroc"] for name in OOD]))


def test_a_report_is_the_run_again_in_any_form(oodkit, toy, tmp_path):
    made = {style: bench(oodkit, "--format", style).out for style in ("table", "csv", "markdown", "latex")}
    first = bench(oodkit, "--format", "json", "--output", tmp_path / "run").read
    for style, text in made.items():
        assert oodkit("report", tmp_path / "run", "--format", style).out == text, style
    assert oodkit("report", tmp_path / "run", "--format", "json").read == first
    assert oodkit("report", tmp_path / "run", "--protocol", "native", "--format", "json").read == first


def test_another_protocol_is_that_of_bench(oodkit, toy, tmp_path):
    bench(oodkit, "--output", tmp_path / "run")
    again = oodkit("report", tmp_path / "run", "--protocol", "mcm", "--format", "json").read
    direct = bench(oodkit, "--protocol", "mcm", "--format", "json").read
    assert again["rows"] == direct["rows"]
    assert set(by_set(again)) == {"o", "q", "near", "all"}
    oodkit("report", tmp_path / "run", "--protocol", "mmc").is_refused("unknown name 'mmc'")


def test_intervals_are_the_same_in_bench_and_report(oodkit, toy, tmp_path):
    made = bench(oodkit, "--ci", "--ci-replicates", "40", "--format", "json", "--output", tmp_path / "run").read
    found, expected = by_set(made)["o"], metrics.intervals(toy["i"], toy["o"], replicates=40)
    for key, interval in expected.items():
        assert (found[f"{key}_low"], found[f"{key}_high"]) == (interval.low, interval.high)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == made
    bench(oodkit, "--output", tmp_path / "plain")
    again = oodkit("report", tmp_path / "plain", "--ci", "--ci-replicates", "40", "--format", "json").read
    assert again["rows"] == made["rows"]
    table = oodkit("report", tmp_path / "run").out
    cell = "{:.2f} [{:.1f}, {:.1f}]".format(*(100 * found[k] for k in ("auroc", "auroc_low", "auroc_high")))
    assert cell in table
    assert "in brackets 95 % intervals: DeLong for AUROC, else bootstrap with 40 replicates, seed 0" in table
    assert "[" not in next(line for line in table.splitlines() if " mean " in line)
    assert cell in oodkit("report", tmp_path / "run", "--format", "markdown").out
    rows = list(csv.DictReader(io.StringIO(oodkit("report", tmp_path / "run", "--format", "csv").out)))
    assert float(rows[0]["auroc_low"]) == found["auroc_low"]


@pytest.mark.parametrize("seen", [True, False])
def test_intervals_show_a_line_on_a_terminal_alone(oodkit, toy, tmp_path, monkeypatch, seen):
    bench(oodkit, "--output", tmp_path / "run")
    monkeypatch.setattr("sys.stderr.isatty", lambda: seen, raising=False)
    for words in (("report", tmp_path / "run"), ("bench", "--id", "i", "--ood", "o,q", "--model", "toy")):
        done = oodkit(*words, "--ci", "--ci-replicates", "5")
        assert done.code == 0
        assert ("intervals 1/" in done.err) == seen
        assert "intervals 1/" not in done.out
        assert not seen or done.err.endswith("\r\x1b[2K")
        assert seen or done.err == ""


def test_paired_tests_are_in_the_table_and_the_result(oodkit, tmp_path):
    run = tmp_path / "run"
    done = oodkit("bench", "--scorers", "msp,mcm", "--ood", "letters", "--limit", "60", "--paired", "--output", run)
    assert done.code == 0, done.err
    assert "AUROC, paired on the same images, against msp (%, points)" in done.out
    held = json.loads((run / "result.json").read_text())
    (test,) = held["paired"]
    assert (test["scorer"], test["against"]["scorer"], test["ood"]) == ("mcm", "msp", "letters")
    with (
        np.load(run / "scores" / "digits" / "test.npz") as inside,
        np.load(run / "scores" / "digits" / "ood_letters.npz") as outside,
    ):
        expected = metrics.delong_test(*(part["scores"][i] for i in (1, 0) for part in (inside, outside)))
    assert (test["difference"], test["low"], test["p"], test["p_holm"]) == (
        expected.value, expected.low, expected.p, expected.p
    )  # fmt: skip
    turned = oodkit("report", run, "--paired", "--against", "mcm", "--format", "json").read["paired"]
    assert turned[0]["difference"] == -test["difference"]
    assert oodkit("report", run).out == done.out
    assert r"\begin{tabular}{llrrr}" in oodkit("report", run, "--format", "latex").out


WRONG = (None, True, 3, 0.5, "x", [], ["x"], [3], [None], [{}], {}, {"x": 3}, {"x": {}}, {"x": ["y"]}, [[1]])
TEST = {"id": "i", "ood": "o", "scorer": "s", "auroc": 1, "difference": 0, "low": 0, "high": 0, "p_holm": 1}
PUBLISHED = {
    "scorer": "scores", "model": "toy", "kind": "ood", "id": "i", "ood": "o", "metric": "auroc", "measured": 1.0,
    "published": 2, "difference": None, "tolerance": None, "same_images": True, "verdict": "v", "method": "M",
    "published_model": "toy", "published_protocol": "mcm", "source": "s", "secondary": False, "note": "",
}  # fmt: skip
FULL = {
    "validation": {"i": "given"}, "notes": ["seen"], "encoding": {"i/test": {"notes": ["n"], "unreadable": {"a": "b"}}},
    "intervals": {"auroc": "DeLong", "others": "bootstrap", "confidence": 0.95, "replicates": 9, "seed": 0},
    "paired": [TEST | {"against": {"scorer": "t"}}], "published": [PUBLISHED], "preset": {"name": "p", "changed": []},
    "metrics": ["fpr90_id", "no such"],
    "groups": {"near": ["o"]}, "csid": {"name": "i+csid", "images": 9, "sets": [{"name": "c", "images": 1}]},
}  # fmt: skip


def mutations(value):
    """Give a JSON value with each thing in it, and the whole, left out or put in another's place."""
    yield from WRONG
    if isinstance(value, dict):
        for key, held in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: other} for other in mutations(held))
    if isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in mutations(value[0]))


@pytest.mark.parametrize("key", ["protocol", "id", "ood", "models", *FULL])
def test_a_header_that_was_tampered_with_is_shown_or_refused_in_a_line(oodkit, toy, tmp_path, key):
    bench(oodkit, "--output", tmp_path / "run")
    file = tmp_path / "run" / "result.json"
    good = json.loads(file.read_text()) | FULL
    if key == "models":
        own = ("id", "ood", "model", "notes")
        rest = {k: v for k, v in good.items() if k not in own}
        good = {**rest, "models": [{k: v for k, v in good.items() if k in own}]}
    file.write_text(json.dumps(good))
    done = oodkit("report", tmp_path / "run")
    assert done.code == 0, done.err
    refused = 0
    for value in mutations(good[key]):
        file.write_text(json.dumps({**good, key: value}))
        for words in ((), ("--format", "markdown"), ("--protocol", "mcm")):
            done = oodkit("report", tmp_path / "run", *words)
            assert done.code in (0, 1), (value, done.err)
            assert "Traceback" not in done.err
            assert done.err.count("\n") == done.code, (value, done.err)
            assert done.err.startswith("oodkit: ") == bool(done.code)
        refused += done.code
    assert refused > 8


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("protocol", "x", "protocol: unknown name 'x'"),
        ("intervals", 3, "intervals: expected an object with auroc, others, confidence, replicates and seed, got 3"),
        ("paired", {}, "paired: expected a list of objects with id, ood, scorer, auroc, difference"),
        ("notes", "x", "notes: expected a list of texts, got 'x'"),
        ("validation", ["i"], "validation: expected a text by ID set, got ['i']"),
        ("encoding", {"i/test": {}}, "encoding: expected objects with notes and unreadable, by set"),
        ("published", [PUBLISHED | {"id": []}], "published: expected a list of objects with id, str"),
        ("published", [PUBLISHED | {"same_images": 1}], "published: expected a list of objects with same_images, bool"),
    ],
)
def test_what_is_wrong_in_a_header_is_named(oodkit, toy, tmp_path, key, value, said):
    bench(oodkit, "--output", tmp_path / "run")
    file = tmp_path / "run" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    oodkit("report", tmp_path / "run").is_refused(said)


def test_what_is_no_run_or_no_scorer_is_refused(oodkit, toy, tmp_path):
    oodkit("report", tmp_path / "none").is_refused("expected a run folder, which holds result.json")
    bench(oodkit, "--output", tmp_path / "run")
    oodkit("report", tmp_path / "run", "--paired", "--against", "msp").is_refused("no scorer 'msp' in this run")
    (tmp_path / "run" / "scores" / "i" / "ood_q.npz").unlink()
    oodkit("report", tmp_path / "run", "--ci").is_refused("expected scores of every image, got none of 'ood:q'")
    for words in ("--against best", "--ci-replicates 10"):
        assert oodkit("report", tmp_path / "run", *words.split()).code == 2
    oodkit("bench", "--scorers", "msp,mcm", "--paired", "--against", "energy").is_refused(
        "--against: expected one of the scorers of this run, msp, mcm; got 'energy'"
    )


def test_the_order_of_scorers_is_asked_for(oodkit, tmp_path):
    from ood_toolkit.report import Report
    from ood_toolkit.report.results import Row

    rows = [Row("ood", name, "i", "o", metrics={"auroc": auroc}) for name, auroc in (("b", 0.5), ("a", 0.25))]
    Report(rows, {"protocol": "native", "id": [{"name": "i", "images": 2}], "ood": {"o": 2}}).save(tmp_path / "run")

    def shown(*words):
        done = oodkit("report", tmp_path / "run", *words)
        assert done.code == 0
        return re.findall(r"^\W*([ab])\b.*\d\d\.\d\d", done.out, re.MULTILINE), done.err

    assert shown() == (["b", "a"], "")
    assert shown("--sort", "name") == (["a", "b"], "")
    assert shown("--sort", "auroc", "--format", "markdown") == (["b", "a"], "")
    assert shown("--sort", "aurc")[0] == ["b", "a"]
    assert "this run has no aurc" in shown("--sort", "aurc")[1]
    refused = oodkit("report", tmp_path / "run", "--sort", "auroq")
    assert (refused.code, refused.out) == (2, "")
    assert "did you mean 'auroc'" in refused.err
    assert oodkit("bench", "--sort", "speed").code == 2


def test_metrics_are_asked_for_by_name(oodkit, toy, tmp_path):
    run = tmp_path / "run"
    made = bench(oodkit, "--metrics", "fpr@0.9,detection_error", "--metrics", "fpr80_ood", "--output", run)
    assert "FPR90(ID)  detection error  FPR80(OOD)" in made.out
    held = json.loads((run / "result.json").read_text())
    assert held["metrics"] == ["fpr90_id", "detection_error", "fpr80_ood"]
    assert by_set(held)["o"]["fpr90_id"] == metrics.fpr_at(toy["i"], toy["o"], 0.9)
    assert oodkit("report", run).out == made.out
    again = oodkit("report", run, "--protocol", "mcm", "--metrics", "fpr@0.99", "--format", "json").read
    assert again["metrics"] == [*held["metrics"], "fpr99_id"]
    assert by_set(again)["q"]["fpr99_id"] == metrics.fpr_at(toy["i"], toy["q"], 0.99)
    assert by_set(again)["all"]["fpr80_ood"] == by_set(held)["all"]["fpr80_ood"]
    lacking = oodkit("report", run, "--metrics", "macro_auroc,oscr").out
    assert "no macro_auroc: the images of o have no classes of their own" in lacking
    assert "no oscr: which predictions on ID are right is not known" in lacking
    for words, said in (("fpr@2", "level: expected"), ("aurocc", "did you mean 'auroc'")):
        refused = oodkit("report", run, "--metrics", words)
        assert refused.code == 2
        assert f"--metrics: {'unknown metric' if 'did' in said else ''}" in refused.err
        assert said in refused.err


def test_a_table_is_sorted_by_a_metric_that_the_run_lacks(oodkit, tmp_path):
    run = tmp_path / "run"
    oodkit("bench", "--scorers", "msp,energy,mcm", "--ood", "letters", "--limit", "50", "--output", run)
    plain, by_name = (oodkit("report", run, *words) for words in ((), ("--sort", "fpr@0.8")))
    assert by_name.err == ""
    assert "FPR80(ID)" not in plain.out
    cells = [
        float(cell)
        for cell in re.findall(
            r"^ (?:msp|energy|mcm) +letters .* (\d+\.\d\d) +\d+\.\d\d +\d+\.\d\d$", by_name.out, re.M
        )
    ]
    assert len(cells) == 3
    assert cells == sorted(cells)
    assert oodkit("report", run, "--sort", "detection_error").err == ""
    assert "did you mean 'fpr95_id'" in oodkit("report", run, "--sort", "fpr95").err
