"""`oodkit score`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_form
from ood_toolkit.report.cells import csv_rows

if TYPE_CHECKING:
    from ood_toolkit.api.scorer import Scorer
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.encode.sets import Sets


@click.command("score")
@click.argument("spec")
@click.option("--id", "name", required=True, metavar="NAME", help="ID set whose images are scored.")
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="Split to score.",
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
@click.option("--output", type=Place(), metavar="FILE", help="Write there instead of to stdout.")
def command(spec: str, name: str, split: str, output: Path | None, **where: Any) -> None:
    """Score the images of one set with SPEC and print CSV.

    Columns: id, prediction, label, confidence, score, in_distribution.
    """
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.api.stream import each_alone
    from ood_toolkit.benchmark.checks import averaged, wants_averages
    from ood_toolkit.benchmark.opening import asked_by
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.store.files import replaced_file

    settings, registry = options.settings_of(ids=(name,), **where), get_registry()
    if wants_averages(settings):
        spec = averaged(spec, registry)
    scorer = each_alone(registry.scorer(spec), "oodkit bench runs it on ID and OOD images together")
    with options.usage():
        settings = asked_by(settings, [scorer], spec, registry)
    rows = _rows(scorer, options.opened(settings), settings, split)
    clear()
    if output is None:
        print_form(csv_rows(rows), "")
        return
    with replaced_file(output) as partial:
        partial.write_text(csv_rows(rows), encoding="utf-8", newline="")


def _rows(scorer: Scorer, sets: Sets, settings: Settings, split: str) -> list[list[Any]]:
    """Score one split and lay its images out, header first; what there is not is left empty."""
    from ood_toolkit.benchmark.run import gathered
    from ood_toolkit.benchmark.runner import bench
    from ood_toolkit.cli.progress import Stderr
    from ood_toolkit.errors import DataError, ScorerError

    (name,) = settings.ids
    member = gathered(settings, sets, scorer.needs, Stderr(), with_train=split == "train").members[name]
    val = member.val[name] if isinstance(member.val, Mapping) else member.val
    x = {"test": member.tests[name], "val": val, "train": member.train}[split]
    if x is None:
        raise DataError(f"{name}: has no {split} split")
    report = bench(scorer, members={name: replace(member, tests={name: x}, ood={})})
    said = report.answers[name, "test"]
    if scorer.spec not in said.scores:
        why = said.failed.get(scorer.spec) or next(note for row in report.rows for note in row.notes)
        raise ScorerError(f"{scorer.spec}: {why}")
    columns = [said.ids, said.prediction, said.truth, said.confidence, said.scores[scorer.spec]]
    columns.append(said.accepted.get(scorer.spec))
    cells = [[""] * len(said) if column is None else column.tolist() for column in columns]
    return [
        ["id", "prediction", "label", "confidence", "score", "in_distribution"],
        *map(list, zip(*cells, strict=True)),
    ]
