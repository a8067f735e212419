"""The place of `--output`, kept for a command until it ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ood_toolkit.store.reservation import reserved

if TYPE_CHECKING:
    from ood_toolkit.store.kinds import Kind

__all__ = ["reserve"]


def reserve(output: Path, kind: Kind | None = None) -> None:
    """Keep a place for this command before it works; of the processes of `torchrun`, the first one does.

    A file that is there and is not of the `kind` to be written is refused. Devices and pipes take what they get from
    anybody.
    """
    if output.exists() and not (output.is_file() or output.is_dir()):
        return
    if os.environ.get("RANK", "0") == "0":
        click.get_current_context().with_resource(reserved(output))
    if kind is not None:
        kind.check(output)
