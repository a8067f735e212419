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


@pytest.mark.parametrize("words", [("msp",), ("knn,msp",), ("msp", "--scorers", "mcm,energy")])
def test_a_part_of_the_scorers_is_shown_alone(oodkit, run, words):
    specs = [spec for word in words if word != "--scorers" for spec in word.split(",")]
    report = ("report", run, "--scorers", *words)
    rows = oodkit(*report, "--format", "json").read["rows"]
    whole = oodkit("report", run, "--format", "json").read["rows"]
    assert rows == [row for row in whole if row["scorer"] in specs]
    table = oodkit(*report, "--ci", "--ci-replicates", "5", "--paired").out
    assert "OOD detection (%)" in table
    assert "skipped" not in table
    assert table.count(" [") >= 2 * 3 * len(specs)


def test_an_unknown_scorer_of_a_run_gets_a_hint(oodkit, run):
    oodkit("report", run, "--scorers", "MSP").is_refused("no scorer 'MSP' in this run; did you mean 'msp'?")
