"""`oodkit train head`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.streams import print_command, print_form, print_json, print_line, shape
from ood_toolkit.cli.train import options as shared
from ood_toolkit.scorers.rules import RULES

if TYPE_CHECKING:
    from ood_toolkit.learning.heads.run import HeadRun

PRESETS = ("default", "adamw", "ust-etri")
RECIPE = ("input", "scale", "epochs", "batch", "learning_rate", "momentum", "weight_decay", "patience", "folds", "rule")
"""Options that take the place of what the preset says."""
EMBEDDED = ("letters", "patches")


@click.command("head")
@click.option("--id", "ids", multiple=True, required=True, metavar="NAME", help="ID set to learn; repeat it for a head "
              "of each.")  # fmt: skip
@options.model
@click.option("--preset", type=Choice(PRESETS), default="default", show_default=True, help="Recipe: L-BFGS to "
              "the minimum, AdamW with early stopping, or the seminar's SGD.")  # fmt: skip
@click.option("--input", type=Choice(["embeddings", "features"]), help="Learn from unit rows, or from features "
              "as the model emits them.  [default: embeddings; ust-etri: features]")  # fmt: skip
@click.option("--scale", type=click.FloatRange(0, min_open=True), help="What the rows are multiplied by.  [default: 1; "
              "adamw: 20]")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images; of L-BFGS at most so many times five "
              "iterations.  [default: 40; adamw: 50; ust-etri: 10]")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Images in a step.  [adamw: 128; ust-etri: 16]")
@click.option("--lr", "learning_rate", type=click.FloatRange(0, min_open=True), help="Learning rate.  [adamw: 0.003; "
              "ust-etri: 0.001]")  # fmt: skip
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="Momentum of SGD.  [ust-etri: 0.99]")
@click.option("--weight-decay", type=click.FloatRange(0), help="Weight decay.  [default and adamw: searched on "
              "validation; ust-etri: 0]")  # fmt: skip
@click.option("--patience", type=click.IntRange(1), help="Epochs without a better validation accuracy before training "
              "stops.  [adamw: 10; others: never]")  # fmt: skip
@click.option("--rule", type=Choice(RULES), help="What gives the class-wise confidence thresholds at the end of "
              "each epoch.  [default: tpr]")  # fmt: skip
@click.option("--val-split", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share of the training "
              "images to validate on instead of learning from them.  [default: the set's own validation, else folds; "
              "ust-etri: else 0.2]")  # fmt: skip
@click.option("--folds", type=click.IntRange(2), help="Without validation: parts of the training images that take "
              "turns as validation, before the head learns from all of them.  [default: 5]")  # fmt: skip
@options.seed
@options.limit
@options.encoding
@options.store
@shared.output
@click.option("--plot", is_flag=True, help="Also draw curves.png; needs ood-toolkit[plots].")
@as_json
def command(preset: str, output: Path, plot: bool, as_json: bool, ids: tuple[str, ...], **given: Any) -> None:
    """Learn a linear head on the embeddings of a frozen model, taken from the store.

    Writes DIR/<id>/head.safetensors, which --head takes, training.json and epochs.csv.
    """
    from ood_toolkit.cli.progress import clear, encoded, progress
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.learning.heads.recipe import find_recipe
    from ood_toolkit.report.run_folder import check_new_folder

    changed = {key: value for key in RECIPE if (value := given.pop(key)) is not None}
    if "folds" in changed and given["val_split"] is not None:
        raise click.UsageError("--folds and --val-split are two kinds of validation; give one")
    recipe = find_recipe(preset).changed(seed=given["seed"], **changed)
    reserve(output)
    check_new_folder(output)
    if plot:
        from ood_toolkit.learning.cma.gap import check_plots

        check_plots()
    names = tuple(dict.fromkeys(name.strip() for name in ids))
    settings = options.settings_of(ids=names, **given)
    sets = options.open_sets(settings, splits=("train", "test"))
    from ood_toolkit.learning.heads.run import train_heads, write_heads

    start = time.monotonic()
    runs = train_heads(recipe, settings, sets, progress)
    clear()
    encoded(sets.about(), time.monotonic() - start)
    files = write_heads(runs, output, plot=plot)
    if as_json:
        print_json([_facts(run, file) for run, file in zip(runs, files, strict=True)])
        return
    for run in runs:
        _print(run)
    _print_use(names, output, files, sets.label, given)


def _facts(run: HeadRun, file: Path) -> dict[str, Any]:
    """Say of a head what the table shows."""
    trained = run.trained
    return {
        "id": run.material.name,
        "head": str(file),
        "epoch": trained.epoch,
        "weight_decay": trained.weight_decay,
        "validation": trained.validation,
        "notes": list(trained.notes),
        "epochs": [epoch.flat(run.material.classes) for epoch in trained.history],
    }


def _print(run: HeadRun) -> None:
    """Print the course of a head, epoch by epoch, with the least, mean and largest threshold of its classes."""
    from ood_toolkit.report.grid import Grid
    from ood_toolkit.report.table import laid_out

    trained, train = run.trained, run.material.data["train"]
    rows = []
    for one in trained.history:
        cuts = one.thresholds
        cells = [one.loss, 100 * one.train_accuracy, one.val_loss, 100 * one.val_accuracy]
        cells += [cuts.min(), cuts.mean(), cuts.max()]
        kept = "*" if one.epoch == trained.epoch else ""
        rows.append(
            [f"{kept}{one.epoch}", *(f"{cell:.{2 if place in (1, 3) else 3}f}" for place, cell in enumerate(cells))]
        )
    title = f"{run.material.name}: {train['images']:,} images of {len(run.material.classes)} classes"
    columns = ["epoch", "loss", "acc. %", "val loss", "val acc. %", "thr. low", "mean", "high"]
    grid = Grid(title, columns, rows, [False] * len(rows), 0)
    searched = "searched" if trained.searched else "given"
    notes = [
        f"* kept; weight decay {trained.weight_decay:.3g} ({searched}); validation: {trained.validation}",
        *trained.notes,
    ]
    print_form(laid_out([], [grid], notes, *shape()).lstrip("\n") + "\n")


def _print_use(names: Sequence[str], output: Path, files: Sequence[Path], label: str, given: dict[str, Any]) -> None:
    """Say where the heads lie, and the command that tests them."""
    for file in files:
        print_line(f"wrote {file}")
    words = ["oodkit", "bench", *(word for name in names for word in ("--id", name)), "--head", str(output)]
    words += ["--model", label, "--ood", ",".join(EMBEDDED) if _are_embedded(names) else "NAME"]
    words += ["--combiners", "max-confidence"] if len(names) > 1 else []
    for option in ("store", "data_root", "precision", "limit"):
        if given[option] is not None:
            words += [f"--{option.replace('_', '-')}", str(given[option])]
    print_command(f"test: {shlex.join(words)}")


def _are_embedded(names: Sequence[str]) -> bool:
    """Tell whether the pictures of all sets come with this package."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.encode.choice import find_dataset

    found = [find_dataset(get_registry(), name) for name in names]
    return all(one is not None and one.embedded for one in found)
