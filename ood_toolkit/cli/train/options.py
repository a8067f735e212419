"""Options that the commands of `oodkit train` with an optimisation loop share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place

if TYPE_CHECKING:
    from ood_toolkit.learning.loop import Plan

__all__ = ["LOOP", "kept", "loop", "output", "plan", "tell_finished", "told"]

Command = Callable[..., Any]
LOOP = (
    click.option("--epochs", type=click.IntRange(1), help="Passes over the examples."),
    click.option("--batch", type=click.IntRange(2), help="Examples in a step, all processes together."),
    click.option("--lr", "learning_rate", type=click.FloatRange(0, min_open=True), help="Learning rate."),
    click.option("--weight-decay", type=click.FloatRange(0), help="Weight decay."),
    click.option("--warmup", type=click.IntRange(0), help="Steps in which the learning rate rises."),
    click.option("--accumulate", type=click.IntRange(1), help="Parts that a batch is embedded in, to save memory; "
                 "the gradient stays that of the whole batch.  [default: 1]"),
    click.option("--amp", type=Choice(["fp32", "bf16", "fp16"]), help="Mixed precision of the towers while they "
                 "learn.  [default: fp32]"),
    click.option("--checkpoint-every", type=click.IntRange(0), help="Steps between checkpoints, beside the one at each "
                 "epoch's end."),
    click.option("--resume", is_flag=True, help="Go on with the run in the folder of --output that was stopped."),
)  # fmt: skip
output = click.option(
    "--output",
    required=True,
    type=Place(file_okay=False),
    metavar="DIR",
    help="New folder for what is learnt.",
)


def loop(command: Command) -> Command:
    """Add the options of the optimisation loop; the ones left out keep the values of the recipe."""
    for option in reversed(LOOP):
        command = option(command)
    return command


def kept(output: Path, *, resume: bool) -> None:
    """Keep a run's folder for this command, refused here if it cannot be used."""
    from ood_toolkit.cli.reserving import reserve

    reserve(output)
    from ood_toolkit.learning.checkpoint import check_training_folder, is_finished

    if not (resume and is_finished(output)):
        check_training_folder(output, resume=resume)


def tell_finished(folder: Path) -> None:
    """Say that a training run is finished."""
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.cli.streams import print_message

    clear()
    print_message(f"{folder}: the training run is finished, so there is nothing to go on with")


def plan(default: Plan, seed: int, amp: str | None = None, **given: Any) -> Plan:
    """Put the options that were given in the place of a recipe's values."""
    from dataclasses import fields, replace

    known = {field.name for field in fields(default)}
    wanted = {name: value for name, value in {**given, "precision": amp}.items() if value is not None}
    return replace(default, seed=seed, **{name: value for name, value in wanted.items() if name in known})


def told(epoch: dict[str, float], of: int) -> None:
    """Say on stderr what an epoch ended with."""
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.cli.streams import print_message

    clear()
    values = "  ".join(f"{name} {value:.4g}" for name, value in epoch.items() if name != "epoch")
    print_message(f"epoch {epoch['epoch']:.0f}/{of}  {values}")
