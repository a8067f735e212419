"""Words of the system or of a library, which no message of the package may hold."""

from __future__ import annotations

import re

FOREIGN = re.compile(
    r"\[Errno|\[WinError|No such file or directory|Permission denied|Is a directory|Not a directory|File exists"
    r"|No space left on device|Read-only file system|File name too long"  # of the system
    r"|could not be broadcast|setting an array element|inhomogeneous|cannot reshape array|out of bounds for axis"
    r"|allow_pickle|matmul: |zero-size array|all the input array|could not convert string"
    r"|reading magic string|magic string is not|reading array header|Cannot parse header|valid dtype descriptor"
    r"|Header does not contain|malformed node|did not contain a loop|buffer (?:length|size)"  # of numpy
    r"|Bad CRC-32|Bad magic number|Bad offset|extra field|File name in directory|Truncated file header"
    r"|while decompressing data|Invalid data stream|Compressed file ended|gzipped file"  # of archives
    r"|deserialize thrift|Deserializing page|snappy|ZSTD|flatbuffers|data page|end of stream"  # of pyarrow
    r"|enforce fail|endianness type|hasRecord|record size"
    r"|tensor a \(|mat1 and mat2|size mismatch for|loading state_dict|Expected all tensors|Dimension out of range"
    r"|expected scalar type|PytorchStreamReader|is invalid for input of size|must match the size of"  # of torch
    r"|object has no attribute|object is not|NoneType|invalid literal|codec can't|not enough values to unpack"
    r"|list index out of range|Expecting value|unhashable type|JSONDecodeError|not supported between|cannot unpack"
    r"|unpack requires|dictionary update sequence|integer string conversion|int too large"  # of Python
)


def foreign(said: list[str]) -> list[str]:
    """Give the messages that hold words which are not ours."""
    return [one for one in said if FOREIGN.search(one)]
