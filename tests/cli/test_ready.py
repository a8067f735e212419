"""`oodkit bench --scores`: imported ready scores stand beside built-in ones, matched by the ids of images."""

import csv
import json

import numpy as np
import pytest

from ood_toolkit import metrics

IDS = [f"toys/{place}.png" for place in range(60)]
RUN = ("bench", "--id", "toys", "--ood", "odd", "--model", "toy", "--scorers", "msp,energy", "--scores", "mine")


@pytest.fixture
def put(oodkit, tmp_path):
    def put(name, *more, **arrays):
        np.savez(tmp_path / "arrays.npz", **arrays)
        return oodkit("import", name, tmp_path / "arrays.npz", *more)

    return put


@pytest.fixture
def toys(put):
    """Import logits of an ID and an OOD set with ids, and scores of the same images in another order."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(60, 3)) * 3
    odd = draw.normal(size=(40, 3))
    assert put("toys", "--model", "toy", logits=logits, labels=np.arange(60) % 3, ids=IDS).code == 0
    assert put("odd", "--model", "toy", logits=odd, ids=[f"odd/{i}" for i in range(40)]).code == 0
    mine = {"toys": draw.normal(1, 1, 60), "odd": draw.normal(0, 1, 40)}
    backwards = dict(zip(IDS[::-1], mine["toys"][::-1], strict=True)) | {"toys/more.png": 9.0}
    scores = {"scores": list(backwards.values()), "ids": list(backwards)}
    assert put("toys", "--scores", "--model", "mine", **scores).code == 0
    ids = [f"odd/{i}" for i in range(40)]
    assert put("odd", "--scores", "--model", "mine", scores=mine["odd"], ids=ids).code == 0
    return mine


def test_they_stand_beside_and_are_tested_on_the_same_images(oodkit, toys, tmp_path):
    words = (*RUN, "--val-split", "0", "--paired", "--against", "mine", "--output", tmp_path / "run")
    run = oodkit(*words, "--format", "json").read
    rows = {row["scorer"]: row for row in run["rows"] if row["kind"] == "ood"}
    assert list(rows) == ["msp", "energy", "mine"]
    assert rows["mine"]["metrics"]["auroc"] == metrics.auroc(toys["toys"], toys["odd"])
    assert run["ready"] == {"mine": {"toys": "arrays.npz", "odd": "arrays.npz"}}
    assert [(test["scorer"], test["against"]["scorer"]) for test in run["paired"]] == [
        ("msp", "mine"),
        ("energy", "mine"),
    ]
    with np.load(tmp_path / "run" / "scores" / "toys" / "test.npz") as held:
        assert held["ids"].tolist() == IDS
        np.testing.assert_array_equal(held["scores"][held["scorers"].tolist().index("mine")], toys["toys"])
    assert " mine " in oodkit("report", tmp_path / "run").out
    compared = oodkit("compare", tmp_path / "run", "--against", "mine", "--format", "json").read
    assert {row["scorer"] for row in compared} == {"msp", "energy"}


def test_only_the_images_that_are_tested_count(oodkit, toys):
    run = oodkit(*RUN, "--limit", "30", "--format", "json").read
    row = next(row for row in run["rows"] if (row["scorer"], row["kind"]) == ("mine", "ood"))
    msp = next(row for row in run["rows"] if (row["scorer"], row["kind"]) == ("msp", "ood"))
    assert (row["n_id"], row["n_ood"]) == (msp["n_id"], msp["n_ood"])
    assert row["n_id"] < 30
    assert "id_accepted" in msp["metrics"]
    assert "id_accepted" not in row["metrics"]


def test_a_model_is_found_without_its_name_and_scores_by_the_ids_that_score_prints(oodkit, put, tmp_path):
    for name, more in (("digits", ()), ("letters", ("--images", "letters"))):
        out = tmp_path / f"{name}.csv"
        done = oodkit("score", "energy", "--id", "digits", *more, "--limit", "30", "--output", out)
        assert done.code == 0
        rows = list(csv.DictReader(out.read_text().splitlines()))
        scores = [float(row["score"]) for row in rows]
        assert put(name, "--scores", "--model", "mine", scores=scores, ids=[row["id"] for row in rows]).code == 0
    run = oodkit("bench", "--ood", "letters", "--scorers", "energy", "--scores", "mine", "--limit", "30", "--format",
                 "json").read  # fmt: skip
    assert run["model"] == "digits-clip"
    rows = {row["scorer"]: row["metrics"] for row in run["rows"] if row["kind"] == "ood"}
    shown = {key: value for key, value in rows["energy"].items() if key not in ("id_accepted", "ood_detected")}
    assert rows["mine"] == shown


def test_nameless_scores_go_with_nameless_images_of_the_same_number_alone(oodkit, put):
    logits = np.eye(3)[np.arange(30) % 3]
    assert put("toys", "--model", "toy", logits=logits).code == 0
    assert put("odd", "--model", "toy", logits=logits[:20]).code == 0
    scores = np.arange(30.0)
    assert put("toys", "--model", "mine", "--scores", scores=scores).code == 0
    assert put("odd", "--model", "mine", "--scores", scores=scores[:20]).code == 0
    rows = json.loads(oodkit(*RUN, "--val-split", "0", "--format", "json").out)["rows"]
    row = next(row for row in rows if row["scorer"] == "mine")
    assert row["metrics"]["auroc"] == metrics.auroc(scores, scores[:20])
    assert put("odd", "--model", "mine", "--scores", "--replace", scores=scores).code == 0
    oodkit(*RUN).is_refused("--scores mine: its scores of odd have no ids, and there are 30 for 20 images")


def test_what_is_not_there_or_not_of_the_same_images_is_refused(oodkit, toys, put):
    oodkit(*RUN[:-1], "mind").is_refused("no ready scores of toys, odd under this label (did you mean 'mine'?)",
                                         "oodkit import toys FILE.npz --scores --model mind")  # fmt: skip
    oodkit(*RUN[:-1], "toy").is_refused("--scores toy: no ready scores of toys, odd under this label")
    oodkit(*RUN, "--scorers", "mine").is_refused("unknown scorer 'mine'")
    ready = oodkit("bench", "--model", "mine", "--id", "toys", "--ood", "odd", "--scores", "mine")
    assert ready.code == 2
    assert "--scores: does not apply to sets of which ready scores were imported" in ready.err

    def again(**arrays):
        assert put("odd", "--model", "mine", "--scores", "--replace", **arrays).code == 0
        return oodkit(*RUN)

    ids = [f"odd/{i}" for i in range(40)]
    again(scores=np.ones(39), ids=ids[:39]).is_refused("no score of 1 of the 40 images of odd, such as odd/39")
    again(scores=np.ones(41), ids=[*ids, "odd/3"]).is_refused("odd: the image odd/3 has several scores")
    again(scores=np.ones(40)).is_refused("its scores of odd have no ids, and the images have some")


def test_a_dry_run_lists_them(oodkit, toys):
    done = oodkit(*RUN, "--dry-run")
    assert (done.code, "toys 61, odd 40" in done.out) == (0, True)
    missing = oodkit(*RUN, "--scores", "other", "--dry-run")
    assert (missing.code, "no ready scores of toys, odd under this label" in missing.out) == (1, True)
