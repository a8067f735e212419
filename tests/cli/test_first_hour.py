"""What a new user types in the first hour, each demand with several examples: comparisons, options, forms."""

import csv
import io
import json
import re

import click
import numpy as np
import pytest
from PIL import Image

from ood_toolkit.benchmark.settings import Settings, options
from ood_toolkit.cli import cli, progress
from ood_toolkit.data.catalogue.digits import DIGITS

SETS = (("toys", 60, 2.0), ("odd", 40, 0.0), ("far", 30, -1.0))
BENCH = ("bench", "--id", "toys", "--ood", "odd,far", "--model", "toy")


@pytest.fixture
def toys(oodkit, tmp_path):
    """Import logits of an ID set and of two OOD sets under the label `toy`."""
    draw = np.random.default_rng(0)
    for name, n, gap in SETS:
        labels = np.arange(n) % 3
        logits = draw.normal(size=(n, 3)) + gap * np.eye(3)[labels]
        np.savez(tmp_path / f"{name}.npz", logits=logits, labels=labels, ids=[f"{name}/{i}" for i in range(n)])
        assert oodkit("import", name, tmp_path / f"{name}.npz", "--model", "toy").code == 0


@pytest.fixture
def run(oodkit, toys, tmp_path):
    assert oodkit(*BENCH, "--scorers", "msp,energy,maxlogit,knn", "--output", tmp_path / "run").code == 0
    return tmp_path / "run"


# -- comparisons ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "scorers"),
    [
        (("--scorers", "msp,energy"), {"msp", "energy"}),
        (("--scorers", "msp", "--scorers", "maxlogit"), {"msp", "maxlogit"}),
        (("--scorers", " energy, msp", "--scorers", "msp"), {"msp", "energy"}),
    ],
)
def test_compare_takes_lists_of_scorers(oodkit, run, words, scorers):
    found = oodkit("compare", run, "--against", "best", "--ci-replicates", "20", *words, "--format", "json").read
    assert {test["scorer"] for test in found} | {test["against"]["scorer"] for test in found} == scorers


@pytest.mark.parametrize("replicates", [9, 50, 300])
def test_too_few_replicates_are_said_with_how_many_are_enough(oodkit, run, replicates):
    words = ("compare", run, "--against", "msp", "--ci-replicates")
    said = " ".join(oodkit(*words, replicates).out.split())
    floor = min(4 * 2 / (replicates + 1), 1)  # two scorers against msp on two sets
    assert (f"p of FPR95(ID) cannot be less than {floor:.3f} after Holm's correction" in said) == (floor > 0.05)
    if floor > 0.05:
        (enough,) = re.findall(r"--ci-replicates (\d+) reaches 0.05", said)
        assert "cannot be less" not in oodkit(*words, enough).out


@pytest.mark.parametrize(
    ("scorers", "skipped", "why"),
    [
        ("msp,energy,knn", "knn", "needs features, train"),
        ("msp,energy,mahalanobis", "mahalanobis", "needs features, train, train_labels"),
        ("msp,energy,mcm", "mcm", "needs zero_shot"),
    ],
)
def test_scorers_that_were_skipped_are_named(oodkit, toys, tmp_path, scorers, skipped, why):
    run = tmp_path / "run"
    paired = " ".join(oodkit(*BENCH, "--scorers", scorers, "--paired", "--output", run).out.split())
    assert f"not tested: {skipped}, skipped: {why}" in paired
    compared = " ".join(oodkit("compare", run, "--against", "msp", "--ci-replicates", "20").out.split())
    assert f"not tested: {skipped} of {run}, skipped: {why}" in compared


@pytest.mark.parametrize(
    ("scorers", "said"),
    [
        ("msp", "--paired: there is nothing to test, the run has one scorer; name more after --scorers"),
        ("energy", "--paired: there is nothing to test, the run has one scorer"),
        ("msp,knn", "not tested: knn, skipped: needs features, train"),
    ],
)
def test_one_scorer_alone_is_said_to_have_no_test(oodkit, toys, scorers, said):
    done = oodkit(*BENCH, "--scorers", scorers, "--paired")
    assert (done.code, said in " ".join(done.out.split())) == (0, True)


# -- options ----------------------------------------------------------------------------------------------------------


def settings_of(*words):
    """Read the options of a run as the command does."""
    context = cli.get_command(click.Context(cli), "bench").make_context("bench", list(words), click.Context(cli))
    return Settings.read(**{name: context.params[name] for name in options() if context.params[name] is not None})


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("--scorers", "msp", "--scorers", "knn"), "scorers", "msp,knn"),
        (("--scorers", "msp,energy", "--scorers", "gen", "--scorers", "msp"), "scorers", "msp,energy,gen,msp"),
        (("--scorers", "classwise:base=(knn:k=5)", "--scorers", "all"), "scorers", "classwise:base=(knn:k=5),all"),
        (("--tune", "patches", "--tune", "letters"), "tune", ("patches", "letters")),
        (("--tune", "a,b", "--tune", "c"), "tune", ("a", "b", "c")),
        (("--tune", "folder:x", "--tune", "a", "--tune", "b"), "tune", ("folder:x", "a", "b")),
        (("--combiners", "vote", "--combiners", "mean-score"), "combiners", "vote,mean-score"),
        (("--combiners", "vote,max-confidence", "--combiners", "mean-score"), "combiners",
         "vote,max-confidence,mean-score"),
        (("--combiners", "all", "--combiners", "vote"), "combiners", "all,vote"),
    ],
)  # fmt: skip
def test_what_lists_adds_with_each_time(words, field, value):
    assert getattr(settings_of(*words), field) == value


@pytest.mark.parametrize("place", ["./mine", "mine/", "{}/mine"])
def test_a_folder_without_its_form_gets_a_hint(oodkit, tmp_path, monkeypatch, place):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    place = place.format(tmp_path)
    done = oodkit("bench", "--id", place, "--ood", "letters")
    assert f"did you mean 'folder:{place}'?" in done.err


@pytest.mark.parametrize("names", ["digits,letters", "cifar10, food101", "folder:a,folder:b"])
def test_a_list_after_id_is_told_to_be_repeated(oodkit, names):
    done = oodkit("bench", "--id", names, "--ood", "patches")
    assert (done.code, f"--id: expected one name, got {names!r}; repeat it" in done.err) == (2, True)


PRESETS = {
    "imagenet1k-mos": ("imagenet-1k", "inaturalist", "sun", "places", "textures"),
    "openood-cifar10": ("cifar10-openood", "svhn", "mnist-openood"),
    "imagenet-o": ("imagenet-1k", "imagenet-o"),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_weights_and_all_data_in_one_message(oodkit, tmp_path, preset):
    done = oodkit("bench", "--preset", preset, "--model", "ViT-B-16/openai", "--data-root", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "\n  model ViT-B-16/openai" in done.err
    for name in PRESETS[preset]:
        assert f"\n  data set {name}: no test images below {tmp_path}; looked for " in done.err
    rows = json.loads(oodkit("datasets", "check", "--preset", preset, "--data-root", tmp_path, "--json").out)
    assert set(PRESETS[preset]) <= {row["name"] for row in rows if row["here"] == "no"}
    dry = oodkit("bench", "--dry-run", "--preset", preset, "--model", "ViT-B-16/openai", "--data-root", tmp_path)
    assert (dry.code, all(name in dry.out for name in PRESETS[preset])) == (1, True)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("seeds", ["0,1,2", "4, 9", "7,0,3,1"])
def test_seeds_give_mean_and_spread(oodkit, toys, tmp_path, seeds):
    done = oodkit(*BENCH, "--scorers", "msp", "--seeds", seeds, "--format", "json", "--output", tmp_path / "out")
    (row,) = [row for row in done.read if (row["kind"], row["ood"]) == ("ood", "odd")]
    chosen = [int(seed) for seed in seeds.split(",")]
    values = []
    for seed in chosen:
        held = json.loads((tmp_path / "out" / f"seed-{seed}" / "result.json").read_text())
        values += [one["metrics"]["auroc"] for one in held["rows"] if (one["kind"], one["ood"]) == ("ood", "odd")]
    assert row["runs"] == len(chosen)
    assert row["mean"]["auroc"] == pytest.approx(np.mean(values))
    assert row["std"]["auroc"] == pytest.approx(np.std(values, ddof=1))
    assert f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}" in oodkit(
        *BENCH, "--scorers", "msp", "--seeds", seeds
    ).out  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "classes", "list"])
def test_foreign_pictures_of_any_kind_are_scored_under_an_id_head(oodkit, tmp_path, kind):
    folder = tmp_path / "pictures"
    draw = np.random.default_rng(0)
    names = [f"{'ab'[place % 2]}/{place}.png" if kind == "classes" else f"{place}.png" for place in range(3)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / name)
    (folder / "list.txt").write_text("".join(f"{name} -1\n" for name in names))
    place = f"imglist:{folder / 'list.txt'}" if kind == "list" else f"folder:{folder}"
    words = (
        "score",
        "msp,energy,maxlogit",
        "--id",
        "digits",
        "--model",
        "digits-clip",
        "--limit",
        "40",
        "--images",
        place,
    )
    rows = list(csv.DictReader(io.StringIO(oodkit(*words).out)))
    assert sorted(row["id"] for row in rows) == sorted(names)
    assert {row["label"] for row in rows} == {""}
    assert all(np.isfinite(float(row[f"score:{spec}"])) for row in rows for spec in ("msp", "energy", "maxlogit"))
    assert {row["prediction"] for row in rows} <= set(DIGITS.classes)


# -- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [(), ("--protocol", "mcm"), ("--val-split", "0", "--paired", "--ci", "--ci-replicates", "9")]
)
@pytest.mark.parametrize("style", ["markdown", "latex", "csv"])
def test_every_form_says_protocol_counts_model_and_notes(oodkit, toys, style, more):
    text = oodkit(*BENCH, "--scorers", "msp,knn", "--format", style, *more).out
    protocol = more[1] if "--protocol" in more else "native"
    if style == "csv":
        lines = list(csv.DictReader(io.StringIO(text)))
        assert not any(line.startswith("#") for line in text.splitlines())
        assert list(lines[0])[:5] == ["kind", "scorer", "id", "ood", "decider"]
        assert {line["protocol"] for line in lines} == {protocol}
        assert (lines[0]["model"], lines[0]["n_ood"]) == ("toy", "40")
        assert "needs features, train" in text
        assert {line["n_val"] for line in lines} == {"0" if "--val-split" in more else "12"}
        return
    plain = text.replace("\\", "")
    for part in ("model toy", "ID toys: ", "OOD odd (40), far (30)", "knn: skipped: needs features, train"):
        assert part in plain
    assert ("protocol mcm" in plain) == (protocol == "mcm")
    assert style == "markdown" or text.isascii()


@pytest.mark.parametrize(
    ("step", "times"),
    [(10.0, [30.0, 60.0, 90.0, 120.0]), (45.0, [45.0 * place for place in range(1, 13)]), (1.0, []), (31.0, None)],
)
def test_logs_get_a_line_every_thirty_seconds_whatever_the_pace(capsys, monkeypatch, step, times):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "EVERY", 30.0)
    progress.clear()
    for place in range(13):
        now[0] = 1000.0 + place * step
        progress.progress("encoding a", place, 100)
    progress.clear()
    lines = capsys.readouterr().err.splitlines()
    wanted = [31.0 * place for place in range(1, 13)] if times is None else times
    assert len(lines) == len(wanted)
    for line, at in zip(lines, wanted, strict=True):
        assert line.startswith(f"encoding a {at / step:.0f}/100, {1 / step:.1f} images/s, ")
