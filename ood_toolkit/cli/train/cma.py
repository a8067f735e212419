"""`oodkit train cma`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.train import options as shared

if TYPE_CHECKING:
    from ood_toolkit.api.dataset import Pictures
    from ood_toolkit.encode.encoded_sets import EncodedSets
    from ood_toolkit.learning.cma.run import Material, Tuned


@click.command("cma")
@click.option("--id", "name", metavar="NAME", help="Labelled set to learn from; its val split is watched.")
@click.option(
    "--pairs",
    metavar="FILE|FOLDER",
    help="Learn from image-caption pairs instead: a CSV or TSV file, or webdataset shards.",
)
@click.option("--model", required=True, help="Model to fine-tune: one of open_clip, or digits-clip.")
@click.option(
    "--lambda",
    "weights",
    type=click.FloatRange(0, 1, max_open=True),
    multiple=True,
    default=(0.001,),
    show_default=True,
    help="Weight of the term that draws images and texts together; 0 is FLYP. Repeat it for a run with each.",
)
@options.prompts
@click.option("--crop/--no-crop", default=True, show_default=True, help="Take a random part of each picture, 0.9 to 1 "
              "of its area, or all of it.")  # fmt: skip
@shared.loop
@options.seed
@options.limit
@shared.output
@click.option("--plot", is_flag=True, help="Draw the course of gap and alignment; needs ood-toolkit[plots].")
@options.data_root
@options.of("download")
@options.of("workers")
@click.option("--device", default="cpu", show_default=True, help="Torch device to learn on, such as cuda.")
@options.store
@as_json
def command(
    name: str | None, pairs: str | None, weights: Sequence[float], output: Path, plot: bool, as_json: bool, **given: Any
) -> None:
    """Fine-tune both towers of a CLIP by cross-modal alignment (CMA), or as FLYP does.

    The model is written to a folder, DIR/model, that --model local-dir:DIR/model takes everywhere. The distance between
    images and texts (modality gap), their alignment, and zero-shot accuracy are told before and after.

    Several processes: torchrun --nproc-per-node 4 -m ood_toolkit train cma ... --device cuda
    """
    if name is None and pairs is None:
        raise click.UsageError("name a labelled set with --id, image-caption pairs with --pairs, or both")
    if given["prompts"] and name is None:
        raise click.UsageError("--prompts: pairs have captions of their own; it goes with --id")
    from ood_toolkit.cli.reserving import reserve

    reserve(output)
    if plot:
        from ood_toolkit.learning.cma.gap import check_plots

        check_plots()
    from ood_toolkit.models.precision import check_device

    check_device(given["device"])
    model, material = _opened(name, pairs, **given)
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.cli.streams import print_message
    from ood_toolkit.learning.captions import notes_of
    from ood_toolkit.learning.cma.run import fine_tune
    from ood_toolkit.learning.cma.task import PLAN, CMARecipe
    from ood_toolkit.learning.ranks import Ranks

    plan = shared.plan(PLAN, **given)
    recipes = [CMARecipe(weight, plan, given["crop"]) for weight in weights]
    for note in notes_of(model, [material.pairs]):
        print_message(note)
    ranks = Ranks.joined(given["device"])
    try:
        tuned = fine_tune(
            model,
            material,
            recipes,
            output,
            ranks=ranks,
            resume=given["resume"],
            plot=plot,
            progress=(lambda what, done, of: progress(what, done, of, "steps")) if ranks.first else _silent,
            report=(lambda recipe, epoch: shared.told(epoch, plan.epochs)) if ranks.first else _silent,
            passed_over=shared.tell_finished if ranks.first else _silent,
        )
    finally:
        clear()
        ranks.leave()
    if ranks.first:
        _print(tuned, as_json)


def _silent(*said: Any) -> None:
    """Leave the telling to the first process."""


def _opened(
    name: str | None, pairs: str | None, *, model: str, prompts: Sequence[str], store: Path | None, workers: int | None,
    seed: int, limit: int | None, data_root: Path | None, download: bool, **more: Any,
) -> tuple[Any, Material]:  # fmt: skip
    """Load the model and find what it learns from."""
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.encode.encoded_sets import EncodedSets
    from ood_toolkit.store.files import default_store

    settings = options.settings_of(
        ids=(name,) if name else (), model=model, store=store, data_root=data_root, download=download, seed=seed,
        limit=limit, prompts=prompts, workers=workers,
    )  # fmt: skip
    sets = options.open_sets(settings, needs_pictures=True)
    if not isinstance(sets, EncodedSets):
        raise click.UsageError(f"--model: {sets.label!r} is the label of imported arrays, and no model that can learn")
    from ood_toolkit.benchmark.heads import templates_of
    from ood_toolkit.data.readers.captions import read_pairs
    from ood_toolkit.learning.cma.run import material_of
    from ood_toolkit.models.saving import check_savable

    check_savable(sets.model)
    read = None if pairs is None else (pairs, read_pairs(pairs))
    has_val = name is not None and sets.has(name, "val", download=True)
    progress("hashing pictures")
    material = material_of(
        name,
        _pictures(sets, name, "train") if name and read is None else None,
        _pictures(sets, name, "val") if name and has_val else None,
        templates_of(settings, sets, name) if name else (),
        pairs=read,
        store=store or default_store(),
        seed=seed,
        threads=sets.place.effort.threads,
    )
    clear()
    return sets.model, material


def _pictures(sets: EncodedSets, name: str, split: str) -> Pictures:
    from ood_toolkit.api.dataset import Pictures

    found = sets.pictures(name, split)
    assert isinstance(found, Pictures)  # sets were opened with needs_pictures
    return found


def _print(tuned: Sequence[Tuned], as_json: bool) -> None:
    """Print what was measured, as a table or as JSON, and where each model lies."""
    from ood_toolkit.cli.streams import print_form, print_json, print_line, shape

    if as_json:
        said = [
            {"lambda": one.weight, "model": str(one.folder / "model"), "split": one.split, "before": one.before,
             "after": one.after}
            for one in tuned
        ]  # fmt: skip
        print_json(said)
        return
    from ood_toolkit.report.grid import Grid
    from ood_toolkit.report.table import laid_out

    heads = {"gap": "gap", "alignment": "alignment", "accuracy": "accuracy", "image_uniformity": "uniformity, images",
             "text_uniformity": "texts"}  # fmt: skip
    shown = [key for key in heads if key in tuned[0].before]
    lines = [("before", tuned[0].before), *((f"lambda {one.weight:g}", one.after) for one in tuned)]
    rows = [[label, *(_cell(key, values[key]) for key in shown)] for label, values in lines]
    title = f"Images and texts of the {tuned[0].split} split"
    grid = Grid(title, ["", *(heads[key] for key in shown)], rows, [False] * len(rows), 1)
    notes = [f"{len(one.unreadable)} unreadable pictures were left out" for one in tuned[:1] if one.unreadable]
    print_form(laid_out([], [grid], notes, *shape()).lstrip("\n"))
    for one in tuned:
        print_line(f"use it with --model local-dir:{one.folder / 'model'}")


def _cell(key: str, value: float) -> str:
    return f"{100 * value:.2f} %" if key == "accuracy" else f"{value:.4f}"
