"""The command `oodkit`: one file a command, imported when it is called.

Nothing is imported before `main` runs, so that Ctrl-C ends it with one line however early it comes.
"""

from __future__ import annotations

__all__ = ["COMMANDS", "cli", "main"]


def main(args: list[str] | None = None) -> None:
    """Run the command line; an error is one message on stderr and exit code 1, wrong usage 2."""
    try:
        from ood_toolkit.cli.program import run
    except KeyboardInterrupt:
        import sys

        print("stopped", file=sys.stderr)
        sys.exit(130)
    run(args)


def __getattr__(name: str) -> object:
    """Import the group of commands, and their names, when they are first asked for."""
    if name not in ("COMMANDS", "cli"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ood_toolkit.cli import program

    return getattr(program, name)
