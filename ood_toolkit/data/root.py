"""Where the pictures of data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

from ood_toolkit.store.foreign.places import place_of

__all__ = ["default_data_root"]


def default_data_root() -> Path:
    """Give `OODKIT_DATA`, else the folder `data` here."""
    return place_of(os.environ.get("OODKIT_DATA") or "data")
