"""`oodkit fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_json, print_line


@click.command("fit")
@click.argument("spec")
@click.option("--id", "ids", required=True, metavar="NAME", help="ID set to fit and calibrate on.")
@click.option(
    "--rule",
    default="tpr",
    show_default=True,
    metavar="RULE",
    help="Where the threshold lies: tpr, mean, f1, youden, conformal[:by=predicted|true], pac, risk or cost, each with "
    "its parameters, such as pac:target=0.95:delta=0.05. docs/thresholds.md has them all, docs/guarantees.md what each "
    "promises.",
)
@options.of("groups", help="OOD sets, whose share detected is measured and recorded; nothing is fitted on them.")
@click.option(
    "--output", "-o", "file", required=True, type=Place(dir_okay=False), metavar="FILE",
    help="File to write the detector to; a detector that is there is replaced, any other file refused.",
)  # fmt: skip
@click.option("--accept-all", is_flag=True, help="Write a detector also where its threshold accepts everything.")
@click.option("--allow-same", is_flag=True, help="Calibrate also on the very images that the scorer is trained on.")
@options.model
@options.prompts
@options.head
@options.of("val_split", help="Share of the test images to calibrate on. Default: the set's own validation, else 0.2.")
@options.recipe
@options.negatives
@options.texts
@options.keep
@options.seed
@options.limit
@options.encoding
@options.store
@as_json
def command(
    spec: str, ids: str, rule: str, file: Path, accept_all: bool, allow_same: bool, as_json: bool, **where: Any
) -> None:
    """Fit SPEC on an ID set, calibrate its threshold, and write one file that decides: the detector.

    Prints its operating point: how many ID images it accepts and with what guarantee, the worst classes, and how much
    of each OOD set it detects. oodkit predict decides with the file, oodkit inspect shows it again.
    """
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.fitted_detector import fit_detector
    from ood_toolkit.cli.progress import Stderr, clear
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.detectors.places import DETECTOR
    from ood_toolkit.errors import DetectorError

    if not file.parent.is_dir():
        raise DetectorError(f"{file}: its folder does not exist; make it first")
    reserve(file, DETECTOR)
    settings = options.settings_of(ids=(ids,), scorers=(spec,), **where)
    with options.usage():
        made = fit_detector(settings, get_registry(), Stderr(), rule, accept_all=accept_all, allow_same=allow_same)
    made.save(file)
    clear()
    from ood_toolkit.detectors.summary import facts, summary

    if as_json:
        print_json(facts(made))
        return
    print_line(f"{file}: {made.digest}")
    for line in summary(made):
        print_line(line)
