"""Rows of Parquet files of others, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.columns import check_values
from ood_toolkit.store.foreign.footers import claimed_values
from ood_toolkit.store.foreign.guard import guarded, open_regular

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Batches"]

EXPECTED = "a Parquet file"


class Batches:
    """The rows of a Parquet file; `raises` in one line for a file that is none, and when one cannot be read.

    A group of rows must not claim far more values than its file has bytes, for a batch may take all of them.
    """

    def __init__(self, file: Path, raises: type[OodkitError] = DataError) -> None:
        self.file, self.raises = file, raises
        try:
            from pyarrow import parquet
        except ImportError:
            raise raises(f"{file}: needs pyarrow to read Parquet: pip install 'ood-toolkit[parquet]'") from None
        with guarded(str(file), EXPECTED, raises):
            with open_regular(file) as handle:  # a pipe would be waited for
                check_values(max(claimed_values(handle), default=0), os.fstat(handle.fileno()).st_size)
            with parquet.ParquetFile(file) as held:
                self.kinds: dict[str, Any] = {one.name: one.type for one in held.schema_arrow}
                self.count: int = held.metadata.num_rows

    def walk(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Walk some columns, so many rows at a time."""
        from pyarrow import parquet

        with (
            guarded(str(self.file), EXPECTED, self.raises),
            parquet.ParquetFile(self.file, pre_buffer=False) as held,  # what is read ahead is kept to the end
        ):
            for batch in held.iter_batches(rows, columns=list(names)):
                batch.validate(full=True)
                yield batch
