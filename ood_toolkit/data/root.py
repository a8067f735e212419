"""Where the pictures of data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_data_root"]


def default_data_root() -> Path:
    """Give `OODKIT_DATA`, else the folder `data` here."""
    return Path(os.environ.get("OODKIT_DATA") or "data")
