"""`Choice`: the type of options and arguments that take one of a few words."""

from __future__ import annotations

from typing import Any

import click

from ood_toolkit.api.spec import nearest

__all__ = ["Choice"]


class Choice(click.Choice):  # type: ignore[type-arg]  # generic since click 8.4
    """One of a few words; what is missing or misspelt is told on one line, with the nearest word."""

    def get_missing_message(self, *where: Any, **more: Any) -> str:
        """Say what could be chosen."""
        return f"Expected {self._words}."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word that was typed."""
        if value not in self.choices:
            hint = nearest(str(value), self.choices)
            close = f"; {hint}" if hint.startswith("did you mean") else ""
            self.fail(f"expected {self._words}, got {value!r}{close}", param, ctx)
        return str(value)

    @property
    def _words(self) -> str:
        return f"one of {', '.join(self.choices)}" if len(self.choices) > 1 else str(self.choices[0])
