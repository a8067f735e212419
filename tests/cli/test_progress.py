import re
import sys

import numpy as np
import pytest

from ood_toolkit import Outputs, bench
from ood_toolkit.benchmark.progress import spoken
from ood_toolkit.benchmark.run import Told
from ood_toolkit.cli import progress
from ood_toolkit.cli.streams import QUIET, USUAL, VERBOSE, print_line, print_message, set_volume


@pytest.fixture(autouse=True)
def _usual():
    yield
    set_volume(USUAL)


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Say progress at given times on a terminal; give what was written, a part for each writing of the line."""

    def say(*calls):
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr.isatty", lambda: True, raising=False)
            for now, *call in calls:
                patch.setattr("time.monotonic", lambda now=now: now)
                progress.progress(*call)
            progress.clear()
        return capsys.readouterr().err.split("\r\x1b[2K")

    return say


@pytest.fixture
def lines(monkeypatch, capsys):
    """Say progress at given times, in a log that takes every line; give the lines."""

    def say(*calls):
        with monkeypatch.context() as patch:
            patch.setattr(progress, "EVERY", 0.0)
            for now, *call in calls:
                patch.setattr("time.monotonic", lambda now=now: now)
                progress.progress(*call)
        progress.clear()
        return capsys.readouterr().err.splitlines()

    return say


def test_the_line_says_how_fast_and_how_long(lines):
    said = lines(
        (10.0, "encoding a", 100, 1000),
        (20.0, "encoding a", 300, 1000),
        (20.0, "encoding b", 0, 10),
        (21.0, "loading m", 0, 0),
    )
    assert said == [
        "encoding a 100/1,000",
        "encoding a 300/1,000, 20.0 images/s, 0:35 left",
        "encoding b 0/10",
        "loading m",
    ]


def test_the_line_counts_what_it_is_told(lines):
    said = lines((10.0, "intervals", 0, 20, "rows"), (20.0, "intervals", 5, 20, "rows"))
    assert said[-1] == "intervals 5/20, 0.5 rows/s, 0:30 left"


@pytest.mark.parametrize("lost", [0, 1, 12])
def test_what_was_encoded_and_what_could_not_be_read(capsys, lost):
    unreadable = {f"{place}.png": "broken" for place in range(lost)}
    counts = {"images": 2000, "encoded": 1500, "unreadable": unreadable, "repaired": ["abc"], "notes": []}
    progress.encoded({"encoding": {"a/test": counts}}, 12.34)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"encoded 1,500 images in 12.3 s; {500 - lost} were in the store"
    assert lines[1] == "a/test: shard abc was damaged; its images were encoded again"
    assert len(lines) == 2 + min(lost, 11)
    if lost:
        assert lines[2] == "a/test: skipped 0.png: broken"
    if lost > 10:
        assert lines[-1] == "a/test: and 2 more"


def test_arrays_have_nothing_to_tell(capsys):
    progress.encoded({}, 1.0)
    assert capsys.readouterr().err == ""


def test_the_line_says_who_is_at_work_and_is_not_written_too_often(terminal):
    said = terminal(
        (10.0, "scoring", 0, 90, "images", "knn"),
        (10.05, "scoring", 10, 90, "images", "msp"),
        (10.5, "scoring", 30, 90, "images", "gmm"),
        (10.51, "other"),
    )
    assert said == ["", "scoring 0/90, knn", "scoring 30/90, 60.0 images/s, 0:01 left, gmm", "other", ""]


def test_quiet_says_nothing_of_work_and_all_of_what_was_lost(terminal, lines, capsys):
    set_volume(QUIET)
    assert terminal((10.0, "scoring"), (20.0, "other", 1, 2)) == [""]
    assert lines((10.0, "scoring")) == []
    counts = {"images": 3, "encoded": 2, "unreadable": {"a.png": "broken"}, "repaired": [], "notes": []}
    progress.encoded({"encoding": {"a/test": counts}}, 1.0)
    assert capsys.readouterr().err == "a/test: skipped a.png: broken\n"


def test_verbose_gives_each_step_a_line_that_stays(lines, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_at", {})
    set_volume(VERBOSE)
    for now, *call in ((10.0, "loading"), (12.5, "scoring", 0, 9), (13.0, "scoring", 5, 9), (14.0, "other")):
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        progress.progress(*call)
    assert capsys.readouterr().err.splitlines() == ["    0.0 s  loading", "    2.5 s  scoring", "    4.0 s  other"]


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("--quiet", "bench"), 0),
        (("bench", "--quiet"), 0),
        (("--verbose", "bench"), 1),
        (("bench", "--verbose"), 1),
        (("bench",), 0),
    ],
)
def test_how_much_is_said_is_chosen_before_or_behind_the_command(oodkit, words, steps):
    done = oodkit(*words, "--scorers", "msp,energy", "--ood", "letters", "--limit", "10")
    assert done.code == 0, done.err
    said = [line for line in done.err.splitlines() if re.match(r" +\d+\.\d s  ", line)]
    assert bool(said) == bool(steps)
    assert ("encoded" in done.err) == ("--quiet" not in words)
    if steps:
        texts = [line.split(" s  ")[1] for line in said]
        assert texts[0] in ("loading torch", "loading digits-clip")
        assert {"digits: fitting energy", "digits: scoring test", "digits: scoring ood:letters"} <= set(texts)


def test_both_at_once_and_unknown_words_are_wrong_usage(oodkit):
    assert oodkit("bench", "--quiet", "--verbose").code == 2
    assert "--quiet: goes without --verbose" in oodkit("--verbose", "bench", "--quiet").err
    assert oodkit("bench", "--quieter").code == 2
    assert oodkit("import", "--", "--quiet").code == 2  # a name, and the file is missing


def outputs(n):
    draw = np.random.default_rng(0)
    return Outputs.from_logits(draw.normal(size=(n, 3)), draw.integers(0, 3, n))


def test_a_run_says_which_scorer_is_at_work_and_how_far_it_is():
    told = []
    bench("msp,energy", outputs(50), {"o": outputs(40)}, outputs(30), progress=lambda *now: told.append(now))
    assert ("id: fitting energy", 1, 2, "scorers") in told
    assert ("id: scoring ood:o", 0, 40, "images", "msp") in told
    assert ("id: scoring ood:o", 0, 40, "images", "energy") in told


def test_who_takes_a_text_is_told_each_step_once():
    told = []
    bench("msp,energy", outputs(50), {"o": outputs(40)}, outputs(30), progress=told.append)
    assert told == [
        "id: fitting msp", "id: fitting energy", "id: scoring test", "id: scoring val", "id: scoring ood:o"
    ]  # fmt: skip
    assert spoken(None)("anything") is None


def test_torch_is_said_to_be_loaded_where_it_is_not(monkeypatch):
    told = []

    class Kept(Told):
        def progress(self, *now):
            told.append(now)

    Kept().loading()
    assert told == []
    monkeypatch.delitem(sys.modules, "torch")
    Kept().loading()
    assert told == [("loading torch",)]


def test_work_that_begins_anew_is_timed_anew(lines):
    said = lines(
        (10.0, "training", 0, 40, "epochs"),
        (12.0, "training", 4, 40, "epochs"),
        (100.0, "training", 0, 40, "epochs"),
        (101.0, "training", 2, 40, "epochs"),
    )
    assert said[1] == "training 4/40, 2.0 epochs/s, 0:18 left"
    assert said[2:] == ["training 0/40", "training 2/40, 2.0 epochs/s, 0:19 left"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("text", ["x", "", "a longer one"])
def test_what_is_printed_takes_the_line_of_progress_away(monkeypatch, capsys, stream, text):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress.progress("clustering")
    (print_line if stream == "stdout" else print_message)(text)
    (print_line if stream == "stdout" else print_message)(text)
    out, err = capsys.readouterr()
    assert err.startswith("\r\x1b[2Kclustering\r\x1b[2K")
    assert err.count("\r\x1b[2K") == 2  # taken away once
    assert (out if stream == "stdout" else err.rpartition("\r\x1b[2K")[2]) == 2 * f"{text}\n"
