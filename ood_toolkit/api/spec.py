"""The text form of scorers and combiners: `name:key=value`, nested with parentheses, protected by quotes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from ood_toolkit.errors import SpecError

__all__ = ["Spec", "format_value", "nearest", "parse_spec", "split_specs"]

LONGEST = 200
"""Letters of a name that are compared with others; the time grows with their square."""

MANY = 12
"""Names that a message lists at most where a command lists them."""

PROTECTED = frozenset(",:()=\"' ")


@dataclass(frozen=True)
class Spec:
    """A parsed spec: a name and its parameters, values still as text."""

    name: str
    arguments: dict[str, str]


def parse_spec(text: str) -> Spec:
    """Parse one spec such as `classwise:base=(knn:k=50):rule=youden`; `SpecError` says what is wrong."""
    name, *parts = _split(strip_parentheses(text.strip()), ":")
    if not name.strip():
        raise SpecError(f"spec {text!r}: expected a name, such as msp or knn:k=50")
    arguments: dict[str, str] = {}
    for part in parts:
        key, *value = _split(part, "=", most=1)
        key = key.strip()
        if not value or not key.isidentifier():
            raise SpecError(f"spec {text!r}: expected key=value after {name.strip()}, got {part!r}")
        if key in arguments:
            raise SpecError(f"spec {text!r}: {key} is given twice")
        arguments[key] = value[0].strip()
    return Spec(unquote(name.strip()), arguments)


def split_specs(text: str) -> list[str]:
    """Split a list such as `msp,knn:k=100` at the commas outside parentheses and quotes."""
    return [part.strip() for part in _split(text, ",") if part.strip()]


def format_value(value: object) -> str:
    """Write the value of a parameter so that it parses back: texts in quotes where they must, specs in parentheses."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return "(" + ",".join(format_value(v) for v in value) + ")"
    if hasattr(value, "spec"):
        return f"({value.spec})" if ":" in value.spec else str(value.spec)
    text = str(value)
    if text and not (PROTECTED & set(text) or any(map(str.isspace, text)) or _reads_as_value(text)):
        return text
    return f"'{text}'" if "'" not in text else '"' + text.replace('"', '""') + '"'


def unquote(text: str) -> str:
    """Take off one pair of quotes around a text; inside, the same quote is written twice."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    return text[1:-1].replace(text[0] * 2, text[0])


def strip_parentheses(text: str) -> str:
    """Take off the parentheses that enclose a whole text, and quotes around a whole spec."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) >= 2 and text[0] not in text[1:-1]:
        return strip_parentheses(text[1:-1].strip())
    if text.startswith("(") and text.endswith(")") and _closes_at_end(text):
        return strip_parentheses(text[1:-1].strip())
    return text


def nearest(name: str, names: Iterable[str], listing: str = "") -> str:
    """Say which of the known `names` is nearest to `name`, or list them: the tail of every "unknown ..." message.

    Where they are many, `listing` is named instead: what lists them.
    """
    known = sorted(names)
    plain = {one.casefold(): one for one in reversed(known)}
    close = get_close_matches(name[:LONGEST].strip().casefold(), plain, n=1, cutoff=0.6)
    if close:
        return f"did you mean {plain[close[0]]!r}?"
    if listing and len(known) > MANY:
        return f"for all {len(known)} names see {listing}"
    return f"known: {', '.join(known) or 'none'}"


def _split(text: str, sign: str, most: int = -1) -> list[str]:
    parts: list[str] = []
    start, depth, quote = 0, 0, ""
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth < 0:
                raise SpecError(f"spec {text!r}: a closing parenthesis without an opening one")
        elif char == sign and depth == 0 and (most < 0 or len(parts) < most):
            parts.append(text[start:place])
            start = place + 1
    if quote or depth:
        raise SpecError(f"spec {text!r}: {'a quote' if quote else 'a parenthesis'} is not closed")
    return [*parts, text[start:]]


def _reads_as_value(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("none", "true", "false")
    return True


def _closes_at_end(text: str) -> bool:
    depth, quote = 0, ""
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and not quote:
            return place == len(text) - 1
    return False
