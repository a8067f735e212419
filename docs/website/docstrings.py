"""Docstrings of this project as Markdown and as reStructuredText: paragraphs, code in backticks, formulas as typed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

SPAN = re.compile(r"(`[^`]+`)")
MARKDOWN_SIGNS = re.compile(r"([\\*|]|<(?=[a-zA-Z/!])|(?<![^\W_])_|_(?![^\W_]))")
"""Signs that would mean something; an underscore between letters means nothing."""
RST_SIGNS = re.compile(r"([\\*_|])")


def as_markdown(text: str) -> str:
    """Write a docstring as Markdown, so that it reads as it was typed."""

    def inline(part: str) -> str:
        return _inline(part, str, lambda plain: MARKDOWN_SIGNS.sub(r"\\\1", plain))

    return _blocks(text, inline, lambda code: f"```text\n{code}\n```", "```pycon\n{}\n```".format)


def as_rst(text: str, link: Callable[[str], str | None] = lambda name: None) -> str:
    """Write a docstring as reStructuredText; `link` gives what the name in some backticks refers to."""

    def code(span: str) -> str:
        inside = " ".join(span[1:-1].split())
        target = link(inside)
        return f":py:obj:`{inside} <{target}>`" if target else f"``{inside}``"

    def inline(part: str) -> str:
        return _inline(part, code, lambda plain: RST_SIGNS.sub(r"\\\1", plain), joint="\\ ")

    return _blocks(text, inline, lambda code: "::\n\n" + textwrap.indent(code, "    "), str)


def _blocks(
    text: str, inline: Callable[[str], str], formula: Callable[[str], str], session: Callable[[str], str]
) -> str:
    """Change paragraphs by what they are: text, an indented formula, a session with `>>>`."""
    made = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith(">>> "):
            made.append(session(block))
        elif block.startswith("    "):
            made.append(formula(textwrap.dedent(block)))
        else:
            made.append(inline(block))
    return "\n\n".join(made)


def _inline(text: str, code: Callable[[str], str], plain: Callable[[str], str], joint: str = "") -> str:
    """Change code and plain text apart; `joint` goes between code and a letter beside it."""
    parts = SPAN.split(text)
    made = [plain(parts[0])]
    for span, after in zip(parts[1::2], parts[2::2], strict=True):
        before = joint if made[-1][-1:].isalnum() else ""
        made += [before + code(span) + (joint if after[:1].isalnum() else ""), plain(after)]
    return "".join(made)
