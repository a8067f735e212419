"""The command `oodkit`: one file a command, imported when it is called."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

import click

from ood_toolkit import __version__
from ood_toolkit.errors import OodkitError

__all__ = ["cli", "main"]

COMMANDS = (
    "bench", "report", "compare", "score", "encode", "train", "discover", "scorers", "combiners", "datasets", "models",
    "plugins", "published", "import", "store", "negatives",
)  # fmt: skip


class _Commands(click.Group):
    """The built-in commands by name, then what plugins add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._with_plugins()
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module = import_module(
                f"ood_toolkit.cli.{cmd_name}_" if cmd_name == "import" else f"ood_toolkit.cli.{cmd_name}"
            )
            command: click.Command = module.command
            return command
        self._with_plugins()
        return super().get_command(ctx, cmd_name)

    def _with_plugins(self) -> None:
        from ood_toolkit.api.registry import get_registry

        if not self.commands:
            get_registry().add_commands(self, COMMANDS)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="oodkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Tell which inputs a CLIP-type classifier should not be trusted on.

    Encode once, score with everything, decide with calibrated thresholds.
    """
    ctx.obj = {"debug": debug}


def main(args: list[str] | None = None) -> None:
    """Run the command line; an error is one message on stderr and exit code 1, wrong usage 2."""
    arguments = sys.argv[1:] if args is None else args
    try:
        code = cli.main(args=arguments, prog_name="oodkit", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = 130
    except Exception as error:  # a plugin's command may raise anything
        if "--debug" in arguments:
            traceback.print_exc()
        ours = isinstance(error, OodkitError | OSError)
        click.echo(
            f"oodkit: {error}" if ours else f"oodkit: {type(error).__name__}: {error} (--debug shows where)", err=True
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
