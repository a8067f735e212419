"""Options as people give them: twice, in capitals, misspelt, several seeds; and what is said before a run."""

import csv
import json
import subprocess
import sys

import click
import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("bench --limit 3 --limit 4", "--limit: expected once, got 2 times"),
        ("bench --seed 1 --seed 1", "--seed: expected once, got 2 times"),
        ("store list --store a --store b --store c", "--store: expected once, got 3 times"),
        ("train head --id digits --output a --output b", "--output: expected once, got 2 times"),
        ("inspect --output=a x -o b --move tpr", "--output: expected once, got 2 times"),
        ("scorers --group clip --group classical", "--group: expected once, got 2 times"),
        ("bnch", "no such command 'bnch'; did you mean 'bench'?"),
        ("store lst", "no such command 'lst'; did you mean 'list'?"),
        ("train heads", "no such command 'heads'; did you mean 'head'?"),
        ("bench --id digits,letters --ood patches", "--id: expected one name, got 'digits,letters'; repeat it"),
        ("bench --seeds 1", "--seeds: expected two or more different whole numbers"),
        ("bench --seeds 0,0", "--seeds: expected two or more different whole numbers"),
        ("bench --seeds 0,1 --seed 3", "--seeds: goes without --seed"),
        ("bench --seeds 0,1 --paired", "--seeds: goes without --paired"),
    ],
)
def test_wrong_usage_is_refused_with_what_to_do(oodkit, line, part):
    done = oodkit(line)
    assert (done.code, done.out) == (2, "")
    assert part in done.err


def test_flags_may_be_repeated_and_so_may_what_adds(oodkit):
    assert oodkit("scorers --json --json --needs text --needs logits").read
    done = oodkit("bench --dry-run --scorers msp --scorers knn --ood letters --strict --strict")
    assert (done.code, "scorers: msp, knn" in done.out) == (0, True)


def test_commands_of_plugins_count_and_chain_as_they_mean_to(oodkit, monkeypatch):
    from ood_toolkit.cli.program import cli

    @click.command("loud")
    @click.option("-v", "verbose", count=True)
    @click.option("--name")
    def loud(verbose, name):
        click.echo(f"{verbose} {name}")

    @click.group("steps", chain=True)
    def steps():
        pass

    steps.add_command(loud)
    monkeypatch.setattr(cli, "commands", {"loud": loud, "steps": steps})
    assert oodkit("loud -v -v --name a").out == "2 a\n"
    assert oodkit("steps loud --name a loud --name b").out == "0 a\n0 b\n"
    refused = oodkit("loud --name a --name b")
    assert (refused.code, "--name: expected once, got 2 times" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("bench --scorers MSP", "did you mean 'msp'?"),
        ("bench --scorers KNN:k=5", "did you mean 'knn'?"),
        ("bench --id CIFAR10 --ood food101", "did you mean 'cifar10'?"),
        ("bench --id digits --ood Letters", "did you mean 'letters'?"),
        ("bench --combiners VOTE --id digits --id letters --ood patches", "did you mean 'vote'?"),
    ],
)
def test_names_in_capitals_get_a_hint(oodkit, line, part):
    done = oodkit(line)
    assert done.code == 1
    assert part in done.err


def test_repeated_scorers_add(oodkit):
    rows = oodkit("bench --limit 60 --ood letters --scorers msp --scorers maxlogit,msp --format json").read["rows"]
    assert list(dict.fromkeys(row["scorer"] for row in rows)) == ["msp", "maxlogit"]


def test_seeds_give_mean_and_spread_of_runs_that_are_kept(oodkit, tmp_path):
    done = oodkit(
        "bench", "--limit", "60", "--ood", "letters", "--scorers", "msp", "--seeds", "0,1,2", "--format", "json",
        "--output", tmp_path / "out",
    )  # fmt: skip
    (row,) = [row for row in done.read if (row["kind"], row["ood"]) == ("ood", "letters")]
    alone = []
    for seed in range(3):
        found = json.loads((tmp_path / "out" / f"seed-{seed}" / "result.json").read_text())
        assert found["seed"] == seed
        alone += [r["metrics"]["auroc"] for r in found["rows"] if (r["kind"], r["ood"]) == ("ood", "letters")]
    mean = sum(alone) / 3
    assert row["runs"] == 3
    assert row["mean"]["auroc"] == pytest.approx(mean, rel=1e-12)
    assert row["std"]["auroc"] == pytest.approx((sum((a - mean) ** 2 for a in alone) / 2) ** 0.5, rel=1e-9)


def test_a_dry_run_says_what_is_here_and_encodes_nothing(oodkit, tmp_path):
    done = oodkit("bench --dry-run")
    assert done.code == 0
    assert "digits-clip" in done.out
    assert "360 test images, embedded" in done.out
    assert "scorers: classwise, grid, mean, msp, mcm" in done.out
    assert not (tmp_path / "store").exists()
    missing = oodkit("bench --dry-run --id cifar10 --ood letters --model digits-clip")
    assert missing.code == 1
    assert "here no" in missing.out
    assert oodkit("bench --dry-run --id digits --ood digits").code == 1


def test_what_a_preset_needs_is_listed(oodkit):
    done = oodkit("datasets check --preset imagenet1k-mos --json")
    assert done.code == 1
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert {"imagenet-1k", "inaturalist", "sun", "places", "textures", "ViT-B-16/openai"} <= set(rows)
    assert {row["here"] for row in rows.values()} == {"no"}
    assert "--download" in rows["ViT-B-16/openai"]["note"]
    assert oodkit("datasets check --preset imagenet1k-ms").code == 1


LOADED = """
import sys
from ood_toolkit.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({"torch", "sklearn", "open_clip"} & set(sys.modules)))
"""


def test_a_preset_on_an_empty_machine_says_all_that_is_missing_at_once(tmp_path):
    line = ["bench", "--preset", "imagenet1k-mos", "--store", str(tmp_path / "store"), "--data-root", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", LOADED, *line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "\n")  # nothing heavy was imported
    for name in ("ViT-B-16/openai", "imagenet-1k", "inaturalist", "sun", "places", "textures"):
        assert f" {name}: " in done.stderr
    assert "ILSVRC2012_img_val.tar" in done.stderr


def test_help_starts_without_torch_and_without_metrics():
    heavy = LOADED.replace('"open_clip"}', '"open_clip", "ood_toolkit.metrics"}')
    done = subprocess.run([sys.executable, "-c", heavy, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.endswith("\n\n")  # its last line, the list of what was imported, is empty


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for place in range(4):
        Image.fromarray(draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{place}.png")
    return f"folder:{folder}"


def test_foreign_pictures_are_scored_under_an_id_head_by_several_scorers(oodkit, pictures):
    line = ("score", "msp,energy", "--id", "digits", "--model", "digits-clip", "--images", pictures)
    rows = list(csv.DictReader(oodkit(*line).out.splitlines()))
    assert [row["id"] for row in rows] == ["0.png", "1.png", "2.png", "3.png"]
    assert list(rows[0]) == [
        "id", "prediction", "label", "confidence", "score:msp", "in_distribution:msp", "score:energy",
        "in_distribution:energy",
    ]  # fmt: skip
    assert {row["label"] for row in rows} == {""}
    assert {row["in_distribution:msp"] for row in rows} <= {"True", "False"}
    assert [float(row["score:msp"]) for row in rows] == [float(row["confidence"]) for row in rows]
    alone = oodkit("score", "msp", "--id", "digits", "--model", "digits-clip", "--images", pictures)
    scores = [row["score"] for row in csv.DictReader(alone.out.splitlines())]
    assert scores == [row["score:msp"] for row in rows]
    refused = oodkit(*line, "--split", "val")
    assert (refused.code, refused.out) == (2, "")
    assert "--split: does not go with --images" in refused.err
