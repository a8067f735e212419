"""`oodkit train prompts`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.streams import print_command, print_line
from ood_toolkit.cli.train import options as shared

if TYPE_CHECKING:
    from ood_toolkit.encode.encoded_sets import EncodedSets
    from ood_toolkit.learning.prompts.run import ContextRun, Lesson

RECIPE = ("method", "length", "class_specific", "entropy_weight", "top")
RUN = ("shots", "crop", "flip", "warmup")
LOOP = ("epochs", "batch", "learning_rate", "weight_decay", "accumulate", "amp", "checkpoint_every")


@click.command("prompts")
@click.option("--id", "name", required=True, metavar="NAME", help="Labelled set whose train split is learnt from.")
@options.model
@click.option("--method", type=Choice(["coop", "locoop"]), default="coop", show_default=True, help="CoOp, or "
              "LoCoOp, which also makes patches unsure that do not show the class.")  # fmt: skip
@click.option("--shots", type=click.IntRange(1), help="Images of each class, drawn with the seed.  [default: all]")
@click.option("--context", "length", type=click.IntRange(1), default=16, show_default=True, help="Vectors that stand "
              "before a class name.")  # fmt: skip
@click.option("--class-specific", is_flag=True, help="Give each class vectors of its own.")
@click.option("--lambda", "entropy_weight", type=click.FloatRange(0), help="LoCoOp: weight of the patches' entropy.  "
              "[default: 0.25]")  # fmt: skip
@click.option("--topk", "top", type=click.IntRange(1), help="LoCoOp: a patch shows the class of its image if that is "
              "among so many most probable ones.  [default: a fifth of the classes; 200 of ImageNet's]")  # fmt: skip
@click.option("--crop/--no-crop", default=True, show_default=True, help="Take a random part of each picture anew in "
              "every epoch; without, CoOp takes images from the store.")  # fmt: skip
@click.option("--flip/--no-flip", default=True, show_default=True, help="Mirror every other such part.")
@shared.loop
@options.seed
@shared.output
@options.encoding
@options.store
def command(name: str, output: Path, resume: bool, **given: Any) -> None:
    """Learn the context of a prompt (CoOp, LoCoOp) from labelled images; both towers of the model stay as they are.

    Writes context.npz, which --model NAME:context=FILE takes, and head.safetensors, which --head takes.
    """
    for option, key in (("--lambda", "entropy_weight"), ("--topk", "top")):
        if given[key] is not None and given["method"] != "locoop":
            raise click.UsageError(f"{option}: goes with --method locoop")
    shared.kept(output, resume=resume)
    run, sets = _opened(name, **given)
    from ood_toolkit.cli.progress import clear

    train = run.lesson(name, "train", sets.pictures(name, "train"))
    val = run.lesson(name, "val", sets.pictures(name, "val")) if sets.has(name, "val", download=True) else None
    clear()
    learnt = run.learn(
        train, val, output, resume=resume, report=lambda epoch: shared.told(epoch, run.plan.epochs),
        passed_over=shared.tell_finished,
    )  # fmt: skip
    clear()
    if learnt is not None:
        _tell(run, train, output, learnt)


def _opened(name: str, seed: int, **given: Any) -> tuple[ContextRun, EncodedSets]:
    """Load the model, and settle what is learnt and how."""
    recipe = {key: value for key in RECIPE if (value := given.pop(key)) is not None}
    own, loop = {key: given.pop(key) for key in RUN}, {key: given.pop(key) for key in LOOP}
    sets = options.open_sets(options.settings_of(ids=(name,), seed=seed, **given), needs_pictures=True)
    from ood_toolkit.cli.progress import progress
    from ood_toolkit.encode.encoded_sets import EncodedSets
    from ood_toolkit.learning.prompts.run import ContextRun
    from ood_toolkit.learning.prompts.task import PLAN, ContextRecipe

    if not isinstance(sets, EncodedSets):
        raise click.UsageError(
            f"--model: {sets.label!r} is the label of imported arrays; no prompt can be learnt for it"
        )
    sets.look_for([name], "train")
    plan, place = shared.plan(PLAN, seed, **loop), sets.place
    return ContextRun(
        sets.model,
        ContextRecipe(**recipe, seed=seed),
        plan,
        place.store,
        place.effort,
        sets.origin(),
        progress=progress,
        **own,
    ), sets


def _tell(run: ContextRun, train: Lesson, output: Path, learnt: Mapping[str, float]) -> None:
    """Say what was learnt, where it lies and how it is used."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.learning.prompts.run import CONTEXT, HEAD
    from ood_toolkit.models.names import canonical, find_model

    file = output / CONTEXT
    choice = find_model(run.model.name, get_registry())
    model = canonical(choice.entry.name, choice.argument, {**choice.options, "context": str(file)})
    values = ", ".join(f"{name} {value:.4g}" for name, value in learnt.items())
    print_line(f"learnt {run.recipe.length} vectors of {len(train.labels):,} images of {train.name}: {values}")
    print_line(f"wrote {file} and {output / HEAD}")
    print_command(f"test it: oodkit bench --model {shlex.quote(model)} --id {shlex.quote(train.name)} --ood NAME")
    head = f"--model {shlex.quote(run.model.name)} --head {shlex.quote(str(output / HEAD))}"
    print_command(f"or without its text tower: {head}")
