"""All scorers on the embedded sets: the table stays short, names the best, and folds between words alone."""

import pytest

from ood_toolkit.report.folding import PART


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Give the run folder of all scorers, on few images."""
    from ood_toolkit.cli import main

    folder = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OODKIT_STORE", str(folder / "store"))
        patch.setenv("OODKIT_NO_PLUGINS", "1")
        with pytest.raises(SystemExit) as stop:
            main(["bench", "--scorers", "all", "--limit", "150", "--output", str(folder / "run")])
    assert not stop.value.code
    return folder / "run"


def test_all_scorers_fit_two_screens_and_the_best_is_named(oodkit, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = oodkit("report", run).out.splitlines()
    assert len(lines) <= 2 * 50
    assert max(map(len, lines)) <= 120
    rows = [row for row in oodkit("report", run, "--format", "json").read["rows"] if row["kind"] == "mean"]
    best = max(rows, key=lambda row: row["metrics"]["auroc"])
    assert len(rows) > 30
    (line,) = [line for line in lines if line.startswith("* the best of its column; by AUROC, mean: ")]
    assert best["scorer"] in line
    assert f"with {100 * best['metrics']['auroc']:.2f} %" in line


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_nothing_folds_inside_a_word(oodkit, run, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS")
    whole = oodkit("report", run).out
    runs = set()
    for word in (whole + whole.replace("(", " (")).split():
        parts = PART.findall(word)
        runs |= {"".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)}
    monkeypatch.setenv("COLUMNS", str(columns))
    folded = oodkit("report", run).out
    assert max(map(len, folded.splitlines())) <= columns
    assert {word for word in folded.split() if word not in runs and not word.startswith("─")} == set()
