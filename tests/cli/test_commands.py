import csv
import io
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import numpy as np
import pytest

from ood_toolkit.cli import COMMANDS

RNG = np.random.default_rng(0)
TEXT = RNG.normal(size=(3, 8)).astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])


@pytest.fixture
def put(tmp_path):
    def save(name, **arrays):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    return save


@pytest.fixture
def toys(oodkit, put):
    """Import an ID set of three classes with a few mistakes, and an OOD set."""
    labels = np.arange(60) % 3
    noise = np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)
    images = put("images", embeddings=TEXT[labels] + 0.9 * noise, labels=labels, classes=NAMES)
    assert oodkit("import", "toys", images, "--text", put("text", text=TEXT, classes=NAMES)).code == 0
    strange = np.random.default_rng(2).normal(size=(40, 8)).astype(np.float32)
    assert oodkit("import", "strange", put("strange", embeddings=strange)).code == 0


def arrays_of(file):
    with np.load(file, allow_pickle=False) as opened:
        return dict(opened)


def auroc(high, low):
    high, low = np.sort(np.asarray(high, dtype=np.float64)), np.sort(np.asarray(low, dtype=np.float64))
    below, upto = np.searchsorted(low, high, "left").sum(), np.searchsorted(low, high, "right").sum()
    return (below + upto) / 2 / (len(high) * len(low))


def one_line(done, *parts):
    done.is_refused(*parts)


# -- real vectors -------------------------------------------------------------------------------------------------


@pytest.fixture
def vit(data, oodkit):
    folder = data / "embeddings" / "openai_clip_vit_b32"
    for name, images, text in (
        ("cifar10", "image_cifar10_test500", "text_cifar10_a"),
        ("food101", "image_food101_10classes_test500", "text_food10_a"),
    ):
        assert oodkit("import", name, folder / f"{images}.npz", "--text", folder / f"{text}.npz").code == 0
    assert oodkit("import", "coco", folder / "image_coco128.npz").code == 0
    return folder


def test_the_command_of_the_card_word_for_word(vit, oodkit):
    done = oodkit("bench --scorers classwise,grid --id cifar10 --ood food101")
    assert done.code == 0
    assert done.err == ""
    assert "ID cifar10: 401 test images, accuracy 89.03 %" in done.out
    assert "validation: stratified 20 % of the test split, seed 0, 99 images" in done.out
    assert "OOD food101 (500)" in done.out
    head = next(line for line in done.out.splitlines() if "OOD set" in line)
    for column in ("AUROC", "FPR95(ID)", "AUPR-in", "ID accepted", "OOD detected"):
        assert column in head
    for spec in ("classwise", "grid"):
        assert len(re.findall(rf"^ {spec} +food101( +\d+\.\d\d){{5}}$", done.out, re.M)) == 1
        assert len(re.findall(rf"^ {spec}( +\d+\.\d\d){{4}}$", done.out, re.M)) == 1


def test_the_aurocs_of_all_images(vit, oodkit):
    line = "bench --scorers msp,maxlogit,mcm,classwise --id cifar10 --ood food101 --val-split 0"
    read = json.loads(oodkit(*line.split(), "--format", "json").out)
    rows = {r["scorer"]: r for r in read["rows"] if r["kind"] == "ood"}
    assert {s: round(rows[s]["metrics"]["auroc"], 4) for s in ("msp", "maxlogit", "mcm")} == {
        "msp": 0.9022, "maxlogit": 0.9958, "mcm": 0.9182,
    }  # fmt: skip
    assert {(rows[s]["n_id"], rows[s]["n_ood"]) for s in ("msp", "maxlogit", "mcm")} == {(500, 500)}
    assert read["id"] == [{"name": "cifar10", "images": 500, "accuracy": 0.896, "ece": pytest.approx(0.1021, abs=1e-4),
                           "head": "zero_shot"}]  # fmt: skip
    assert rows["classwise"]["status"] == "skipped"
    table = oodkit(*line.split())
    assert table.code == 0
    for text in (" accepted", " detected", "F1("):
        assert text not in table.out
    assert "classwise: skipped: needs val" in table.out


def test_two_models_and_their_combinations_side_by_side(vit, oodkit):
    line = "bench --scorers msp,classwise --id cifar10 --id food101 --ood coco --combiners all --format json"
    read = json.loads(oodkit(*line.split()).out)
    deciders = ["cifar10", "food101", "max-confidence", "vote", "mean-score"]
    rows = {(r["scorer"], r["decider"], r["id"]): r for r in read["rows"] if r["kind"] == "ood"}
    ids = [("cifar10", "cifar10"), ("cifar10", "union"), ("food101", "food101"), ("food101", "union")]
    assert set(rows) == {
        (s, d, i) for s in ("msp", "classwise") for d, i in [*ids, *[(d, "union") for d in deciders[2:]]]
    }
    n = {part["name"]: part["images"] for part in read["id"]}
    assert rows["msp", "vote", "union"]["n_id"] == rows["msp", "cifar10", "union"]["n_id"] == sum(n.values())
    for row in rows.values():
        assert row["status"] == "ok"
        assert {"id_accepted", "ood_detected"} <= set(row["metrics"])
    right = {r["decider"]: r for r in read["rows"] if r["kind"] == "misclassification" and r["id"] == "union"}
    assert set(right) == set(deciders)
    table = oodkit(*line.replace(" --format json", "").split()).out
    for decider in deciders:
        assert re.search(rf"^ msp +{decider} +union", table, re.M)
    # A single model is nearly always wrong on the other's images; together they are not.
    assert (
        rows["msp", "max-confidence", "union"]["metrics"]["auroc"] > rows["msp", "cifar10", "union"]["metrics"]["auroc"]
    )


def test_a_linear_head_and_ready_logits_against_numpy(data, oodkit):
    folder = data / "logits" / "resnet_cifar10"
    head = folder / "resnet20_head.npz"
    assert oodkit("import", "cifar10", folder / "resnet20_cifar10_test.npz", "--head", head).code == 0
    assert oodkit("import", "tin", folder / "resnet20_tiny_imagenet_val.npz").code == 0
    done = oodkit("bench --scorers msp,energy,knn --id cifar10 --ood tin --val-split 0 --format json")
    read = json.loads(done.out)
    rows = {r["scorer"]: r for r in read["rows"] if r["kind"] == "ood"}
    files = [arrays_of(folder / f"resnet20_{n}.npz") for n in ("cifar10_test", "tiny_imagenet_val")]
    scores = {"msp": [], "energy": []}
    for z in (f["logits"].astype(np.float64) for f in files):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        scores["msp"].append((e / e.sum(axis=1, keepdims=True)).max(axis=1))
        scores["energy"].append(z.max(axis=1) + np.log(e.sum(axis=1)))
    for spec, (test, ood) in scores.items():
        assert rows[spec]["metrics"]["auroc"] == pytest.approx(auroc(test, ood), abs=1e-7)
    known = json.loads((folder / "reference_metrics.json").read_text())["resnet20"]["tiny_imagenet_val"]
    for spec in scores:
        assert rows[spec]["metrics"]["auroc"] == pytest.approx(known[f"{spec}_auroc"], abs=2e-4)
    classes = arrays_of(head)["classes"]
    assert (
        read["id"][0]["accuracy"] == (classes[files[0]["logits"].argmax(axis=1)] == files[0]["names"]).mean() == 0.8103
    )
    assert (rows["knn"]["status"], done.code) == ("skipped", 0)


def test_ready_scores_give_the_authors_digits(data, oodkit):
    folder = data / "scores" / "setar_imagenet1k"
    published = json.loads((folder / "metrics.json").read_text())["clip_base_Vanilla_MCM"]["published_by_authors"]
    file = folder / "clip_base_Vanilla_MCM.npz"
    sets = {"inaturalist": "OOD_iNaturalist", "sun": "OOD_Sun", "places": "OOD_Places", "texture": "OOD_Texture"}
    for name in ("imagenet1k", *sets):
        done = oodkit("import", name, file, "--scores", "--lower-is-id", "--model", "mcm-b16")
        assert done.code == 0
    done = oodkit("bench", "--id", "imagenet1k", "--ood", ",".join(sets), "--format", "json")
    rows = {r["ood"]: r for r in json.loads(done.out)["rows"]}
    for name, theirs in {**sets, "all": "Avg"}.items():
        got = rows[name]["metrics"]
        assert abs(100 * got["auroc"] - published[theirs]["auroc"]) < 0.00501
        assert abs(100 * got["aupr_in"] - published[theirs]["aupr_in"]) < 0.00501
        assert abs(100 * got["fpr95_id"] - published[theirs]["fpr95"]) < 0.05
    turned = oodkit("import", "sun", file, "--scores", "--model", "mcm-b16", "--replace")
    assert turned.code == 0
    done = oodkit("bench", "--id", "imagenet1k", "--ood", "sun", "--format", "json")
    assert json.loads(done.out)["rows"][0]["metrics"]["auroc"] != rows["sun"]["metrics"]["auroc"]
    one_line(oodkit("score", "msp", "--id", "imagenet1k"), "only ready scores were imported under model 'mcm-b16'")


# -- the embedded default -----------------------------------------------------------------------------------------


def test_the_default_runs_on_real_pictures(oodkit, tmp_path):
    done = oodkit("bench", "--output", tmp_path / "run")
    assert done.code == 0
    assert re.fullmatch(r"encoded 2,240 images in [0-9.]+ s; 0 were in the store\n", done.err)
    assert "ID digits: 360 test images" in done.out
    assert "OOD letters (720), patches (800)" in done.out
    assert "model digits-clip" in done.out
    read = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [r["scorer"] for r in read["rows"] if r["kind"] == "misclassification"] == [
        "classwise", "grid", "mean", "msp", "mcm",
    ]  # fmt: skip
    assert [r["ood"] for r in read["rows"][:3]] == ["letters", "patches", "all"]
    assert read["id"][0]["accuracy"] >= 0.97
    assert read["validation"] == {"digits": "the set's own split"}
    assert not [r for r in read["rows"] if any("text tower" in note for note in r["notes"])]
    held = {name: arrays_of(tmp_path / "run" / "scores" / "digits" / f"{name}.npz") for name in ("test", "ood_letters")}
    place = held["test"]["scorers"].tolist().index("msp")
    row = next(r for r in read["rows"] if (r["scorer"], r["ood"]) == ("msp", "letters"))
    assert row["metrics"]["auroc"] == pytest.approx(auroc(*(h["scores"][place] for h in held.values())), abs=1e-12)
    assert held["test"]["ids"][0].startswith("digits/")
    again = oodkit("bench", "--output", tmp_path / "run")
    one_line(again, "expected a new or empty folder")


def test_the_no_texts_of_the_model_serve_clipn(oodkit):
    done = oodkit("bench --scorers clipn-ctw,clipn-atd --limit 60 --format json")
    rows = [r for r in json.loads(done.out)["rows"] if r["kind"] == "ood"]
    assert [(r["scorer"], r["status"], r["n_id"], r["n_ood"]) for r in rows] == [
        (s, "ok", 60, 60) for s in ("clipn-ctw", "clipn-atd") for _ in range(2)
    ]
    assert min(r["metrics"]["auroc"] for r in rows) > 0.7


def test_training_images_are_used_where_a_scorer_needs_them(oodkit):
    done = oodkit("bench --scorers knn:k=5,mahalanobis --limit 50 --format json")
    rows = json.loads(done.out)["rows"]
    assert {r["status"] for r in rows} == {"ok"}


def test_every_format_says_the_same(oodkit, toys):
    line = ["bench", "--scorers", "msp,classwise", "--id", "toys", "--ood", "strange", "--format"]
    read = json.loads(oodkit(*line, "json").out)
    lines = list(csv.DictReader(io.StringIO(oodkit(*line, "csv").out)))
    assert [float(r["auroc"]) for r in lines] == [r["metrics"]["auroc"] for r in read["rows"]]
    shown = f"{100 * read['rows'][0]['metrics']['auroc']:.2f}"
    for style, start in (("table", "ID toys"), ("markdown", "- ID toys"), ("latex", "% OOD detection")):
        done = oodkit(*line, style)
        assert done.out.startswith(start)
        assert shown in done.out
        assert done.code == 0
    assert oodkit(*line, "html").code == 2


def test_the_table_fits_a_terminal_of_80(oodkit, toys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = oodkit("bench", "--scorers", "all", "--id", "toys", "--ood", "strange").out
    assert max(map(len, out.splitlines())) <= 80


def test_seed_and_limit_decide_which_images(oodkit, toys):
    def ask(*more):
        line = ("bench", "--scorers", "msp,classwise", "--id", "toys", "--ood", "strange", "--format", "json", *more)
        read = json.loads(oodkit(*line).out)
        return [{k: r[k] for k in ("scorer", "n_id", "n_ood", "metrics")} for r in read["rows"]]

    assert ask() == ask("--seed", "0")
    assert ask("--seed", "3") == ask("--seed", "3") != ask()
    assert ask("--limit", "20") == ask("--limit", "20") != ask("--limit", "20", "--seed", "1")
    assert {(r["n_id"] + 4, r["n_ood"]) for r in ask("--limit", "20") if r["n_ood"]} == {(20, 20)}
    assert ask("--limit", "1000") == ask()


def test_groups_have_means(oodkit, toys, put):
    assert oodkit("import", "odd", put("odd", embeddings=RNG.normal(size=(9, 8)) + 3)).code == 0
    line = "bench --scorers msp --id toys --ood near=strange --ood far=odd,strange --format json"
    rows = json.loads(oodkit(*line.split()).out)["rows"]
    by = {r["ood"]: r["metrics"]["auroc"] for r in rows if r["kind"] == "ood"}
    means = {r["ood"]: r["metrics"]["auroc"] for r in rows if r["kind"] == "mean"}
    both = (by["strange"] + by["odd"]) / 2
    assert list(by) == ["strange", "odd"]
    assert means == pytest.approx({"near": by["strange"], "far": both, "all": both})
    table = oodkit(*line.split()[:-2]).out
    assert re.search(r"mean near +\d", table)
    assert re.search(r"mean far +\d", table)


def test_prompts_from_the_line_and_from_a_file(oodkit, tmp_path):
    (tmp_path / "prompts.txt").write_text("a drawing of a {}\n\nthe number {}\n")

    def ask(*prompts):
        line = ["score", "maxlogit", "--id", "digits", "--limit", "30", "--val-split", "0"]
        return oodkit(*line, *(part for p in prompts for part in ("--prompts", p))).out

    default, number = ask(), ask("the number {}")
    assert ask("a photo of a {}") == default != number
    both = ask("a drawing of a {}", "the number {}")
    assert both == ask(tmp_path / "prompts.txt")
    assert both not in (default, number)
    line = ["bench", "--scorers", "msp", "--ood", "patches", "--limit", "20", "--format", "json"]
    assert json.loads(oodkit(*line, "--prompts", "the {}").out)["prompts"] == '"the {}"'
    for content in (b"", b"\n\n", b"\xff\xfe{}"):
        (tmp_path / "prompts.txt").write_bytes(content)
        one_line(oodkit(*line, "--prompts", tmp_path / "prompts.txt"), "--prompts: expected")


# -- score --------------------------------------------------------------------------------------------------------


def test_scores_as_csv(oodkit, toys, tmp_path):
    done = oodkit("score", "msp", "--id", "toys")
    lines = list(csv.DictReader(io.StringIO(done.out)))
    assert list(lines[0]) == ["id", "prediction", "label", "confidence", "score", "in_distribution"]
    assert len(lines) == 48
    file = arrays_of(tmp_path / "images.npz")
    images = file["embeddings"].astype(np.float64)
    z = (
        100
        * images
        / np.linalg.norm(images, axis=1, keepdims=True)
        @ (TEXT / np.linalg.norm(TEXT, axis=1, keepdims=True)).T
    )
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = [int(line["id"].rpartition("/")[2]) for line in lines]
    val = np.setdiff1d(np.arange(60), rows)
    cut = np.sort(p[val].max(axis=1))[::-1][-(-95 * len(val) // 100) - 1]
    for line, row in zip(lines, rows, strict=True):
        assert line["prediction"] == NAMES[p[row].argmax()]
        assert line["label"] == NAMES[file["labels"][row]]
        assert float(line["score"]) == float(line["confidence"]) == pytest.approx(p[row].max(), abs=1e-4)
        assert line["in_distribution"] == str(p[row].max() >= cut)
    assert oodkit("score", "msp", "--id", "toys", "--output", tmp_path / "s.csv").out == ""
    assert (tmp_path / "s.csv").read_text() == done.out
    margins = list(csv.DictReader(io.StringIO(oodkit("score", "classwise", "--id", "toys", "--split", "val").out)))
    assert len(margins) == 12
    assert all((float(line["score"]) >= 0) is (line["in_distribution"] == "True") for line in margins)
    bare = list(csv.DictReader(io.StringIO(oodkit("score", "msp", "--id", "toys", "--val-split", "0").out)))
    assert len(bare) == 60
    assert {line["in_distribution"] for line in bare} == {""}


def test_score_with_wrong_input(oodkit, toys):
    one_line(oodkit("score", "mps", "--id", "toys"), "unknown scorer 'mps'; did you mean 'msp'?")
    one_line(oodkit("score", "msp:k=3", "--id", "toys"), "msp: unknown parameter 'k'")
    one_line(oodkit("score", "classwise", "--id", "toys", "--val-split", "0"), "classwise: needs val")
    one_line(oodkit("score", "knn", "--id", "toys"), "knn: needs train")
    one_line(oodkit("score", "msp", "--id", "toys", "--split", "train"), "toys: has no train split")
    one_line(oodkit("score", "msp", "--id", "strange"), "embeddings without texts or weights give no logits")
    assert "not here: toy (did you mean 'toys'?)." in oodkit("score", "msp", "--id", "toy").err
    assert oodkit("score", "msp").code == 2


# -- wrong input --------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize(
    "line",
    [
        "nothing", "bench --nothing", "bench --ood ,", "bench --ood =letters", "bench --ood near=",
        "bench --combiners all", "bench --id digits", "bench --val-split 1", "bench --val-split x",
        "bench --limit 0", "bench --seed -1", "import", "import a", "import a b --split all",
        "import a b --key k", "import a b --lower-is-id", "import a b --scores --text t",
        "import a b --text t --head h", "plugins extra",
    ],
)  # fmt: skip
def test_wrong_usage_exits_2(oodkit, line):
    done = oodkit(*line.split())
    assert done.code == 2
    assert done.out == ""
    assert "Error: " in done.err


@pytest.mark.quick
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bench --scorers mps", "unknown scorer 'mps'; did you mean 'msp'?"),
        ("bench --scorers knn:kk=3", "knn: unknown parameter 'kk'; did you mean 'k'?"),
        ("bench --scorers knn:k=many", "knn: k: expected int, got 'many'"),
        ("bench --scorers classwise:base=(knn", "a parenthesis is not closed"),
        ("bench --scorers classwise:rule=tpt", "unknown rule 'tpt'; did you mean 'tpr'?"),
        ("bench --scorers ,", "expected at least one scorer"),
        (
            "bench --id digits --id letters --ood patches --combiners vot",
            "unknown combiner 'vot'; did you mean 'vote'?",
        ),
        ("bench --id digits --ood digits", "digits: named after --id and --ood"),
        ("bench --id patches --ood letters", "patches: has no classes"),
        ("bench --model digits-clp", "unknown model 'digits-clp'; did you mean 'digits-clip'?"),
        ("bench --prompts photo", "--prompts: expected a template with {}, a file with one a line, or own, simple"),
        ("bench --prompts {}{}", "--prompts: expected {} once in each template"),
        ("bench --device nowhere", "--device: 'nowhere' cannot be used here"),
        ("bench --protocol nativ", "did you mean 'native'?"),
        ("bench --id letters --ood patches --limit 1", "letters: 1 image is too few to split"),
        ("import a gone.npz", "gone.npz: no such file"),
        ("import a gone.npz --scores", "gone.npz: no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(oodkit, line, said):
    one_line(oodkit(*line.split()), said)


def test_sets_that_are_not_here_are_one_message(oodkit, tmp_path):
    done = oodkit("bench --id cats --ood dogs")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("oodkit: not here: cats, dogs (did you mean 'digits'?).\n")
    assert str(tmp_path / "store") in done.err
    assert "\n  oodkit import cats FILE.npz" in done.err
    assert "\n  oodkit import dogs FILE.npz" in done.err
    assert "Here: digits, letters, patches" in done.err
    head = "oodkit: 2 of the {} things that this run needs are not here\n"
    nameless = oodkit("bench --id cifar10 --ood food101").err
    assert nameless.startswith(head.format(2))
    assert "\n  no model was named, and the store holds cifar10, food101 of none: pass --model" in nameless
    both = oodkit("bench --id cifar10 --ood food101 --model digits-clip").err
    assert both.startswith(head.format(3))
    for said in (nameless, both):
        assert "\n  data set cifar10: no test images below data;" in said
        assert "\n  data set food101: no test images below data;" in said
    assert oodkit("encode cats --model digits-clip").err.startswith("oodkit: not here: cats.")
    assert "did you mean 'digits'?" in oodkit("bench", "--id", "digit", "--ood", "letters").err
    assert not (tmp_path / "store").exists()


def test_import_with_wrong_files(oodkit, put, tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    one_line(oodkit("import", "a", tmp_path / "text.npz"), "expected an .npz file of plain arrays")
    one_line(oodkit("import", "a", put("nan", embeddings=np.full((2, 3), np.nan))), "expected finite numbers, got nan")
    one_line(oodkit("import", "a", put("none", embeddings=np.zeros((0, 3)))), "at least one row")
    one_line(oodkit("import", "a", put("object", embeddings=np.array([{}]))), "arrays of Python objects are not read")
    one_line(oodkit("import", "a,b", put("fine", embeddings=TEXT)), "set name: expected a word without comma")
    assert oodkit("import", "a", put("fine", embeddings=TEXT)).code == 0
    assert oodkit("import", "a", put("fine", embeddings=TEXT)).code == 0
    one_line(oodkit("import", "a", put("other", embeddings=-TEXT)), "pass --replace")
    assert oodkit("import", "a", put("other", embeddings=-TEXT), "--replace").code == 0


def test_sets_of_another_width_are_refused(oodkit, toys, put):
    assert oodkit("import", "wide", put("wide", embeddings=np.ones((4, 9)))).code == 0
    one_line(oodkit("bench --id toys --ood wide"), "wide: features: expected width 8", "they are of another model")


def test_one_class_one_image_and_no_mistakes(oodkit, toys, put):
    one = put("one", embeddings=np.ones((1, 8)), labels=np.arange(1) * 99)
    assert oodkit("import", "one", one).code == 0
    single = put(
        "single", embeddings=RNG.normal(size=(30, 8)), text=TEXT[:1], classes=NAMES[:1], labels=np.zeros(30, int)
    )
    assert oodkit("import", "single", single).code == 0
    done = oodkit("bench --scorers all --id single --ood one,strange")
    assert done.code == 0
    assert "predictions are right: nothing to tell apart" in " ".join(done.out.split())
    assert "nan" not in done.out
    assert oodkit("bench --scorers all --id toys --ood one").code == 0


def test_debug_shows_the_traceback(oodkit):
    quiet, loud = oodkit("bench", "--scorers", "mps"), oodkit("--debug", "bench", "--scorers", "mps")
    assert "Traceback" not in quiet.err
    assert "Traceback (most recent call last)" in loud.err
    assert (quiet.code, loud.code) == (1, 1)
    assert loud.err.endswith(quiet.err)


def test_nothing_could_run_is_exit_1_and_some_skipped_is_exit_0(oodkit, toys):
    line = ["bench", "--id", "toys", "--ood", "strange", "--scorers"]
    none = oodkit(*line, "knn,mahalanobis")
    assert none.code == 1
    assert none.err == "oodkit: no scorer could run; see the notes above\n"
    assert "knn: skipped: needs train" in none.out
    assert oodkit(*line, "knn,msp").code == 0
    failed = oodkit("import", "toys", "--split", "train", os.devnull)
    assert failed.code == 1


def test_a_scorer_that_fails_is_exit_1_and_the_rest_is_shown(oodkit, toys, put):
    train = put("train", embeddings=TEXT, labels=np.arange(3), classes=NAMES)
    assert oodkit("import", "toys", train, "--split", "train").code == 0
    done = oodkit("bench --id toys --ood strange --scorers knn:k=9,msp")
    assert done.code == 1
    assert done.err == "oodkit: knn:k=9 failed: built-in: knn: k=9, but there are only 3 training images; lower k\n"
    assert re.search(r"^ msp +strange", done.out, re.M)
    assert "knn:k=9: failed: built-in: knn" in done.out


# -- listings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["scorers", "combiners", "datasets", "models", "plugins"])
def test_every_listing_is_json_on_request(oodkit, toys, kind):
    rows = json.loads(oodkit(kind, "--json").out)
    names = [row["name"] for row in rows]
    known = {
        "scorers": {"classwise", "msp", "knn"},
        "combiners": {"max-confidence", "vote", "mean-score"},
        "datasets": {"digits", "letters", "patches", "toys", "strange"},
        "models": {"digits-clip", "imported"},
        "plugins": {"built-in"},
    }
    assert known[kind] <= set(names)
    text = oodkit(kind).out
    for row in rows:
        assert row["name"] in text
        assert row["what"]


def test_the_listings_say_what_is_what(oodkit, toys):
    scorers = {row["name"]: row for row in json.loads(oodkit("scorers", "--json").out)}
    assert scorers["knn"]["needs"] == ["features", "train"]
    assert scorers["knn"]["parameters"] == {"k": "50"}
    assert scorers["classwise"]["parameters"]["base"] == "msp"
    assert "2204.06507" in scorers["knn"]["source"]
    sets = {row["name"]: row for row in json.loads(oodkit("datasets", "--json").out)}
    assert sets["digits"]["images"] == {"train": 1077, "val": 360, "test": 360}
    assert sets["toys"]["images"] == {"test": 60}
    assert sets["toys"]["held as"] == "arrays of imported"


def test_help_names_every_command(oodkit):
    done = oodkit("--help")
    assert done.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.out, re.M)
        shown = oodkit(name, "--help")
        assert shown.code == 0
    assert re.fullmatch(r"oodkit, version \d+\.\d+\.\d+\n", oodkit("--version").out)


@pytest.mark.parametrize("group", ["store", "train"])
def test_a_group_without_a_command_shows_its_help(oodkit, group):
    done = oodkit(group)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == oodkit(group, "--help").out.splitlines()


def test_every_option_has_help():
    from ood_toolkit.cli import cli

    context = click.Context(cli)
    for name in COMMANDS:
        for option in cli.get_command(context, name).params:
            assert isinstance(option, click.Argument) or option.help, f"{name} {option.name}"


def test_a_damaged_store_is_named(oodkit, toys, tmp_path):
    alias = tmp_path / "store" / "names" / "imported" / "toys.test.json"
    key = json.loads(alias.read_text())["key"]
    (tmp_path / "store" / "arrays" / key / "features.npy").write_bytes(b"\x93NUMPY")
    one_line(oodkit("bench --id toys --ood strange"), "toys (test): its arrays are damaged or gone")
    alias.write_text("{")
    one_line(oodkit("bench --id toys --ood strange"), "toys.test.json: damaged entry")
    assert oodkit("datasets").code == 0  # which needs no single entry


# -- plugins ------------------------------------------------------------------------------------------------------

THIRD_PARTY = '''
"""Nearest: somebody's score, nowhere, 2030."""

from dataclasses import dataclass

import click

from ood_toolkit import Scorer, hookimpl


@dataclass
class Nearest(Scorer):
    """Largest cosine, as somebody found."""

    factor: float = 1.0

    name = "nearest"
    group = "clip"
    needs = frozenset({"zero_shot"})

    def score(self, x):
        return x.cosine.max(dim=1).values * self.factor


@hookimpl
def register_scorers():
    return [Nearest]


@hookimpl
def register_commands(cli):
    cli.add_command(click.Command("hello", callback=lambda: click.echo("hello")))
'''

FAULTY = """
from dataclasses import dataclass
from ood_toolkit import Scorer, hookimpl

@dataclass
class {name}(Scorer):
    name = "{slug}"
    needs = frozenset({{"logits"}})
    def score(self, x):
        raise ZeroDivisionError("halved by nothing")

@hookimpl
def {hook}():
    return [{name}]
"""


@pytest.fixture
def install(tmp_path):
    """Install distributions with one plugin module each, as pip would leave them, and give their PYTHONPATH."""
    folders = []

    def put_module(plugin: str, source: str) -> str:
        folder = tmp_path / f"dist_{plugin}"
        info = folder / f"oodkit_{plugin}-1.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"oodkit_{plugin}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: oodkit-{plugin}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[ood_toolkit]\n{plugin} = oodkit_{plugin}\n")
        folders.append(str(folder))
        return os.pathsep.join(folders)

    return put_module


def test_a_plugin_of_25_lines_is_listed_and_runs(install, toys, oodkit, elsewhere):
    path = install("near", textwrap.dedent(THIRD_PARTY))
    listed = {row["name"]: row for row in json.loads(elsewhere(path, "scorers", "--json").out)}
    assert listed["nearest"] == {
        "name": "nearest",
        "group": "clip",
        "needs": ["zero_shot"],
        "parameters": {"factor": "1.0"},
        "plugin": "near",
        "what": "Largest cosine, as somebody found.",
        "source": "Nearest: somebody's score, nowhere, 2030.",
    }
    line = ["bench", "--id", "toys", "--ood", "strange", "--format", "json", "--scorers"]
    done = elsewhere(path, *line, "nearest:factor=2,maxlogit")
    assert done.code == 0
    mine, theirs = (r["metrics"] for r in json.loads(done.out)["rows"] if r["kind"] == "ood")
    assert mine["auroc"] == pytest.approx(theirs["auroc"], abs=1e-6)
    assert elsewhere(path, "hello").out == "hello\n"
    assert "hello" in elsewhere(path, "--help").out
    one_line(oodkit("score", "nearest", "--id", "toys"), "unknown scorer 'nearest'")


def test_plugins_broken_in_four_ways(install, toys, elsewhere):
    install("raises", "raise RuntimeError('no licence')")
    install("misspelt", FAULTY.format(name="One", slug="one", hook="register_scorer"))
    install("thief", FAULTY.format(name="Thief", slug="mcm", hook="register_scorers"))
    path = install("divides", FAULTY.format(name="Divides", slug="divides", hook="register_scorers"))
    listing = elsewhere(path, "plugins", "--json")
    assert listing.code == 0
    errors = {row["name"]: row["error"] for row in json.loads(listing.out)}
    assert errors["raises"] == "RuntimeError: no licence (oodkit_raises.py:1)"
    assert errors["misspelt"] == "no such hook 'register_scorer'; did you mean 'register_scorers'?"
    clash = "scorer 'mcm' is disabled: plugins 'built-in' and 'thief' both provide it"
    assert errors["thief"] == errors["built-in"] == clash
    assert errors["divides"] is None

    line = ["bench", "--id", "toys", "--ood", "strange", "--scorers"]
    assert elsewhere(path, *line, "msp").code == 0
    asked = elsewhere(path, *line, "msp,mcm")
    assert (asked.code, asked.err) == (1, f"oodkit: mcm failed: {clash}\n")
    assert re.search(r"^ msp +strange", asked.out, re.M)
    assert elsewhere(path, *line, "clip").code == 1
    assert elsewhere(path, *line, "thresholds").code == 0
    unknown = elsewhere(path, *line, "one")
    one_line(
        unknown, "unknown scorer 'one'", "plugin 'misspelt' is out of service", "plugin 'raises' is out of service"
    )
    failed = elsewhere(path, *line, "divides,msp")
    assert failed.code == 1
    assert (
        failed.err == "oodkit: divides failed: divides: ZeroDivisionError: halved by nothing (oodkit_divides.py:10)\n"
    )
    assert re.search(r"^ msp +strange", failed.out, re.M)
    fitted = elsewhere(path, "fit", "divides", "--id", "toys", "-o", "divides.oodkit")
    one_line(fitted, "divides: divides: ZeroDivisionError: halved by nothing (oodkit_divides.py:10)")


def test_a_plugin_whose_data_set_cannot_be_had_leaves_the_listings_alone(install, monkeypatch, oodkit):
    source = """
        from ood_toolkit import hookimpl
        @hookimpl
        def register_datasets():
            return {"lost": "a_module_that_is_missing:LOST"}
        @hookimpl
        def register_models():
            return {"gone": "a_module_that_is_missing:GONE"}
    """
    monkeypatch.delenv("OODKIT_NO_PLUGINS")
    for folder in install("lost", textwrap.dedent(source)).split(os.pathsep):
        monkeypatch.syspath_prepend(folder)
    for kind, name, known in (("datasets", "lost", "digits"), ("models", "gone", "digits-clip")):
        rows = {row["name"]: row for row in json.loads(oodkit(kind, "--json").out)}
        assert rows[name]["what"].startswith(f"plugin 'lost': cannot import '{name}': ModuleNotFoundError")
        assert known in rows
        assert oodkit(kind).code == 0


def test_the_installed_command_is_the_same_program():
    program = Path(sys.executable).with_name("oodkit")
    if not program.is_file():
        pytest.skip("the package is not installed beside this Python, so there is no oodkit command")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("oodkit, version ")
