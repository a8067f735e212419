"""`oodkit doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json


@click.command("doctor")
@options.data_root
@options.store
@as_json
def command(data_root: Path | None, store: Path | None, as_json: bool) -> int:
    """Say what works on this machine: versions, devices, store, data root, plugins, and what extras lack.

    A line each. Exit code 1 where something is wrong: a package that is needed, a plugin out of service, a store that
    cannot be written. What only an extra needs is no error.
    """
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.health import findings
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.cli.streams import print_json, print_line
    from ood_toolkit.data.root import default_data_root
    from ood_toolkit.store.files import default_store

    progress("loading torch")
    found = list(findings(get_registry(), store or default_store(), data_root or default_data_root()))
    clear()
    if as_json:
        print_json([one.flat() for one in found])
    else:
        wide = max(len(one.name) for one in found)
        for one in found:
            mark = {"ok": " ", "missing": "-", "wrong": "!"}[one.state]
            print_line(f"{mark} {one.name:<{wide}}  {one.what}{f'; {one.do}' if one.do else ''}")
    return 1 if any(one.state == "wrong" for one in found) else 0
