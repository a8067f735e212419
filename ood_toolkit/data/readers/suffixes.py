"""Which files are pictures, by their names: those that Pillow reads with nothing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ood_toolkit.outputs.class_names import first_few

__all__ = ["SUFFIXES", "counted", "is_picture", "suffix_of"]

READ = (
    "apng avif avifs blp bmp bw cur dcx dds dib flc fli ftc ftu gif icb icns ico im j2c j2k jfif jp2 jpc jpe jpeg jpf",
    "jpg jpx msp pbm pcd pcx pfm pgm png pnm ppm psd pxr qoi ras rgb rgba sgi tga tif tiff vda vst webp xbm xpm",
)
SUFFIXES = frozenset(suffix for line in READ for suffix in line.split(" "))
"""Without what Pillow only names (BUFR, GRIB, HDF5, MPEG), what it runs or has run by others (EPS, WMF), and what
holds measurements and no picture (FITS, GBR, IPTC)."""


def suffix_of(name: str) -> str:
    """Give what follows the last dot of a file's name, in lower case; "" where there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""


def is_picture(name: str) -> bool:
    """Tell whether a file is a picture by its name."""
    return suffix_of(name) in SUFFIXES


def counted(names: Iterable[str]) -> str:
    """Count names by their suffix: `.txt 2, .heic 1`."""
    found = Counter(suffix_of(name) for name in names).most_common()
    said = [f"{f'.{suffix}' if suffix else 'without suffix'} {count:,}" for suffix, count in found]
    return first_few(said, 5, str)
