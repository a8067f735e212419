"""Wrong usage that click says little of: a misspelt command."""

from __future__ import annotations

import click

from ood_toolkit.api.spec import nearest

__all__ = ["check_command"]


def check_command(group: click.Group, ctx: click.Context, args: list[str]) -> None:
    """Refuse a command that is not there, with the nearest that is."""
    name = args[0] if args else ""
    if not name or name.startswith("-") or group.get_command(ctx, name) is not None:
        return
    hint = nearest(name, group.list_commands(ctx))
    raise click.UsageError(f"no such command {name!r}; {hint}", ctx)
