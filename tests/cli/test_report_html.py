"""`--html` and `--gallery` of `oodkit bench`, and `oodkit report --html`."""

import json
import re

import numpy as np
import pytest
from PIL import Image

LETTERS = ("bench", "--ood", "letters", "--limit", "40")


def held_by(page):
    text = page.read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


def test_bench_and_report_write_the_same_page(oodkit, tmp_path):
    words = (*LETTERS, "--scorers", "msp,classwise", "--output", tmp_path / "run", "--html", tmp_path / "bench.html")
    done = oodkit(*words, "--gallery", "3")
    assert done.code == 0, done.err
    assert "OOD detection (%)" in done.out
    assert re.search(r"wrote \S*bench\.html \(\d\.\d MB\)", done.err)
    again = oodkit("report", tmp_path / "run", "--html", tmp_path / "report.html")
    assert (again.code, again.out) == (0, "")
    first, second = held_by(tmp_path / "bench.html"), held_by(tmp_path / "report.html")
    assert first == second
    assert len(first["cases"]) == 2
    shown = [image for case in first["cases"] for one in case["errors"] for image in one["images"]]
    assert shown
    assert all(image["picture"] is not None for image in shown)
    assert max(len(one["images"]) for case in first["cases"] for one in case["errors"]) == 3
    assert first["noPictures"] == ""
    files = list((tmp_path / "run" / "gallery").glob("*.png"))
    assert len(files) == len(first["pictures"])
    with Image.open(files[0]) as image:
        assert image.size == (8, 8)
    facts = dict(first["facts"])
    assert facts["command"][0].startswith("oodkit ")
    assert len(facts["weights (SHA-256)"][0]) == 64


def test_protocol_and_intervals_reach_the_page(oodkit, tmp_path):
    assert oodkit(*LETTERS, "--scorers", "msp", "--output", tmp_path / "run").code == 0
    page = tmp_path / "page.html"
    words = ("report", tmp_path / "run", "--html", page, "--protocol", "mcm", "--ci", "--ci-replicates", "20")
    assert oodkit(*words).code == 0
    held = held_by(page)
    assert [column["key"] for column in held["columns"]] == [
        "auroc",
        "fpr95_id",
        "ap_in",
        "id_accepted",
        "ood_detected",
    ]
    assert len(held["rows"][0]["values"]["auroc"]) == 3
    assert [rule["protocols"] for rule in held["cases"][0]["positions"]["rules"] if rule["ours"]] == [["mcm"]]
    assert "oodkit bench --gallery 12" in held["noPictures"]
    assert oodkit(*words).code == 0  # an older page makes place


def test_imported_vectors_and_ready_scores_have_a_page_without_pictures(oodkit, tmp_path):
    draw = np.random.default_rng(0)
    for name, mean in (("i", 1.0), ("o", 0.0)):
        np.savez(tmp_path / f"{name}.npz", scores=draw.normal(mean, 1, 60))
        assert oodkit("import", name, tmp_path / f"{name}.npz", "--scores", "--model", "toy").code == 0
    page, run = tmp_path / "page.html", tmp_path / "run"
    assert oodkit("bench", "--id", "i", "--ood", "o", "--model", "toy", "--html", page, "--output", run).code == 0
    held = held_by(page)
    assert held["pictures"] == []
    assert "imported vectors" in held["noPictures"]
    facts = dict(held["facts"])
    assert [line.partition(": ")[0] for line in facts["arrays (SHA-256)"]] == ["i/test", "o/test"]
    assert all(len(line.partition(": ")[2]) == 64 for line in facts["arrays (SHA-256)"])
    assert json.loads((run / "result.json").read_text())["imported"].keys() == {"i/test", "o/test"}


def test_pictures_of_folders_are_found_by_their_ids(oodkit, tmp_path):
    draw = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for place in range(8):
            pixels = draw.integers(0, 255, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "odd" / name / f"{place}.png")
    page = tmp_path / "page.html"
    odd = f"folder:{tmp_path}/odd"
    words = ("bench", "--model", "digits-clip", "--limit", "40", "--scorers", "msp", "--ood", odd, "--val-split", "0")
    assert oodkit(*words, "--html", page, "--gallery", "5").code == 0
    (case,) = held_by(page)["cases"]
    (missed,) = [one for one in case["errors"] if one["kind"] == "missed"]
    assert not missed["decided"]
    assert len(missed["images"]) == 5
    assert all(image["picture"] is not None and "png" in image["id"] for image in missed["images"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bench", "--gallery", "3"), "--gallery: goes with --output DIR or --html FILE"),
        (("bench", "--seeds", "0,1", "--html", "page.html"), "--html: goes without --seeds"),
        (("bench", "--seeds", "0,1", "--output", "runs", "--gallery", "2"), "--gallery: goes without --seeds"),
        (("bench", "--preset", "ust-etri", "--html", "page.html"), "--html: goes without --preset ust-etri"),
    ],
)
def test_what_has_no_page_is_refused_before_it_runs(oodkit, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = oodkit(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_one_line(oodkit, tmp_path):
    assert oodkit(*LETTERS, "--scorers", "msp", "--output", tmp_path / "run").code == 0
    (tmp_path / "file").write_text("")
    done = oodkit("report", tmp_path / "run", "--html", tmp_path / "file" / "page.html")
    assert done.code == 1
    assert done.err.count("\n") == 1, done.err
    done = oodkit("report", tmp_path / "nothing", "--html", tmp_path / "page.html")
    done.is_refused("expected a run folder")
    assert not (tmp_path / "page.html").exists()
