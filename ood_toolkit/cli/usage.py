"""Wrong usage that click lets pass: a value given twice, a misspelt command."""

from __future__ import annotations

from collections import Counter

import click

from ood_toolkit.api.spec import nearest

__all__ = ["check_command", "check_repeated"]


def check_command(group: click.Group, ctx: click.Context, args: list[str]) -> None:
    """Refuse a command that is not there, with the nearest that is."""
    name = args[0] if args else ""
    if not name or name.startswith("-") or group.get_command(ctx, name) is not None:
        return
    hint = nearest(name, group.list_commands(ctx))
    raise click.UsageError(f"no such command {name!r}; {hint}", ctx)


def check_repeated(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Refuse an option that takes one value and is given twice; which of them was meant is not to be guessed.

    A flag that is given twice says what it says once. One that is counted, and commands in a chain, are left alone.
    """
    if any(word in ctx.help_option_names for word in args):
        return
    inner = click.Context(command, ctx, command.name, resilient_parsing=True, **command.context_settings)
    _, rest, order = command.make_parser(inner).parse_args(list(args))
    for parameter, count in Counter(order).items():
        if count > 1 and isinstance(parameter, click.Option) and _takes_one_value(parameter):
            raise click.UsageError(f"{parameter.opts[0]}: expected once, got {count} times", inner)
    if isinstance(command, click.Group) and rest and not command.chain:
        check_command(command, inner, rest)
        if (found := command.get_command(inner, rest[0])) is not None:
            check_repeated(found, inner, rest[1:])


def _takes_one_value(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)
