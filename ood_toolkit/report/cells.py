"""What stands in a cell or on a line: text from data as each form of output can hold it without harm.

One function a form, used wherever that form is written. Names and messages come from files that anybody made: they may
hold control sequences of a terminal, formulas of a spreadsheet, or signs that end a row.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import Any

__all__ = ["csv_cell", "csv_rows", "json_text", "markdown_cell", "plain"]

HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Control characters, separators of lines, signs that change the direction of text or are not seen, and what of a file
name is no text. The joiners U+200C and U+200D are kept: words of some scripts and emoji need them."""
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")
"""Where a spreadsheet would begin to compute; it may split at semicolons too."""
MARKDOWN = re.compile(r"[\\`*~$|<>]|&(?=#?\w)|\[(?![-+\d])|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|^[#+\-=](?=[\s#+\-=])")
ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def plain(text: object) -> str:
    r"""Give text as one line that only prints: each harmful character is written as its escape, such as `\x1b`."""
    said = str(text)
    return HARMFUL.sub(_escape, said) if not said.isascii() or not said.isprintable() else said


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def csv_cell(value: Any) -> Any:
    """Give a value of a CSV file: text is one line, and an apostrophe stands before what would begin a formula."""
    if value is None or isinstance(value, Number):
        return value
    return FORMULA.sub(r"\1'", plain(value))


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Give rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([csv_cell(value) for value in row] for row in rows)
    return out.getvalue()


def markdown_cell(text: object) -> str:
    """Give text that Markdown shows as it is, on one line, in a cell of a table or elsewhere."""
    return MARKDOWN.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), plain(text))


def json_text(value: Any) -> str:
    """Give JSON, in ASCII without control characters, that reads back as the true text; NaN becomes null."""
    return json.dumps(_finite(value), indent=1).replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if callable(getattr(value, "item", None)):  # a number of numpy
        return _finite(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
