"""Structures in MATLAB's files, read by scipy in a process of its own: a damaged file can end the process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ood_toolkit.errors import DataError

__all__ = ["read_structures"]

READER = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
except (ImportError, ValueError, OSError):
    pass
from scipy.io import loadmat
file, variable, *fields = sys.argv[1:]
found = loadmat(file, squeeze_me=True, variable_names=[variable])[variable]
print(json.dumps([[str(one[field]) for field in fields] for one in found]))
"""
SECONDS = 120
"""For a file of a megabyte that takes one."""


def read_structures(file: Path, variable: str, fields: Sequence[str], what: str) -> list[list[str]]:
    """Give fields of each element of a structure array as texts; `DataError`, in one line, where a file has none."""
    wrong = DataError(f"{file}: expected {what}, got a file in which MATLAB's format or {variable} is damaged")
    command = [sys.executable, "-P", "-c", READER, str(file), variable, *fields]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        rows = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        raise wrong from None
    if not isinstance(rows, list):
        raise wrong
    return rows
