"""`oodkit train clipn`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.train import options as shared

if TYPE_CHECKING:
    from ood_toolkit.learning.clipn.run import ClipnRun, Source, Taught

LOOP = ("epochs", "batch", "learning_rate", "weight_decay", "warmup", "accumulate", "amp", "checkpoint_every")
RUN = ("crop", "skip_alike")


@click.command("clipn")
@click.option("--id", "name", metavar="NAME", help="Labelled set whose train split is learnt from, each class name in "
              "a template.")  # fmt: skip
@click.option("--pairs", multiple=True, metavar="FILE|FOLDER|GLOB", help="Image-caption pairs: a CSV or TSV file, or "
              "webdataset shards. Repeat it for several; with --id they come along.")  # fmt: skip
@click.option("--model", required=True, help="Model to teach: a CLIP of open_clip with a plain text tower, or "
              "digits-clip.")  # fmt: skip
@click.option("--hand-crafted", is_flag=True, help="Let the second tower read paired \"no\" sentences, CLIPN's 128, "
              "or those of --prompts and --no-prompts, in place of learning 16 prompts.")  # fmt: skip
@click.option("--no-prompts", "no_prompts", multiple=True, metavar="TEMPLATE", help="With --hand-crafted: what says no "
              "to each of --prompts, such as \"a photo of no {}\".")  # fmt: skip
@click.option("--quotes/--no-quotes", default=True, show_default=True, help="Put the sentences of --hand-crafted in "
              "quotes, as CLIPN's are.")  # fmt: skip
@options.prompts
@click.option("--crop/--no-crop", default=True, show_default=True, help="Take a random part of each picture, 0.9 to 1 "
              "of its area, anew in every epoch; without, images come from the store.")  # fmt: skip
@click.option("--skip-alike/--keep-alike", default=True, show_default=True, help="Leave pairs of two pictures with one "
              "caption or class out of the \"no\" loss, where the paper has all pairs.")  # fmt: skip
@shared.loop
@options.seed
@options.limit
@shared.output
@options.encoding
@options.store
def command(name: str | None, pairs: Sequence[str], output: Path, resume: bool, **given: Any) -> None:
    """Teach a copy of a model's text tower to say "no", as CLIPN does; all else of the model stays as it is.

    Writes epoch_N.pt, in CLIPN's own layout, which --model clipn:ARCH/FILE takes, and with --id no_classifier.npz,
    which --texts no=FILE takes.

    Several processes: torchrun --nproc-per-node 4 -m ood_toolkit train clipn ... --device cuda
    """
    if name is None and not pairs:
        raise click.UsageError("name a labelled set with --id, image-caption pairs with --pairs, or both")
    if given["prompts"] and name is None:
        raise click.UsageError("--prompts: goes with --id")
    shared.kept(output, resume=resume)
    crafted = _crafted(given["prompts"], *(given.pop(key) for key in ("no_prompts", "hand_crafted", "quotes")))
    run = _opened(name, pairs, crafted=crafted, **given)
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.cli.streams import print_message
    from ood_toolkit.learning.captions import notes_of

    for note in notes_of(run.model, [source.pairs for source in run.sources], sum(crafted or (), ())):
        print_message(note)
    taught = run.learn(
        output, resume=resume, report=lambda epoch: shared.told(epoch, run.plan.epochs),
        passed_over=shared.tell_finished,
    )  # fmt: skip
    clear()
    if taught is not None:
        _tell(taught, given["model"], name, output)


def _crafted(
    prompts: Sequence[str], no_prompts: Sequence[str], hand_crafted: bool, quotes: bool
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Give the paired sentences of the hand-crafted variant; None where prompts are learnt."""
    from ood_toolkit.benchmark.reading import read_prompts
    from ood_toolkit.models.templates import clipn_templates

    if not hand_crafted:
        if no_prompts:
            raise click.UsageError("--no-prompts: goes with --hand-crafted")
        return None
    if not prompts and not no_prompts:
        return clipn_templates(quotes)
    yes, no = read_prompts(prompts), read_prompts(no_prompts)
    if len(yes) != len(no):
        raise click.UsageError(
            f"--no-prompts: expected one for each of --prompts, which has {len(yes)}, got {len(no)}; with neither, "
            "CLIPN's 128 pairs are read"
        )
    return yes, no


def _opened(
    name: str | None, pairs: Sequence[str], seed: int, prompts: Sequence[str], crafted: Any, **given: Any
) -> ClipnRun:
    """Load the model, and find what it learns from."""
    own, loop = {key: given.pop(key) for key in RUN}, {key: given.pop(key) for key in LOOP}
    from ood_toolkit.data.readers.captions import read_pairs
    from ood_toolkit.learning.clipn.run import ClipnRun, Source

    read = [Source(place, read_pairs(place)) for place in pairs]
    names = (name,) if name else ()
    wanted = prompts or ("own",)
    settings = options.settings_of(ids=names, seed=seed, prompts=wanted, **given)
    sets = options.open_sets(settings, needs_pictures=True)
    from ood_toolkit.benchmark.heads import templates_of
    from ood_toolkit.cli.progress import progress
    from ood_toolkit.encode.encoded_sets import EncodedSets
    from ood_toolkit.learning.clipn.task import PAPER

    if not isinstance(sets, EncodedSets):
        raise click.UsageError(f"--model: {sets.label!r} is the label of imported arrays, and no model that can learn")
    labelled = [_labelled(sets, name, templates_of(settings, sets, name))] if name else []
    classes = sets.pictures(name, "train").classes if name else ()
    plan, place = shared.plan(PAPER, seed, **loop), sets.place
    return ClipnRun(
        sets.model, [*labelled, *read], plan, place.store, place.effort, classes, crafted, **own,
        progress=lambda what, done, of: progress(what, done, of, "steps" if what == "training" else "images"),
    )  # fmt: skip


def _labelled(sets: Any, name: str, templates: Sequence[str]) -> Source:
    from ood_toolkit.data.readers.captions import labelled_pairs
    from ood_toolkit.learning.clipn.run import Source

    sets.look_for([name], "train")
    return Source(name, labelled_pairs(sets.pictures(name, "train"), templates), labelled=True)


def _tell(taught: Taught, base: str, name: str | None, output: Path) -> None:
    """Print what was written, and how it is used."""
    from ood_toolkit.cli.streams import print_command, print_line, print_message
    from ood_toolkit.learning.record import EPOCHS, RECORD

    files = [Path(taught.model.partition(":")[2]).name, *([taught.classifier.name] if taught.classifier else [])]
    print_line(f"written to {output}: {', '.join([*files, RECORD, EPOCHS])}")
    if taught.unreadable:
        print_message(f"{len(taught.unreadable):,} pictures could not be read; {RECORD} names them")
    scorers = "--scorers mcm,clipn-atd,clipn-ctw"
    shown = shlex.quote(name or "NAME")
    print_command(f"oodkit bench --model {shlex.quote(taught.model)} --id {shown} --ood NAME {scorers}")
    if taught.classifier:
        light = shlex.quote(f"no={taught.classifier}")
        print_command(f"oodkit bench --model {shlex.quote(base)} --id {shown} --ood NAME {scorers} --texts {light}")
