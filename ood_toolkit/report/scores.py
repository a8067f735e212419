"""The long table of scores: a row for each image and scorer, as a data frame, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.cells import csv_rows, plain
from ood_toolkit.report.results import Answers
from ood_toolkit.report.run_folder import answers_of_run
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.kinds import Kind, beginning

__all__ = ["COLUMNS", "FLAGS", "NUMBERS", "SUFFIXES", "check_scores_file", "parts_of_scores", "write_scores"]

COLUMNS = (
    "model", "of", "part", "set", "image", "scorer", "score", "accepted", "prediction", "label", "right", "confidence",
    "stream",
)  # fmt: skip
"""Columns of the table.

model: where the run has several, else "". of: the ID set whose model and thresholds speak, or combiner and scorer.
part: test, val, ood or csid. set: the set that the image is of. image: its id. score: higher = more in-distribution.
accepted: decided in-distribution; none where nothing was decided. label and right: none where the class is not known.
stream: for a score that holds for the ID test and one OOD set together, that set, else "".
"""
NUMBERS, FLAGS = ("score", "confidence"), ("accepted", "right")
CHUNK = 10_000
"""Rows that are laid out and written at a time."""
KINDS = {
    ".csv": Kind("table of scores", beginning(csv_rows([COLUMNS]).encode())),
    ".parquet": Kind("Parquet file", beginning(b"PAR1")),
}
SUFFIXES = tuple(KINDS)
Keyed = Iterable[tuple[tuple[str, ...], Answers]]
Part = dict[str, list[Any]]
Put = Callable[[Part], None]


def parts_of_scores(answers: Keyed) -> Iterator[Part]:
    """Give the table in parts of at most 10,000 rows, a list by column; set by set, then scorer by scorer."""
    for key, said in answers:
        for spec, scores in said.scores.items():
            yield from _rows(key, said, spec, scores, "")
        for ood, pair in said.streamed.items():
            for spec, scores in pair.items():
                yield from _rows(key, said, spec, scores, ood)


def _rows(key: tuple[str, ...], said: Answers, spec: str, scores: np.ndarray, stream: str) -> Iterator[Part]:
    *model, owner, which = key
    part, _, name = which.partition(":")
    accepted = None if stream else said.accepted.get(spec)
    known = said.known
    for start in range(0, len(said), CHUNK):
        rows = slice(start, start + CHUNK)
        ids = said.ids[rows].tolist()

        def of(array: np.ndarray | None, rows: slice = rows, count: int = len(ids)) -> list[Any]:
            return [None] * count if array is None else array[rows].tolist()

        right = [one if sure else None for one, sure in zip(of(said.right), known[rows].tolist(), strict=True)]
        yield {
            "model": ["".join(model)] * len(ids), "of": [owner] * len(ids), "part": [part] * len(ids),
            "set": [name or owner] * len(ids), "image": ids, "scorer": [spec] * len(ids), "score": of(scores),
            "accepted": of(accepted), "prediction": of(said.prediction),
            "label": [label or None for label in of(said.truth)], "right": right, "confidence": of(said.confidence),
            "stream": [stream] * len(ids),
        }  # fmt: skip


def check_scores_file(file: Path) -> Kind:
    """Give the kind of file to be written; refuse another form, and Parquet where pyarrow is not installed."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{file}: expected a name that ends in {' or '.join(SUFFIXES)}, got {suffix or 'no ending'}")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise DataError(f"{file}: needs pyarrow: pip install 'ood-toolkit[parquet]'") from None
    return KINDS[suffix]


def write_scores(folder: Path, file: Path) -> int:
    """Write the table of a run folder as CSV or Parquet, whole or not at all; give the number of rows.

    One set of the run is in memory at a time.
    """
    check_scores_file(file)
    open_file = _parquet if file.suffix.lower() == ".parquet" else _csv
    count = 0
    with replaced_file(file) as partial, open_file(partial) as put:
        for part in parts_of_scores(answers_of_run(folder)):
            put(part)
            count += len(part["image"])
        if not count:
            raise DataError(f"{folder}: expected scores of every image, got none; the run is not whole")
    return count


@contextmanager
def _csv(file: Path) -> Iterator[Put]:
    with file.open("w", encoding="utf-8", newline="") as stream:
        stream.write(csv_rows([COLUMNS]))
        yield lambda part: _put_lines(stream, part)


def _put_lines(stream: Any, part: Part) -> None:
    stream.write(csv_rows(zip(*(part[name] for name in COLUMNS), strict=True)))


@contextmanager
def _parquet(file: Path) -> Iterator[Put]:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {**dict.fromkeys(NUMBERS, pa.float64()), **dict.fromkeys(FLAGS, pa.bool_())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])

    def put(part: Part) -> None:
        texts = {name: [_text(value) for value in part[name]] for name in COLUMNS if name not in kinds}
        writer.write_table(pa.table({**part, **texts}, schema=schema))

    with parquet.ParquetWriter(file, schema) as writer:
        yield put


def _text(value: str | None) -> str | None:
    """Give text that UTF-8 can hold; what of a file name is no text becomes its escape."""
    if value is None:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return plain(value)
    return value
