"""`oodkit train`: one file for each thing that can be learnt, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from ood_toolkit.cli.help import Group, with_help

__all__ = ["command"]

KINDS = ("head", "clipn", "cma", "prompts")


class _Kinds(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(KINDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in KINDS:
            return None
        found: click.Command = import_module(f"ood_toolkit.cli.train.{cmd_name}").command
        return with_help(found)


@click.command("train", cls=_Kinds)
def command() -> None:
    """Learn: a linear head, "no" texts, both towers, or a prompt."""
