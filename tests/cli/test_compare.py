import csv
import io

import numpy as np
import pytest

from ood_toolkit import metrics

pytestmark = pytest.mark.quick


@pytest.fixture
def runs(oodkit, tmp_path):
    """Two runs of one model label on the same images, with other scores."""
    draw = np.random.default_rng(0)
    shared = {name: draw.normal(mean, 1, n) for name, mean, n in (("i", 1.2, 90), ("o", 0, 70))}
    arrays = {}
    for run in ("one", "two"):
        for name, scores in shared.items():
            arrays[run, name] = scores + draw.normal(0, 0.5, scores.size)
            np.savez(tmp_path / "x.npz", scores=arrays[run, name])
            oodkit("import", name, tmp_path / "x.npz", "--scores", "--model", "toy", "--replace")
        done = oodkit("bench", "--id", "i", "--ood", "o", "--model", "toy", "--output", tmp_path / run)
        assert done.code == 0, done.err
    return arrays


def test_two_runs_are_tested_on_the_same_images(oodkit, runs, tmp_path):
    words = ("compare", tmp_path / "one", tmp_path / "two", "--ci-replicates", "50", "--seed", "3")
    (found,) = oodkit(*words, "--format", "json").read
    arrays = (runs["two", "i"], runs["two", "o"], runs["one", "i"], runs["one", "o"])
    auroc, fpr95 = metrics.delong_test(*arrays), metrics.paired_bootstrap(*arrays, "native", 50, 3)["fpr95_id"]
    assert (found["run"], found["against"]["run"]) == (str(tmp_path / "two"), str(tmp_path / "one"))
    assert (found["difference"], found["low"], found["high"], found["p"]) == (
        auroc.value, auroc.low, auroc.high, auroc.p
    )  # fmt: skip
    assert (found["fpr95_id_difference"], found["fpr95_id_p"]) == (fpr95.value, fpr95.p)
    cell = f"{100 * auroc.value:+.2f} [{100 * auroc.low:+.1f}, {100 * auroc.high:+.1f}]"
    for style in ("table", "markdown", "latex"):
        assert cell in oodkit(*words, "--format", style).out
    (row,) = csv.DictReader(io.StringIO(oodkit(*words, "--format", "csv").out))
    assert float(row["p_holm"]) == auroc.p
    assert [*row][-4:] == ["fpr95_id_p_holm", "n_id", "n_ood", "replicates"]  # what is new stands last
    assert (row["n_id"], row["n_ood"], row["replicates"]) == ("90", "70", "50")
    for style in ("table", "markdown", "latex"):
        text = oodkit(*words, "--format", style).out
        assert "model toy; ID i (90); OOD o (70); protocol native" in " ".join(text.split())


def test_best_is_chosen_and_said(oodkit, runs, tmp_path):
    words = ("compare", tmp_path / "one", tmp_path / "two", "--against", "best", "--ci-replicates", "60")
    aurocs = {run: metrics.auroc(runs[run, "i"], runs[run, "o"]) for run in ("one", "two")}
    (found,) = oodkit(*words, "--format", "json").read
    assert found["against"]["run"] == str(tmp_path / max(aurocs, key=aurocs.get))
    for style in ("table", "markdown", "latex", "csv"):
        assert "chosen on the same images" in " ".join(oodkit(*words, "--format", style).out.split())
    twice = oodkit("compare", tmp_path / "one", tmp_path / "two", "--scorers", "toy,toy", "--format", "json").read
    assert len(twice) == 1
    assert twice[0]["replicates"] == 1000


def test_spread_over_runs(oodkit, runs, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    (found,) = oodkit("compare", *folders, "--spread", "--format", "json").read
    values = [metrics.auroc(runs[run, "i"], runs[run, "o"]) for run in ("one", "two")]
    assert found["mean"]["auroc"] == pytest.approx(np.mean(values))
    assert found["std"]["auroc"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    shown = f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"
    assert shown in oodkit("compare", *folders, "--spread").out
    (other,) = oodkit("compare", *folders, "--spread", "--protocol", "mcm", "--format", "json").read
    assert set(other["mean"]) == {"auroc", "fpr95_id", "ap_in"}


def test_wrong_usage_and_other_images(oodkit, runs, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for words in ((one,), (one, one), (one, two, "--spread", "--against", "toy"), (one, two, "--protocol", "mcm")):
        assert oodkit("compare", *words).code == 2
    oodkit("compare", one, tmp_path).is_refused("expected a run folder")
    oodkit("compare", one, two, "--scorers", "msp").is_refused("no scorer 'msp' in these runs")
    np.savez(tmp_path / "x.npz", scores=np.arange(5.0))
    oodkit("import", "o", tmp_path / "x.npz", "--scores", "--model", "toy", "--replace")
    oodkit("bench", "--id", "i", "--ood", "o", "--model", "toy", "--output", tmp_path / "three")
    oodkit("compare", one, tmp_path / "three").is_refused("i and o: expected the same images, got 70 in", "and 5 in")
