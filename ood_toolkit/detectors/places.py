"""Where detectors and rows of `oodkit predict` may go: refused before anything is loaded."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from ood_toolkit.errors import DataError, DetectorError
from ood_toolkit.store.kinds import Kind, beginning

__all__ = ["DETECTOR", "GRAPH", "check_parquet", "check_text", "is_folder"]

MARK = "oodkit-detector-"
"""How the format of every detector begins, whatever version wrote it."""
LONGEST = 100_000_000
"""Bytes of a header of safetensors, at most."""


def _holds_detector(stream: BinaryIO) -> bool:
    """Read the header of a safetensors file, without torch, and see what its metadata says it is."""
    size = int.from_bytes(stream.read(8), "little")
    if size > LONGEST:
        return False
    try:
        about = json.loads(json.loads(stream.read(size))["__metadata__"]["oodkit"])
        return str(about["format"]).startswith(MARK)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


DETECTOR = Kind("detector", _holds_detector)
GRAPH = Kind("ONNX graph of torch", beginning(b"\x12\x07pytorch", within=20))
PARQUET = Kind("Parquet file", beginning(b"PAR1"))


def check_text(path: Path, *, append: bool) -> None:
    """Refuse a file of an earlier run that is not to be gone on with."""
    if not append and path.is_file() and path.stat().st_size:
        raise DetectorError(f"{path}: is there already; go on with it with --append, or name another file")


def check_parquet(path: Path, *, append: bool) -> None:
    """Refuse a folder that holds something, a file that is to be added to, and both where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise DataError("--parquet: needs pyarrow: pip install 'ood-toolkit[parquet]'")
    PARQUET.check(path)
    if append and not is_folder(path):
        raise DataError(f"--append: a Parquet file is written whole; name a folder, such as {path.with_suffix('')}/")
    if not append and path.is_dir() and any(path.iterdir()):
        raise DataError(f"{path}: expected a new or empty folder; add to it with --append, or name another")


def is_folder(path: Path) -> bool:
    """Tell whether rows go into a folder of parts, by what is there, else by the name."""
    return path.is_dir() or str(path).endswith(("/", "\\")) or path.suffix == ""
