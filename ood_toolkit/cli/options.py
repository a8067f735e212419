"""The options that commands share, made of the fields of `Settings`, and settings made of what was typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ood_toolkit.benchmark.option import Option, default_of, option_of
from ood_toolkit.benchmark.settings import MODEL_HELP, Settings, options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.errors import UsageError

if TYPE_CHECKING:
    from ood_toolkit.encode.sets import Sets

__all__ = ["ENCODING", "all_of_settings", "encoding", "given", "of", "open_sets", "settings_of", "usage"]

Command = Callable[..., Any]
ENCODING = (
    "data_root", "download", "strict", "rehash", "precision", "batch_size", "workers", "compile", "engine", "exchange",
    "device",
)  # fmt: skip
"""Fields that say where pictures lie and how they are encoded."""


def of(name: str, parameter: str | None = None, **changed: Any) -> Callable[[Command], Command]:
    """Make the option of a field; `parameter` names what the command gets, `changed` is otherwise than declared."""
    declared = next(one for one in fields(Settings) if one.name == name)
    known = option_of(declared)
    if known is None:
        raise KeyError(f"{name}: no option")
    made = replace(known, **changed)
    default = default_of(declared)
    if made.kind is bool:
        return click.option(made.flag, parameter or name, is_flag=True, help=made.help)
    more: dict[str, Any] = {"multiple": True} if made.many else {}
    if made.shows_default:
        more |= {"default": (default,) if made.many else default, "show_default": True}
    return click.option(made.flag, parameter or name, type=_type(made), help=made.help, metavar=made.metavar, **more)


def _type(made: Option) -> Any:
    """Give the type of one value as it is typed."""
    if made.choices:
        return Choice(made.choices)
    if made.kind is int:
        return click.IntRange(None if made.least is None else int(made.least))
    if made.kind is float:
        return click.FloatRange(made.least, made.below, max_open=True)
    if made.kind is Path:
        return Place(file_okay=False)
    return made.kind


model = of("models", "model", many=False, help=MODEL_HELP)
prompts, head, recipe, negatives, texts = (of(n) for n in ("prompts", "heads", "recipe", "negatives", "texts"))
ci, ci_replicates, paired, against = (of(name) for name in ("ci", "ci_replicates", "paired", "against"))
metrics = of("metrics")
seed, limit, keep, data_root, store = (of(name) for name in ("seed", "limit", "keep", "data_root", "store"))


style = click.option(
    "--format", "style", type=Choice(["table", "json", "csv", "markdown", "latex"]), default="table",
    show_default=True, help="Form of the result.",
)  # fmt: skip
html = click.option(
    "--html", type=Place(dir_okay=False), metavar="FILE",
    help="Also write a page that opens offline: tables, charts with a movable threshold, the gravest errors. Needs the "
    "extra html. Such a page that is there is replaced, any other file refused.",
)  # fmt: skip


def encoding(command: Command) -> Command:
    """Add the options that say where pictures lie and how they are encoded."""
    for name in reversed(ENCODING):
        command = of(name)(command)
    return command


def all_of_settings(command: Command) -> Command:
    """Add every option of a run."""
    for name in reversed(list(options())):
        command = of(name)(command)
    return command


def given() -> set[str]:
    """Name the parameters of this command that the user gave."""
    context = click.get_current_context()
    return {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}


@contextmanager
def usage() -> Iterator[None]:
    """Say wrong usage as click does, with the usage of the command."""
    try:
        yield
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def settings_of(**typed: Any) -> Settings:
    """Make settings of what was typed; `model` is the one model, and what was not typed keeps its default."""
    if "model" in typed:
        model = typed.pop("model")
        typed["models"] = () if model is None else (model,)
    with usage():
        return Settings.read(**{name: value for name, value in typed.items() if value is not None})


def open_sets(settings: Settings, *, splits: Sequence[str] = ("test",), needs_pictures: bool = False) -> Sets:
    """Open the sets of the model that answers for them, with progress on stderr."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.checks import check_options
    from ood_toolkit.benchmark.opening import opened
    from ood_toolkit.cli.progress import Stderr, progress

    with usage():
        check_options(settings)
        Stderr().loading()
        return opened(settings, get_registry(), progress, splits=splits, needs_pictures=needs_pictures)
