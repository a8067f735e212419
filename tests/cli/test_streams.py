import pytest

WORDS = ("stroke", "ring", "bar", "cross", "leaf", "roof", "sky", "spot", "flower", "wall", "cloud", "rope")


@pytest.fixture
def words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\n".join(WORDS))
    return file


def test_scorers_of_streams_run_on_the_digits_with_the_seed_of_the_command(oodkit, words):
    scorers = "adaneg:groups=2,tanl"
    report = oodkit(
        "bench", "--scorers", scorers, "--ood", "patches", "--negatives", words, "--limit", 60, "--seed", 3,
        "--format", "json",
    ).read  # fmt: skip
    rows = [row for row in report["rows"] if row["kind"] == "ood"]
    assert [(row["scorer"], row["status"]) for row in rows] == [("adaneg:groups=2", "ok"), ("tanl", "ok")]
    for row in rows:
        assert row["metrics"]["auroc"] > 0.9
        assert any(note.startswith("stream: shuffled with seed 3, batches of 256") for note in row["notes"])


def test_a_command_that_scores_one_set_refuses_a_stream(oodkit):
    oodkit("score adaneg --id digits").is_refused(
        "adaneg: expected a scorer of single images, got one of streams; oodkit bench"
    )
