import pytest

from ood_toolkit.cli import progress


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
