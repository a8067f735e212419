"""The program behind the command `oodkit`: its commands, its errors and how it ends."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from typing import Any

import click

from ood_toolkit import __version__
from ood_toolkit.cli.debugging import quoted_shown
from ood_toolkit.cli.help import Group, with_help
from ood_toolkit.cli.stopping import ended, heeded, was_stopped
from ood_toolkit.cli.usage import check_command, check_repeated
from ood_toolkit.cli.verbosity import choose_volume, without_volume
from ood_toolkit.errors import OodkitError, one_line

__all__ = ["COMMANDS", "cli", "run"]

COMMANDS = (
    "bench", "report", "plot", "compare", "leaderboard", "score", "fit", "inspect", "predict", "monitor", "serve",
    "export", "encode", "train", "discover", "scorers", "combiners", "datasets", "models", "plugins", "published",
    "import", "store", "negatives", "check", "new", "doctor",
)  # fmt: skip


class _Commands(Group):
    """The built-in commands by name, then what plugins add."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _quietly():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _quietly():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._with_plugins()
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module = import_module(
                f"ood_toolkit.cli.{cmd_name}_" if cmd_name == "import" else f"ood_toolkit.cli.{cmd_name}"
            )
            command: click.Command = module.command
            return with_help(command)
        self._with_plugins()
        found = super().get_command(ctx, cmd_name)
        return None if found is None else with_help(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        check_command(self, ctx, args)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            rest = without_volume(command, ctx, rest)
            check_repeated(command, ctx, rest)
        return name, command, rest

    def _with_plugins(self) -> None:
        from ood_toolkit.api.registry import get_registry

        if not self.commands:
            get_registry().add_commands(self, COMMANDS)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="oodkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", is_flag=True, help="Say nothing of work that goes on; also behind the command.")
@click.option("--verbose", is_flag=True, help="Give each step of the work a line that stays; also behind the command.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool, verbose: bool) -> None:
    """Tell which inputs a CLIP-type classifier should not be trusted on.

    Encode once, score with everything, decide with calibrated thresholds.
    """
    ctx.obj = {"debug": debug}
    choose_volume(ctx, quiet, verbose)
    if ctx.invoked_subcommand is None:
        from ood_toolkit.cli.next_steps import show_first

        show_first()


with_help(cli)


def run(args: list[str] | None = None) -> None:
    """Run the command line; an error is one message on stderr and exit code 1, wrong usage 2.

    A reader of stdout that goes away is no error; anything else that keeps the output from its reader is one.
    """
    from ood_toolkit.cli.streams import lost_output, print_message, steady_streams

    arguments = sys.argv[1:] if args is None else args
    with heeded(), steady_streams(), quoted_shown("--debug" in arguments):
        code = _code(arguments)
        _release_leases()
        lost = lost_output()
        if lost is not None and not isinstance(lost, BrokenPipeError):
            print_message(f"oodkit: stdout: {one_line(lost)}")
            code = code or 1
    sys.exit(ended(code))


def _code(arguments: list[str]) -> int:
    """Run a command; give its exit code."""
    from ood_toolkit.cli.streams import lost_output, print_message

    try:
        code = cli.main(args=arguments, prog_name="oodkit", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print_message("stopped")
        return 130
    except Exception as error:  # a plugin's command may raise anything
        if was_stopped():
            print_message("stopped")
            return 130
        if isinstance(error, OSError) and lost_output() is error:
            return 0
        if "--debug" in arguments:
            for line in traceback.format_exc().splitlines():
                print_message(line)
        ours = isinstance(error, OodkitError | OSError)
        said = str(error) if isinstance(error, OodkitError) else one_line(error)
        print_message(f"oodkit: {said}{'' if ours else ' (--debug shows where)'}")
        return 1
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException) -> None:
    """Print wrong usage as click does, a line at a time; choices that it lists below one another go on one."""
    from ood_toolkit.cli.streams import lines_of, print_message

    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click 8.1 prints that help itself
        for line in error.format_message().splitlines():
            print_message(line)
        return
    shown, message = StringIO(), error.format_message()
    error.show(shown)
    listed = message.replace(":\n\t", ": ").replace(",\n\t", ", ")
    for line in shown.getvalue().replace(message, "\n".join(lines_of(listed))).splitlines():
        print_message(line)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep click from printing an empty line where Ctrl-C was not typed at a terminal."""
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty():
            click.echo(err=True)
        raise click.Abort from None


def _release_leases() -> None:
    """Let go of what the command relied on in a store, if it looked at one."""
    if (leases := sys.modules.get("ood_toolkit.store.leases")) is not None:
        leases.release()
