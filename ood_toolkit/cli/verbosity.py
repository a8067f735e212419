"""`--quiet` and `--verbose`, before a command or behind it."""

from __future__ import annotations

import click

from ood_toolkit.cli.streams import QUIET, USUAL, VERBOSE, set_volume

__all__ = ["choose_volume", "without_volume"]

BEHIND = f"{__name__}.behind"
WORDS = ("--quiet", "--verbose")


def without_volume(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    """Take the two words out of what stands behind a command, unless it has such an option itself."""
    own = {name for parameter in command.params for name in parameter.opts}
    end = args.index("--") if "--" in args else len(args)
    asked = [word for word in args[:end] if word in WORDS and word not in own]
    ctx.meta[BEHIND] = asked
    return [word for word in args[:end] if word not in asked] + args[end:]


def choose_volume(ctx: click.Context, quiet: bool, verbose: bool) -> None:
    """Hold for this command how much is said; both at once are wrong usage."""
    behind = ctx.meta.get(BEHIND, [])
    quiet, verbose = quiet or WORDS[0] in behind, verbose or WORDS[1] in behind
    if quiet and verbose:
        raise click.UsageError("--quiet: goes without --verbose")
    set_volume(QUIET if quiet else VERBOSE if verbose else USUAL)
