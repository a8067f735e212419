"""Arrays of others: `.npz` archives, read member by member and only where they are asked for, and `.npy` files."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.guard import LIMIT, MIB, guarded, open_regular, room, shown

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "MOST_TIMES", "SMALL", "Archive", "check_empty", "check_times", "check_unpacked", "listed", "mapped_npy",
    "read_npy", "read_npz", "texts",
]  # fmt: skip

SMALL, MOST_TIMES = 256 * MIB, 100
"""What is unpacked may take the first, or so many times its packed size; embeddings pack 1.1 to 3 times."""
EMPTY = 1 << 20
"""The longest side of an array without a number in it: whoever walks its rows would walk for ever."""
PIECE = 16 * MIB
HEADER = 1 << 16
"""Bytes of the description in front of an array."""
SUFFIX = ".npy"


class Archive(Mapping[str, Any]):
    """The arrays of an `.npz` file by name; each is read when it is first asked for, and kept."""

    def __init__(self, file: Path, raises: type[OodkitError], where: str) -> None:
        self.file, self.raises, self.where = file, raises, where
        self.held: dict[str, np.ndarray] = {}
        self.taken = [0, 0]
        """Packed and unpacked bytes of what was read so far."""
        with guarded(where, "an .npz file of plain arrays", raises), open_regular(file) as handle:
            with _archive(handle) as archive:
                members = archive.infolist()
            self.size = os.fstat(handle.fileno()).st_size
        self.members = {one.filename.removesuffix(SUFFIX): one for one in members if one.filename.endswith(SUFFIX)}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.held:
            self.held[name] = self._read(name, self.members[name])
        return self.held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def _read(self, name: str, member: zipfile.ZipInfo) -> np.ndarray:
        self.taken[0] += member.compress_size
        self.taken[1] += member.file_size
        place = f"{self.where}: {shown(name)}"
        with guarded(place, "a plain array", self.raises), open_regular(self.file) as handle:
            check_unpacked(member, self.size)
            check_times(*self.taken)
            with _archive(handle) as archive, archive.open(member) as stream:
                return _array(stream, member.file_size)


def read_npz(file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "") -> Archive:
    """Open an `.npz` file; `raises` in one line for a file that is none, and when an array in it cannot be read."""
    return Archive(Path(file), raises, where or str(file))


def read_npy(file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "") -> np.ndarray:
    """Read the one array of an `.npy` file; `raises` in one line for a file that is none."""
    with guarded(where or str(file), "an .npy file of a plain array", raises), open_regular(file) as handle:
        return _array(handle, os.fstat(handle.fileno()).st_size)


def mapped_npy(file: os.PathLike[str] | str) -> np.ndarray:
    """Map the one array of an `.npy` file, as `read_npy` but without reading it; truth values are read."""
    import numpy as np

    with guarded(str(file), "an .npy file of a plain array"), open_regular(file) as handle:
        shape, fortran, dtype, start = _described(handle, os.fstat(handle.fileno()).st_size)
        if dtype.kind not in "bU" and all(shape):
            return np.memmap(handle, dtype, "r", start, shape, "F" if fortran else "C")
    return read_npy(file)


def texts(array: np.ndarray, where: str, raises: type[OodkitError] = DataError) -> np.ndarray:
    """Return names as (n,) strings: from strings, from bytes in UTF-8, or from numbers; `raises` for other shapes."""
    import numpy as np

    if array.ndim != 1:
        got = f"one text {shown(str(array), 40)!r}" if array.ndim == 0 else f"shape {array.shape}"
        raise raises(f"{where}: expected a row of names, one each, got {got}")
    if array.dtype.kind == "S":
        rows = array.tolist()
        try:
            return np.array([row.decode() for row in rows], dtype=str) if rows else np.empty(0, "U1")
        except UnicodeDecodeError:
            row = next(place for place, one in enumerate(rows) if not _is_utf8(one))
            raise raises(f"{where}: row {row}: expected text or bytes in UTF-8, got {shown(rows[row], 40)}") from None
    if array.dtype.kind not in "Uiufb":
        raise raises(f"{where}: expected names, got {array.dtype}")
    return array.astype(str)


def listed(found: Mapping[str, Any], most: int = 8) -> str:
    """List the names of what a file holds, the first few."""
    names = [shown(name, 40) for name in list(found)[:most]]
    return ", ".join(names + ["..."] * (len(found) > most)) or "nothing"


def check_unpacked(member: zipfile.ZipInfo, size: int) -> None:
    """Refuse, with an `OSError`, a member whose own sizes cannot be true in an archive of `size` bytes."""
    if member.flag_bits & 1:
        raise OSError("an encrypted member")
    packed, unpacked = member.compress_size, member.file_size
    stored = member.compress_type == zipfile.ZIP_STORED
    if packed > size or (stored and unpacked != packed):
        raise OSError(f"a member of {packed:,} bytes that claims to become {unpacked:,}")


def check_times(packed: int, unpacked: int) -> None:
    """Refuse, with an `OSError`, what unpacks far beyond its packed size."""
    most = room(max(SMALL, MOST_TIMES * packed))
    if unpacked > most:
        raise OSError(
            f"{packed:,} packed bytes that become {unpacked:,}, over the limit of {most:,}; save it with np.savez, "
            f"unpacked, or {LIMIT}={-(-unpacked // MIB)} (MiB) lifts the limit"
        )


def check_empty(shape: Sequence[int], size: int) -> None:
    """Refuse, with an `OSError`, an array of no bytes that claims to have many rows."""
    if not size and max(shape, default=0) > EMPTY:
        raise OSError(f"an array of shape {shown(tuple(shape), 80)} without a number")


def _archive(handle: IO[bytes]) -> zipfile.ZipFile:
    if not zipfile.is_zipfile(handle):
        handle.seek(0)
        single = handle.read(6) == b"\x93NUMPY"
        raise OSError("a single array" if single else "a file that is no .npz archive")
    return zipfile.ZipFile(handle)


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    """Read one array of a stream of `size` bytes, in pieces; any fault is some exception."""
    import numpy as np

    shape, fortran, dtype, _ = _described(stream, size)
    flat = np.empty(math.prod(shape), dtype)
    _fill(stream, memoryview(flat.view(np.uint8)) if flat.nbytes else memoryview(b""))  # type: ignore[arg-type]
    flat = _checked(flat)
    return flat.reshape(shape[::-1]).transpose() if fortran else flat.reshape(shape)


def _described(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the description in front of an array, which must say what a stream of `size` bytes holds."""
    shape, fortran, dtype, start = _header(stream)
    if dtype.hasobject:
        raise OSError("other contents (arrays of Python objects are not read)")
    for side in shape:
        if not isinstance(side, int) or isinstance(side, bool) or side < 0:
            raise OSError(f"the shape {shown(shape)}")
    count = math.prod(shape)
    check_empty(shape, count * dtype.itemsize)
    if start + count * dtype.itemsize != size:
        raise OSError(f"{size - start:,} bytes for {dtype} of shape {shown(shape, 80)}")
    return shape, fortran, dtype, start


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read shape, order, type and length of the description in front of an array."""
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    width = 2 if version == (1, 0) else 4
    length = stream.read(width)
    size = int.from_bytes(length, "little")
    if version not in ((1, 0), (2, 0), (3, 0)) or len(length) != width or size > HEADER:
        raise OSError(f"a description of version {version} and {size:,} bytes")
    again = io.BytesIO(length + stream.read(size))
    read = npy.read_array_header_1_0 if width == 2 else npy.read_array_header_2_0  # version 3 is 2 in UTF-8
    shape, fortran, dtype = read(again, max_header_size=HEADER)
    return shape, bool(fortran), dtype, 6 + 2 + width + size


def _fill(stream: IO[bytes], into: memoryview) -> None:
    """Read until a buffer is full and the stream ends, so that an archive checks its sum."""
    place = 0
    while place < len(into):
        piece = stream.read(min(PIECE, len(into) - place))
        if not piece:
            raise OSError("an array that ends too early")
        into[place : place + len(piece)] = piece
        place += len(piece)
    if stream.read(1):
        raise OSError("more bytes than its shape says")


def _checked(flat: np.ndarray) -> np.ndarray:
    """Return values in this machine's byte order; refuse truth values and characters that are none."""
    import numpy as np

    if flat.dtype.kind != "V" and not flat.dtype.isnative:
        flat = flat.byteswap(inplace=True).view(flat.dtype.newbyteorder("="))
    if flat.dtype.kind == "b" and flat.size and int(flat.view(np.uint8).max()) > 1:
        raise OSError("truth values other than 0 and 1")
    if flat.dtype.kind == "U" and flat.nbytes and int(flat.view(np.uint32).max()) > 0x10FFFF:
        raise OSError("text with characters that there are not")
    return flat


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
