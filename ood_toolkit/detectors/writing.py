"""Decisions into files: JSON lines, CSV or Parquet, and what a file of an interrupted run holds already."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from ood_toolkit.detectors.decisions import COLUMNS
from ood_toolkit.detectors.places import check_parquet, is_folder
from ood_toolkit.errors import DataError
from ood_toolkit.report.cells import csv_cell, csv_rows, plain
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.batches import Batches
from ood_toolkit.store.foreign.guard import open_regular, quoted

__all__ = ["BEGIN", "FIELDS", "Known", "TextRows", "Writer", "line_of", "parquet_writer", "records",
           "resumed", "row_of"]  # fmt: skip

FIELDS = (*COLUMNS, "sha256", "detector")
"""What a row holds: a decision, the hash of the picture's or row's bytes, and the detector's digest."""
KNOWN = ("id", "sha256", "detector")
"""What tells whether a row was written."""
BEGIN = b'{"id": '
"""How a line of JSON begins."""
LONGEST = 1 << 24
"""Bytes that a row has at most."""
PART = 100_000
"""Rows of a part of a folder, and of a row group of a file."""
KEY = 16
"""Bytes by which a row that is written is known."""
LONE = re.compile("[\ud800-\udfff]")
"""What of a file name is no text."""
Row = Mapping[str, Any]


class Known:
    """Rows that an earlier run wrote, by name and content; 16 bytes each."""

    def __init__(self, rows: Iterable[Row] = (), as_written: Callable[[str], Any] = str) -> None:
        """Take the rows of a file, and how a name is written in it."""
        held = bytearray()
        for row in rows:
            held += _key(str(row["id"]), str(row["sha256"]))
        self._keys, self._as_written = np.frombuffer(held, dtype=f"S{KEY}"), as_written
        self._keys.sort()  # in place

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, name: str, sha256: str) -> bool:
        """Tell whether a row of that name and content is written."""
        if not len(self._keys):
            return False
        key = _key(str(self._as_written(name)), sha256)
        place = int(np.searchsorted(self._keys, np.bytes_(key)))
        return place < len(self._keys) and bool(self._keys[place] == key.rstrip(b"\0"))  # as numpy gives it


def _key(name: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{name}\0{sha256}".encode(errors="surrogatepass"), digest_size=KEY).digest()


class Writer(ABC):
    """Takes rows and writes them; what it holds is whole when it is closed without an error."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(kind is None)

    @abstractmethod
    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""

    def close(self, whole: bool) -> None:
        """End; `whole` tells whether all rows were given."""
        return


class TextRows(Writer):
    """JSON lines or CSV, to a stream or a file, written out after each batch."""

    def __init__(
        self, style: str, stream: IO[str] | None = None, say: Callable[[str], None] = print, header: bool = True
    ) -> None:
        """Write to an open file, or else say what is written."""
        self.stream, self.say, self.style = stream, say, style
        if style == "csv" and header:
            self._put(csv_rows([FIELDS]))

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        if self.style == "csv":
            self._put(csv_rows(["" if row[name] is None else row[name] for name in FIELDS] for row in rows))
        else:
            self._put("".join(f"{line_of(row)}\n" for row in rows))

    def _put(self, text: str) -> None:
        if self.stream is None:
            self.say(text)
        else:
            self.stream.write(text)
            self.stream.flush()

    def close(self, whole: bool) -> None:
        """Close a file that was opened here."""
        if self.stream is not None:
            self.stream.close()


def line_of(row: Row) -> str:
    """Give a row as one line of JSON, in ASCII; numbers that are not finite become null."""
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return json.dumps(known).replace("\x7f", "\\u007f")


def resumed(path: Path, style: str, digest: str) -> tuple[IO[str], Known, bool]:
    """Open a file of rows to add to: the stream, what it holds, and whether it is new; a torn last row is cut off.

    `DataError` where it holds rows of another detector, or anything else.
    """
    if not path.exists() or path.stat().st_size == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8", errors="surrogateescape", newline=""), Known(), True
    end = 0

    def rows() -> Iterator[Row]:
        nonlocal end
        with open_regular(path) as file:
            for number, record in enumerate(records(file, style, path)):
                if style == "csv" and number == 0:
                    if record.rstrip(b"\r\n") != ",".join(FIELDS).encode():
                        raise DataError(f"{path}: expected the header of oodkit predict --csv; name another file")
                else:
                    row = row_of(record, style, path, number + 1)
                    if row["detector"] != digest:
                        raise DataError(
                            f"{path}: its rows are of detector {quoted(row['detector'], 40)}, this is {digest}; "
                            "name another file"
                        )
                    yield row
                end += len(record)

    known = Known(rows(), csv_cell if style == "csv" else str)
    with path.open("r+b") as file:
        file.truncate(end)
    return path.open("a", encoding="utf-8", errors="surrogateescape", newline=""), known, end == 0


def records(file: IO[bytes], style: str, path: Path) -> Iterator[bytes]:
    """Walk whole records, each ended by a line break, in CSV outside quotes; a torn one at the end is passed over.

    `DataError` for a record that is too long, and for a file without a whole one that does not begin as ours do.
    """
    held, quotes, size, count = list[bytes](), 0, 0, 0
    while line := file.readline(LONGEST):
        held.append(line)
        quotes, size = quotes + line.count(b'"'), size + len(line)
        if size >= LONGEST:
            raise DataError(f"{path}: line {count + 1} is no row of oodkit predict; name another file")
        if line.endswith(b"\n") and (style != "csv" or quotes % 2 == 0):
            yield b"".join(held)
            held, quotes, size, count = [], 0, 0, count + 1
    start = ",".join(FIELDS).encode() if style == "csv" else BEGIN
    if held and not count and not start.startswith(b"".join(held)[: len(start)]):
        raise DataError(f"{path}: expected rows of oodkit predict, got something else; name another file")


def row_of(record: bytes, style: str, path: Path, number: int) -> Row:
    """Read one record as a row; `DataError` where it is none."""
    text = record.decode("utf-8", errors="surrogateescape")
    try:
        if style == "csv":
            row: Any = dict(zip(FIELDS, next(csv.reader(io.StringIO(text))), strict=True))
        else:
            row = json.loads(text)
        if not isinstance(row, dict) or not set(KNOWN) <= row.keys():
            raise ValueError("no decision")
    except (ValueError, StopIteration, RecursionError, csv.Error):
        raise DataError(f"{path}: line {number} is no row of oodkit predict; name another file") from None
    return row


def parquet_writer(path: Path, digest: str, *, append: bool) -> tuple[Writer, Known]:
    """Write Parquet: whole to a file, or in parts to a folder, which is what can be added to."""
    check_parquet(path, append=append)
    if not is_folder(path):
        return ParquetFile(path), Known()
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else []
    return ParquetFolder(path, _after(parts)), Known(_of_parts(parts, digest), _as_text)


def _after(parts: Sequence[Path]) -> int:
    """Give the number of the next part, after the last one that is there, whichever are missing before it."""
    numbers = (part.stem.removeprefix("part-") for part in parts)
    return max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1


def _as_text(name: str) -> str:
    """Give a name as Parquet can hold it; what of a file name is no text is written as its escape."""
    return name if not LONE.search(name) else plain(name)


def _of_parts(parts: Iterable[Path], digest: str) -> Iterator[Row]:
    for part in parts:
        held = Batches(part)
        if absent := [name for name in KNOWN if str(held.kinds.get(name)) != "string"]:
            raise DataError(f"{part}: expected a part of oodkit predict: {absent[0]} is no column of texts in it")
        for batch in held.walk(KNOWN, PART):
            for row in batch.to_pylist():
                if row["detector"] != digest:
                    raise DataError(f"{part}: its rows are of detector {quoted(row['detector'], 40)}, this is {digest}")
                yield row


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    kinds = {name: pa.float64() for name in ("confidence", "score", "threshold", "margin", "p_value")}
    rows = [{k: _as_text(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    schema = pa.schema([(name, pa.bool_() if name == "accepted" else kinds.get(name, pa.string())) for name in FIELDS])
    return pa.Table.from_pylist(rows, schema=schema)


def _nothing() -> Any:
    """Give None, for what is made when the first rows come."""
    return None


class ParquetFile(Writer):
    """One file, under a temporary name until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.held = path, list[dict[str, Any]]()
        self.stack, self.writer = ExitStack(), _nothing()
        self.partial = self.stack.enter_context(replaced_file(path))

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        self.held += rows
        if len(self.held) >= PART // 10:
            self._flush()

    def _flush(self) -> None:
        from pyarrow import parquet

        table = _table(self.held)
        writer: Any = self.writer or parquet.ParquetWriter(self.partial, table.schema)
        self.writer = writer
        writer.write_table(table)
        self.held = []

    def close(self, whole: bool) -> None:
        """Put the file in its place, or take it away."""
        if not whole:
            if self.writer is not None:
                self.writer.close()
            error = DataError(f"{self.path}: not written whole")
            try:
                self.stack.__exit__(type(error), error, None)
            except DataError:
                return
            return
        self._flush()
        assert self.writer is not None
        self.writer.close()
        self.stack.close()


class ParquetFolder(Writer):
    """A folder of parts, each whole."""

    def __init__(self, path: Path, first: int) -> None:
        self.path, self.next, self.held = path, first, list[dict[str, Any]]()
        path.mkdir(parents=True, exist_ok=True)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        self.held += rows
        if len(self.held) >= PART:
            self._flush()

    def _flush(self) -> None:
        from pyarrow import parquet

        with replaced_file(self.path / f"part-{self.next:05d}.parquet") as partial:
            parquet.write_table(_table(self.held), partial)
        self.next, self.held = self.next + 1, []

    def close(self, whole: bool) -> None:
        """Write the last part, also of a run that was stopped: its rows are decided."""
        if self.held:
            self._flush()
