import pytest

from ood_toolkit.cli import progress


def test_the_line_says_how_fast_and_how_long():
    progress._started.clear()
    assert progress._line("encoding a", 100, 1000, 10.0) == "encoding a 100/1,000"
    assert progress._line("encoding a", 300, 1000, 20.0) == "encoding a 300/1,000, 20.0 images/s, 0:35 left"
    assert progress._line("encoding b", 0, 10, 20.0) == "encoding b 0/10"
    assert progress._line("loading m", 0, 0, 21.0) == "loading m"
    progress._started.clear()


def test_the_line_counts_what_it_is_told():
    progress._started.clear()
    progress._line("intervals", 0, 20, 10.0, "rows")
    assert progress._line("intervals", 5, 20, 20.0, "rows") == "intervals 5/20, 0.5 rows/s, 0:30 left"
    progress._started.clear()


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
