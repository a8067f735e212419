"""`oodkit monitor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli.deciding import deciding, finder_of, gate_of
from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_json, print_line

if TYPE_CHECKING:
    from ood_toolkit.detectors.monitoring.feed import Feed

ALARM = 3
"""Exit code."""


@click.command("monitor")
@click.argument("file", type=Place())
@click.option(
    "--on", "words", multiple=True, metavar="SET|PATH|predictions.jsonl",
    help="What to look at, in its order: JSON lines of oodkit predict, or what that takes. Repeat it for more.",
)  # fmt: skip
@click.option(
    "--state", type=Place(dir_okay=False), metavar="FILE",
    help="Go on from there, and write it again: what was fed before adds nothing.",
)  # fmt: skip
@click.option("--reset", is_flag=True, help="With --state: begin again after an alarm was handled, before --on is fed.")
@click.option(
    "--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="CHANCE",
    help="Chance of any false alarm, ever, up to a reset; kept in the state.  [default: 0.01]",
)  # fmt: skip
@deciding
@as_json
def command(
    file: Path,
    words: tuple[str, ...],
    state: Path | None,
    reset: bool,
    alpha: float | None,
    as_json: bool,
    **where: Any,
) -> int:
    """Tell whether the images that the detector in FILE sees are still like those it was calibrated on.

    Shows the share rejected beside its prediction, scores and class mix beside those of calibration, and evidence of
    drift that may be looked at any time. The exit code is 3 from an alarm on until --reset. Predictions of another
    detector, or made with --only, are refused.
    """
    if not words and state is None:
        raise click.UsageError("name what to look at with --on, or what was seen before with --state")
    if reset and state is None:
        raise click.UsageError("--reset goes with --state")
    from ood_toolkit.cli.progress import Stderr, clear, progress

    Stderr().loading()
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.detectors.monitoring.feed import feed_of
    from ood_toolkit.detectors.monitoring.watch import watch

    detector = Detector.load(file)
    gate, finder = gate_of(file, detector, where), finder_of(detector, where)

    def feeds() -> Iterator[Feed]:
        return (feed_of(word, detector, gate, finder, where["column"]) for word in words)

    made = watch(detector, feeds, state, alpha, reset=reset, progress=lambda done: progress(f"{done:,} images"))
    clear()
    found = made.report()
    if as_json:
        print_json(found.to_dict())
    else:
        for line in [f"{file}: {found.detector}", *found.lines()]:
            print_line(line)
    return ALARM if found.alarm else 0
