"""`oodkit score`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_form
from ood_toolkit.report.cells import csv_rows
from ood_toolkit.store.kinds import Kind, beginning

if TYPE_CHECKING:
    from numpy import ndarray

    from ood_toolkit.api.scorer import Scorer
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.encode.sets import Sets
    from ood_toolkit.report.report import Report
    from ood_toolkit.report.results import Answers

HEADS = ("id", "prediction", "label", "confidence")
ROWS = Kind("table of scores", beginning(",".join(HEADS).encode()))


@click.command("score")
@click.argument("specs")
@click.option("--id", "name", required=True, metavar="NAME", help="ID set whose images are scored.")
@click.option(
    "--split",
    type=Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="Split to score.",
)
@click.option(
    "--images",
    metavar="SET",
    help="Score these pictures instead, labelled or not, such as folder:PATH, under the ID set's "
    "head; --split then does not apply.",
)
@options.model
@options.prompts
@options.head
@options.of(
    "val_split",
    help="Share of the test images to calibrate on; they are not scored. Default: the set's own validation, else 0.2.",
)
@options.recipe
@options.negatives
@options.texts
@options.seed
@options.limit
@options.encoding
@options.store
@click.option(
    "--output", type=Place(dir_okay=False), metavar="FILE",
    help="Write there instead of to stdout. Such a table that is there is replaced, any other file refused.",
)  # fmt: skip
def command(specs: str, name: str, split: str, images: str | None, output: Path | None, **where: Any) -> None:
    """Score the images of one set with SPECS, such as msp,knn:k=50, and print CSV.

    Columns: id, prediction, label, confidence, score, in_distribution; with several scorers the last two of each, as
    score:SPEC and in_distribution:SPEC.
    """
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.api.stream import each_alone
    from ood_toolkit.benchmark.checks import averaged, wants_averages
    from ood_toolkit.benchmark.opening import asked_by
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.store.files import replaced_file

    if images is not None and "split" in options.given():
        raise click.UsageError("--split: does not go with --images, which names the pictures")
    if output is not None:
        reserve(output, ROWS)
    groups = () if images is None else (images,)
    settings, registry = options.settings_of(ids=(name,), groups=groups, **where), get_registry()
    if wants_averages(settings):
        specs = averaged(specs, registry)
    scorers = [each_alone(one, "oodkit bench runs it on ID and OOD images together") for one in registry.scorers(specs)]
    with options.usage():
        settings = asked_by(settings, scorers, specs, registry)
    rows = _rows(scorers, options.open_sets(settings), settings, split)
    clear()
    if output is None:
        print_form(csv_rows(rows), "")
        return
    with replaced_file(output) as partial:
        partial.write_text(csv_rows(rows), encoding="utf-8", newline="")


def _rows(scorers: list[Scorer], sets: Sets, settings: Settings, split: str) -> list[list[Any]]:
    """Score a split, or the images of another set, and lay them out, header first; what there is not is left empty."""
    from ood_toolkit.benchmark.run import gathered
    from ood_toolkit.benchmark.runner import bench
    from ood_toolkit.cli.progress import Stderr
    from ood_toolkit.errors import DataError

    (name,) = settings.ids
    needs = {need for scorer in scorers for need in scorer.needs}
    member = gathered(settings, sets, needs, Stderr(), with_train=split == "train").members[name]
    val = member.val[name] if isinstance(member.val, Mapping) else member.val
    x = {"test": member.tests[name], "val": val, "train": member.train}[split]
    if x is None:
        raise DataError(f"{name}: has no {split} split")
    report = bench(scorers, members={name: replace(member, tests={name: x})})
    said = report.answers[name, f"ood:{settings.ood[0]}" if settings.ood else "test"]
    columns = [said.ids, said.prediction, said.truth, said.confidence]
    heads = list(HEADS)
    for scorer in scorers:
        heads += [part if len(scorers) == 1 else f"{part}:{scorer.spec}" for part in ("score", "in_distribution")]
        columns += [_scores_of(scorer, said, report), said.accepted.get(scorer.spec)]
    cells = [[""] * len(said) if column is None else column.tolist() for column in columns]
    return [heads, *map(list, zip(*cells, strict=True))]


def _scores_of(scorer: Scorer, said: Answers, report: Report) -> ndarray:
    """Give the scores (n,) of one scorer; `ScorerError` says why there are none."""
    from ood_toolkit.errors import ScorerError

    if scorer.spec not in said.scores:
        mine = [row for row in report.rows if row.scorer == scorer.spec]
        why = said.failed.get(scorer.spec) or next(note for row in mine for note in row.notes)
        raise ScorerError(f"{scorer.spec}: {why}")
    return said.scores[scorer.spec]
