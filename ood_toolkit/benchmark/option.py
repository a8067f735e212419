"""`Option`: how a field of the settings is typed: its name, help and kind, how its text is read, what it decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field
from typing import Any, Literal

__all__ = ["Decides", "Option", "option", "option_of"]

Decides = Literal["benchmark", "images", "effort"]
"""What an option decides: what is compared and how, what is encoded, or only where and how fast."""


@dataclass(frozen=True)
class Option:
    """How a field is typed on the command line."""

    flag: str
    """Such as `--val-split`."""
    help: str
    decides: Decides
    kind: type = str
    """Of one value as it is typed: str, int, float, bool for a flag, or Path for a folder."""
    read: Callable[[Any], Any] | None = None
    """Makes the value of what was typed; None takes it as it is. Errors name the flag."""
    many: bool = False
    """Whether the option may be repeated; what is typed is then a tuple."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    below: float | None = None
    """Values from `least` on, and less than this."""
    shows_default: bool = False
    measures: bool = False
    """Whether it changes what a published value was measured on, so that a preset's run says that it was changed."""
    texts: bool = False
    """Whether it puts other texts in the place of those that published values are of."""
    in_header: bool = False
    """Whether the header of a run tells its value, under the field's name."""
    of_outputs: bool = False
    """Whether it says nothing where ready scores were imported: there is nothing to fit, split or draw."""

    @property
    def name(self) -> str:
        """The flag without its dashes."""
        return self.flag.removeprefix("--")


def option(default: Any, flag: str, help: str, decides: Decides, **more: Any) -> Any:
    """Declare a field of the settings that is an option; a mapping as default is made anew."""
    made = Option(flag, help, decides, **more)
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"option": made})
    return field(default=default, metadata={"option": made})


def option_of(declared: Field[Any]) -> Option | None:
    """Give how a field is typed; None for one that is not."""
    found: Option | None = declared.metadata.get("option")
    return found


def default_of(declared: Field[Any]) -> Any:
    """Give the default of a field."""
    return declared.default_factory() if declared.default_factory is not MISSING else declared.default
