"""`oodkit plot`: files that hold their fonts and no dates, and what cannot be drawn."""

import json
import re
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

KINDS = ("roc", "hist", "thresholds", "risk-coverage", "scatter", "pareto", "reliability")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Give the folder of a run of three scorers on logits."""
    from ood_toolkit import Outputs, bench

    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 300)
    logits = draw.normal(size=(300, 4)) + 2.5 * np.eye(4)[labels]
    test, val = (Outputs.from_logits(logits[part], labels[part], "abcd") for part in (slice(150), slice(150, None)))
    ood = {
        name: Outputs.from_logits(draw.normal(0, wide, (60, 4)), None, "abcd")
        for name, wide in (("near", 1), ("far", 0.3))
    }
    folder = tmp_path_factory.mktemp("saved") / "run"
    bench("msp,energy,classwise", test, ood, val=val, id_name="known").save(folder)
    return folder


@pytest.fixture
def run(saved, tmp_path):
    """Give a copy of the run."""
    shutil.copytree(saved, tmp_path / "run")
    return tmp_path / "run"


def is_drawn(done):
    return (done.code, done.out) == (0, "") and re.fullmatch(r"wrote \S+ \(\d+ kB\)\n", done.err)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plot_is_the_same_each_time_and_its_text_is_text(oodkit, run, tmp_path, kind):
    for name in ("a.svg", "b.svg"):
        assert is_drawn(oodkit("plot", run, "--kind", kind, "-o", tmp_path / name))
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "<text" in text
    assert not re.search("<dc:date>|<dc:creator>", text)


@pytest.mark.parametrize(("suffix", "start"), [("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_files_have_their_fonts_and_no_dates(oodkit, run, tmp_path, suffix, start):
    for name in ("a", "b"):
        assert is_drawn(oodkit("plot", run, "--kind", "scatter", "-o", tmp_path / f"{name}.{suffix}"))
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first.startswith(start)
    assert not re.search(rb"CreationDate|Producer|Software", first)
    assert suffix != "pdf" or (b"/FontFile2" in first and b"/Type3" not in first)


def test_the_kinds_are_those_of_the_report():
    from ood_toolkit.cli import plot
    from ood_toolkit.report.plot.plots import KINDS as DRAWN

    assert tuple(DRAWN) == plot.KINDS == KINDS


def test_what_is_asked_for_is_drawn(oodkit, run, tmp_path):
    words = ("--scorers", "energy", "--ood", "far", "--log", "--width", "5", "-o", tmp_path / "a.svg")
    assert oodkit("plot", run, "--kind", "roc", *words).code == 0
    text = (tmp_path / "a.svg").read_text()
    assert "known against far, AUROC (%)" in text
    assert "energy 9" in text
    assert "msp" not in text
    assert 'width="360pt"' in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("roc", "--scorers", "mps"), "no scorer 'mps' with results in this run; did you mean 'msp'"),
        (("roc", "--ood", "neer"), "no OOD set 'neer' with results in this run; did you mean 'near'"),
        (("hist", "--id", "knowm"), "no ID set 'knowm' with results in this run; did you mean 'known'"),
        (("hist", "--model", "x"), "no model 'x' with results in this run"),
        (("scatter", "--scorers", "msp"), "scatter: expected two scorers, got 1; name two, such as msp,energy"),
    ],
)
def test_names_that_the_run_lacks_are_refused_in_a_line(oodkit, run, tmp_path, words, said):
    oodkit("plot", run, "--kind", *words, "-o", tmp_path / "a.pdf").is_refused(said)
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hist", "--scorers", "msp,energy"), "--scorers: --kind hist shows one scorer, got 2"),
        (("reliability", "--scorers", "msp"), "--scorers: does not go with --kind reliability"),
        (("risk-coverage", "--ood", "near"), "--ood: does not go with --kind risk-coverage"),
        (("thresholds", "--log"), "--log: does not go with --kind thresholds"),
    ],
)
def test_options_that_do_nothing_are_wrong_usage(oodkit, run, tmp_path, words, said):
    done = oodkit("plot", run, "--kind", *words, "-o", tmp_path / "a.pdf")
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.pdf.gz"])
def test_other_suffixes_are_refused_before_anything_is_read(oodkit, tmp_path, name):
    oodkit("plot", tmp_path / "none", "--kind", "roc", "-o", tmp_path / name).is_refused(
        "expected a name that ends in .pdf, .svg, .png, got"
    )


def test_a_run_that_is_not_whole_is_refused(oodkit, run, tmp_path):
    oodkit("plot", tmp_path / "none", "--kind", "roc", "-o", tmp_path / "a.pdf").is_refused("expected a run folder")
    for file in (run / "scores").rglob("*.npz"):
        file.unlink()
    for kind in KINDS:
        done = oodkit("plot", run, "--kind", kind, "-o", tmp_path / "a.pdf")
        if kind == "pareto":
            assert done.code == 0  # it needs no scores of images
        else:
            done.is_refused("expected scores of every image, got none of", "the run is not whole")


def test_runs_without_labels_or_predictions_say_what_lacks(oodkit, tmp_path):
    for name, mean in (("i", 1.0), ("o", 0.0)):
        np.savez(tmp_path / f"{name}.npz", scores=np.random.default_rng(0).normal(mean, 1, 60))
        assert oodkit("import", name, tmp_path / f"{name}.npz", "--scores", "--model", "toy").code == 0
    done = oodkit("bench", "--id", "i", "--ood", "o", "--model", "toy", "--output", tmp_path / "run")
    assert done.code == 0, done.err
    lacks = {
        "thresholds": "expected predicted classes",
        "risk-coverage": "expected a run with labels of the ID test",
        "reliability": "expected a run with labels of the ID test",
        "scatter": "expected two scorers on the same images",
        "pareto": "expected auroc and seconds of each scorer",
    }
    for kind in KINDS:
        done = oodkit("plot", tmp_path / "run", "--kind", kind, "-o", tmp_path / "a.pdf")
        if kind in lacks:
            done.is_refused(lacks[kind])
        else:
            assert is_drawn(done)


def test_where_nothing_is_wrong_there_is_no_risk(oodkit, run, tmp_path):
    file = run / "scores" / "known" / "test.npz"
    with np.load(file) as held:
        arrays = dict(held)
    result = json.loads((run / "result.json").read_text())
    for row in result["rows"]:
        if row["kind"] == "misclassification":
            row["metrics"] = {}
    (run / "result.json").write_text(json.dumps(result))
    np.savez(file, **{**arrays, "right": np.ones_like(arrays["right"])})
    oodkit("plot", run, "--kind", "risk-coverage", "-o", tmp_path / "a.pdf").is_refused("there is no risk")
    assert oodkit("plot", run, "--kind", "hist", "-o", tmp_path / "a.pdf").code == 0


def test_without_matplotlib_one_line_says_how_to_get_it(oodkit, run, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    oodkit("plot", run, "--kind", "roc", "-o", tmp_path / "a.pdf").is_refused("pip install 'ood-toolkit[plots]'")
