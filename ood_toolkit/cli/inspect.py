"""`oodkit inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.reserving import reserve
from ood_toolkit.cli.streams import print_form, print_json, print_line, shape
from ood_toolkit.detectors.places import DETECTOR


@click.command("inspect")
@click.argument("file", type=Place())
@click.option(
    "--move", "rule", metavar="RULE", help="Write a copy with the thresholds of another rule, from the stored rows."
)
@click.option(
    "--output", "-o", type=Place(dir_okay=False), metavar="FILE",
    help="With --move: the copy; a detector that is there is replaced, any other file refused.",
)  # fmt: skip
@click.option("--accept-all", is_flag=True, help="With --move: write the copy also where it accepts everything.")
@as_json
def command(file: Path, rule: str | None, output: Path | None, accept_all: bool, as_json: bool) -> None:
    """Show what a detector is: its operating point, its guarantee, and its calibration scores with the threshold."""
    if (rule is None) != (output is None):
        raise click.UsageError("--move RULE and -o FILE go together")
    if accept_all and rule is None:
        raise click.UsageError("--accept-all goes with --move")
    if output is not None:
        reserve(output, DETECTOR)
    from ood_toolkit.cli.progress import Stderr, clear

    Stderr().loading()
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.detectors.summary import facts, histogram, summary
    from ood_toolkit.errors import OodkitError

    made = Detector.load(file)
    clear()
    if rule is not None and output is not None:
        try:
            made = made.moved(rule)
            made.check_rejects(accept_all=accept_all)
        except OodkitError as error:
            raise type(error)(f"{file}: {error}") from None
        made.save(output)
    if as_json:
        print_json(facts(made))
        return
    print_line(f"{file if output is None else output}: {made.digest}")
    for line in summary(made):
        print_line(line)
    if made.rows is not None:
        by_class = made.class_thresholds is not None
        print_line(f"calibration scores{', each compared with the threshold of its predicted class' * by_class}:")
        for line in histogram(made.rows, None if by_class else made.threshold, shape()[0] or 80):
            print_form(line)
