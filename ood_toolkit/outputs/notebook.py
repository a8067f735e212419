"""What a notebook shows in the place of a `repr`: facts as a small table of HTML, with nothing that data could add."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

__all__ = ["facts_html", "safe"]


def safe(text: object) -> str:
    """Give text that HTML shows as it is; characters that do not print are written as their escapes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return escape(shown)


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """Give a title with facts below it, a line each; those without a value are left out."""
    rows = [
        f'<tr><th style="text-align:left">{safe(name)}</th><td style="text-align:left">{safe(value)}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "")
    ]
    return f"<div><strong>{safe(title)}</strong><table>{''.join(rows)}</table></div>"
