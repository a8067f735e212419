"""`oodkit predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.deciding import deciding, finder_of, gate_of
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_form, print_message
from ood_toolkit.report.cells import plain

if TYPE_CHECKING:
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.detectors.prediction import Counts
    from ood_toolkit.detectors.writing import Known, Writer


@click.command("predict")
@click.argument("file", type=Place())
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV instead of JSON lines.")
@click.option(
    "--parquet", type=Place(), metavar="FILE|DIR/",
    help="Write Parquet: a file, whole or not at all, or a folder of parts; needs pyarrow.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=Place(dir_okay=False), metavar="FILE",
    help="Write JSON lines or CSV there instead of to stdout.",
)  # fmt: skip
@click.option("--only", type=Choice(["rejected", "accepted"]), help="Write these rows alone.")
@click.option(
    "--append", is_flag=True,
    help="Go on with a file, or a folder of parts, of an earlier run: what it holds, by name and content, is skipped.",
)  # fmt: skip
@click.option(
    "--fdr", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="RATE",
    help="Let Benjamini-Hochberg flag OOD images over the whole run, so that on average at most this share of the "
    "flagged is ID; in the place of the threshold.",
)  # fmt: skip
@click.option("--storey", is_flag=True, help="With --fdr: estimate the share of ID images, which flags more.")
@click.option("--strict", is_flag=True, help="Exit with 1 where an image could not be read.")
@deciding
def command(file: Path, paths: tuple[str, ...], fdr: float | None, strict: bool, **where: Any) -> int:
    """Decide on pictures or embeddings with the detector in FILE, a row each, as JSON lines.

    PATH is a picture, a folder of pictures with all below it, a data set, an .npz, .npy or Parquet file of embeddings,
    or - for a list of pictures on stdin. What cannot be read is a row that is rejected with the reason.
    """
    _check_usage(fdr, where)
    from ood_toolkit.cli.progress import Stderr, clear

    Stderr().loading()
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.detectors.prediction import Prediction, check_rate
    from ood_toolkit.detectors.sources import sources_of

    detector = Detector.load(file)
    if fdr is not None:
        check_rate(detector)
    sources = sources_of(paths, sys.stdin, finder_of(detector, where), where["column"])
    gate = gate_of(file, detector, where)
    if any(type(source).__name__ == "PictureSource" for source in sources):
        gate()  # what must be refused is refused before anything is written
    writer, known = _writer(detector, where)
    start = time.monotonic()
    with writer:
        run = Prediction(detector, gate, writer, known, where["only"], fdr, where["storey"], _told(start))
        counts = run.run(sources)
    clear()
    _say(counts, time.monotonic() - start)
    return 1 if strict and counts.unreadable else 0


def _check_usage(fdr: float | None, where: dict[str, Any]) -> None:
    if where["parquet"] is not None and (where["as_csv"] or where["output"] is not None):
        raise click.UsageError("--parquet goes without --csv and -o")
    if where["append"] and fdr is not None:
        raise click.UsageError("--fdr looks at all rows of one finished run; leave out --append")
    if where["append"] and where["parquet"] is None and where["output"] is None:
        raise click.UsageError("--append: name the file with -o FILE, or --parquet DIR/")
    if where["storey"] and fdr is None:
        raise click.UsageError("--storey goes with --fdr")
    output = where["parquet"] if where["output"] is None else where["output"]
    if output is None:
        return
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.detectors.places import check_parquet, check_text

    reserve(output)
    check = check_text if where["parquet"] is None else check_parquet
    check(output, append=where["append"])


def _writer(detector: Detector, where: dict[str, Any]) -> tuple[Writer, Known]:
    from ood_toolkit.detectors.writing import Known, TextRows, parquet_writer, resumed

    style, output = "csv" if where["as_csv"] else "json", where["output"]
    if where["parquet"] is not None:
        return parquet_writer(where["parquet"], detector.digest, append=where["append"])
    if output is None:
        return TextRows(style, say=lambda text: print_form(text, end="")), Known()
    if where["append"]:
        stream, known, new = resumed(output, style, detector.digest)
        return TextRows(style, stream, header=new), known
    output.parent.mkdir(parents=True, exist_ok=True)
    stream = output.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    return TextRows(style, stream), Known()


def _told(start: float) -> Callable[[int], None]:
    from ood_toolkit.cli.progress import progress

    def tell(done: int) -> None:
        seconds = time.monotonic() - start
        progress(f"decided {done:,} images, {done / max(seconds, 1e-9):,.1f} images/s")

    return tell


def _say(counts: Counts, seconds: float) -> None:
    """Say on stderr what came of the run."""
    rate = f", {counts.rows / seconds:,.1f} images/s" if seconds > 0 else ""
    unread = f", {counts.unreadable:,} not scored" if counts.unreadable else ""
    skipped = f", {counts.known:,} were decided before" if counts.known else ""
    print_message(
        f"decided {counts.rows:,} image{'s' * (counts.rows != 1)}: {counts.accepted:,} accepted, "
        f"{counts.rejected - counts.unreadable:,} rejected{unread}{skipped}{rate}"
    )
    if counts.flagged or counts.note:
        print_message(counts.note or f"flagged {counts.flagged:,} as OOD; those that could not be read are not counted")
    for name, why in counts.reasons:
        print_message(f"{plain(name)}: {plain(why)}")
    if counts.unreadable > len(counts.reasons):
        print_message(f"and {counts.unreadable - len(counts.reasons):,} more that could not be read")
