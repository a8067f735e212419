"""`oodkit leaderboard`."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ood_toolkit import Head, Outputs, bench

HOSTILE = "<script>alert(1)</script> | \x1b[31m=1+1 \u202e"


def run_of(model, seed=0, specs="msp,energy,mcm,klm", ood="close", published=()):
    draw = np.random.default_rng(seed)
    texts = np.random.default_rng(9).normal(size=(3, 6))
    head = Head.zero_shot(texts, ["ant", "bee", HOSTILE])
    rows = np.random.default_rng(len(model)).normal(size=(80, 6)) + 2 * texts[np.arange(80) % 3]
    known = Outputs.from_embeddings(rows.astype(np.float32), head, np.arange(80) % 3).named(
        [f"k{n}" for n in range(80)]
    )
    other = np.random.default_rng(len(model) + 50).normal(size=(60, 6)).astype(np.float32)
    parts = {ood: other[:40], "away": other[40:]}
    sets = {name: Outputs.from_embeddings(part, head) for name, part in parts.items()}
    sets = {name: x.named([f"{name}/{n}" for n in range(len(x))]) for name, x in sets.items()}
    order = draw.permutation(80)
    about = {"model": model, "seed": seed, "published": list(published)}
    groups = {"near": [ood], "far": ["away"]}
    return bench(specs, known[np.sort(order[:60])], sets, known[np.sort(order[60:])], about=about, groups=groups)


def published_of(model, ood, value, **more):
    """Give a published value of MCM as a preset puts it beside a measured one."""
    return {
        "scorer": "mcm", "model": model, "kind": "ood", "id": "id", "ood": ood, "metric": "auroc", "measured": 90.0,
        "published": value, "tolerance": None, "same_images": True, "difference": 0.0, "verdict": "no tolerance known",
        "method": "MCM of a paper", "published_model": "ViT", "published_protocol": "mcm", "source": "A paper",
        "secondary": False, "note": "", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boards")
    for model in ("small", "larger"):
        for seed in (0, 1):
            run_of(model, seed).save(folder / f"{model}-{seed}")
    return [folder / f"{model}-{seed}" for model in ("small", "larger") for seed in (0, 1)]


def test_table_says_protocol_intervals_and_sets(oodkit, runs):
    done = oodkit("leaderboard", *runs)
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "near: 8 ranked on 1 set; intervals over seeds; cost logits (%)" in said
    assert "all OOD sets: 8 ranked on 2 sets; intervals over sets; cost logits (%)" in said
    assert "near: ID id (60) against close (40)" in said
    assert "seeds 0, 1" in said
    assert "Student's t" in said
    table = oodkit("leaderboard", *runs, "--format", "markdown").out.splitlines()
    heads = "# | model | scorer | supervision | mean rank (native) | AUROC (native) | FPR95(ID) (native)"
    assert table.count(f"| {heads} |") == 3


def test_forms_say_the_same(oodkit, runs):
    records = oodkit("leaderboard", *runs, "--format", "json").read
    rows = list(csv.DictReader(io.StringIO(oodkit("leaderboard", *runs, "--format", "csv").out)))
    assert len(records) == len(rows) == 3 * 8
    for record, row in zip(records, rows, strict=True):
        assert float(row["mean_rank"]) == record["mean_rank"]
        assert float(row["auroc_low"]) == record["auroc_low"] <= record["auroc"] <= record["auroc_high"]
        assert (row["protocol"], row["kind"]) == ("native", "measured")
    first = records[0]
    cell = f"{100 * first['auroc']:.2f} [{100 * first['auroc_low']:.1f}, {100 * first['auroc_high']:.1f}]"
    for style in ("table", "markdown", "latex"):
        assert cell in oodkit("leaderboard", *runs, "--format", style).out


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("--model", "SMALL"), {("small", one) for one in ("msp", "energy", "mcm", "klm")}),
        (("--scorers", "msp,mcm"), {(model, one) for model in ("small", "larger") for one in ("msp", "mcm")}),
        (("--supervision", "few-shot"), {("small", "klm"), ("larger", "klm")}),
        (("--supervision", "zero-shot", "--supervision", "few-shot", "--model", "larger"),
         {("larger", one) for one in ("msp", "energy", "mcm", "klm")}),
        (("--cost", "logits", "--scorers", "klm"), {("small", "klm"), ("larger", "klm")}),
    ],
)  # fmt: skip
def test_filters_leave_out_before_anything_is_ranked(oodkit, runs, words, kept):
    records = oodkit("leaderboard", *runs, *words, "--format", "json").read
    for part in ("near", "far", "all OOD sets"):
        held = [one for one in records if one["part"] == part]
        assert {(one["model"], one["scorer"]) for one in held} == kept
        assert sum(one["mean_rank"] for one in held) == pytest.approx(len(kept) * (len(kept) + 1) / 2)


def test_one_run_and_sets_that_are_chosen(oodkit, runs):
    records = oodkit("leaderboard", runs[0], "--ood", "away", "--format", "json").read
    assert [one["part"] for one in records] == ["far"] * 4
    assert [one["place"] for one in records] == [1, 2, 3, 4]
    assert {one["auroc_low"] for one in records} == {None}


def test_published_rows_are_marked_and_change_no_rank(oodkit, runs, tmp_path):
    plain = oodkit("leaderboard", runs[0], "--protocol", "mcm", "--format", "json").read
    rows = [
        published_of("small", "close", 99.9),
        published_of("small", "away", 99.9),
        published_of("small", "close", 12.5, metric="fpr95_id"),
        published_of("small", "away", 7.5, metric="fpr95_id"),
        published_of("small", "away", 98.0, method="Lacking", published_protocol="unknown"),
        published_of("small", "close", 97.0, method="Other images", same_images=False),
    ]
    run_of("small", published=rows).save(tmp_path / "run")
    words = ("leaderboard", tmp_path / "run", "--protocol", "mcm")
    records = oodkit(*words, "--format", "json").read
    measured = [one for one in records if one["kind"] == "measured"]
    assert [(one["scorer"], one["mean_rank"], one["place"]) for one in measured] == [
        (one["scorer"], one["mean_rank"], one["place"]) for one in plain
    ]
    (found,) = [one for one in records if one["part"] == "all OOD sets" and one["scorer"] == "MCM of a paper"]
    assert (found["kind"], found["place"], found["model"], found["source"]) == ("published", None, "ViT", "A paper")
    better = [sum(one["auroc"] > 0.999 for one in measured if one["part"] == part) for part in ("near", "far")]
    assert found["mean_rank"] == 1 + sum(better) / 2
    assert (found["auroc"], found["fpr95_id"]) == (pytest.approx(0.999), pytest.approx(0.1))
    (lacking,) = [one for one in records if one["part"] == "all OOD sets" and one["scorer"] == "Lacking"]
    assert (lacking["mean_rank"], lacking["fpr95_id"], lacking["results"]) == (None, None, 1)
    said = " ".join(oodkit(*words).out.split())
    assert "MCM of a paper [1] published" in re.sub(r"\s+", " ", said)
    assert "[1] A paper (protocol mcm)" in said
    assert "published values of other images are left out: Other images of ViT" in said
    assert "Lacking of ViT lacks id against close, seed 0: its source gives none" in said
    native = oodkit("leaderboard", tmp_path / "run", "--format", "json").read
    assert {one["fpr95_id"] for one in native if one["kind"] == "published"} == {None}, "its rule is another one"
    kept = oodkit(*words, "--scorers", "mcm,msp", "--format", "json").read
    assert {one["scorer"] for one in kept if one["kind"] == "published"} == {"MCM of a paper", "Lacking"}


def test_wrong_input_is_one_line(oodkit, runs, tmp_path):
    oodkit("leaderboard", runs[0], tmp_path / "nothing").is_refused("nothing: expected a run folder")
    damaged = tmp_path / "damaged"
    shutil.copytree(runs[0], damaged)
    (damaged / "scores" / "id" / "ood_close.npz").write_bytes(b"PK\x03\x04 no more")
    oodkit("leaderboard", damaged, runs[1]).is_refused("ood_close.npz")
    (damaged / "scores" / "id" / "ood_close.npz").unlink()
    oodkit("leaderboard", damaged, runs[1]).is_refused("expected scores of every image")
    (damaged / "result.json").write_text('{"schema": 1')
    oodkit("leaderboard", damaged, runs[1]).is_refused("result.json")
    oodkit("leaderboard", runs[0], "--scorers", "msp").is_refused("nothing to rank", "leaves msp of small alone")
    oodkit("leaderboard", runs[0], "--cost", "train").is_refused("nothing to rank: what is asked for leaves nothing")
    oodkit("leaderboard", runs[0], "--scorers", "mps").is_refused("--scorers: no scorer 'mps'", "did you mean 'msp'?")
    oodkit("leaderboard", runs[0], "--ood", "clos").is_refused("--ood: no OOD set 'clos'", "did you mean 'close'?")
    oodkit("leaderboard", runs[0], "--model", "smell").is_refused("--model: no model", "did you mean 'small'?")
    oodkit("leaderboard", runs[0], "--protocol", "naive").is_refused("did you mean 'native'?")
    for words in ((), (runs[0], runs[0]), (runs[0], "--supervision", "some")):
        assert oodkit("leaderboard", *words).code == 2


def test_page_is_written_beside_the_table_and_takes_the_place_of_an_older_one_alone(oodkit, runs, tmp_path):
    words = ("leaderboard", runs[0], runs[2], "--html", tmp_path / "board")
    for _ in range(2):
        done = oodkit(*words)
        assert done.code == 0, done.err
        assert re.search(r"wrote \S*board/index\.html \(\d+ kB\)", done.err)
        assert "8 ranked" in done.out
    page = (tmp_path / "board" / "index.html").read_text()
    held = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert [part["name"] for part in held["parts"]] == ["near", "far", "all OOD sets"]
    assert len(held["parts"][0]["entries"]) == 8
    assert [path.name for path in (tmp_path / "board").iterdir()] == ["index.html"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("<p>mine</p>")
    oodkit("leaderboard", runs[0], "--html", tmp_path / "mine").is_refused(
        "it holds something that is no page of oodkit"
    )
    (tmp_path / "file").write_text("")
    assert oodkit("leaderboard", runs[0], "--html", tmp_path / "file").code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(("shell", "code"), [("| true", 0), (">&-", 0), (">&- 2>&- <&-", 0), ("> /dev/full", 1)])
def test_the_page_is_there_whatever_becomes_of_stdout(shell, code, tmp_path):
    run_of("one").save(tmp_path / "run")
    words = [
        sys.executable,
        "-m",
        "ood_toolkit",
        "leaderboard",
        str(tmp_path / "run"),
        "--html",
        str(tmp_path / "page"),
    ]
    env = os.environ | {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"}
    done = subprocess.run(["sh", "-c", f'exec "$0" "$@" {shell}', *words], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (code, 0 if ">&- 2" in shell else 1 + code), done.stderr
    assert b"\x1b" not in done.stderr
    assert (tmp_path / "page" / "index.html").stat().st_size > 10_000
