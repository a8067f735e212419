"""What is typed after an option, read: names, groups of sets, prompts, words, files of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ood_toolkit.api.prompts import WORDNET
from ood_toolkit.errors import DataError, UsageError

__all__ = [
    "OWN",
    "PROMPT_SETS",
    "read_banks",
    "read_groups",
    "read_lists",
    "read_names",
    "read_prompts",
    "read_tuned",
    "read_words",
]

OWN = "own"
"""Stands for all templates of the data set."""
PROMPT_SETS = (OWN, "simple", "openai")


def read_names(given: Sequence[str]) -> tuple[str, ...]:
    """Give names, each once, without blanks around them."""
    return tuple(dict.fromkeys(name.strip() for name in given))


def read_lists(given: str | Sequence[str]) -> tuple[str, ...]:
    """Give the names of lists such as `a,b`, each once; an empty text is none."""
    texts = [given] if isinstance(given, str) else given
    return read_names([name for text in texts for name in text.split(",") if name.strip()])


def read_ids(given: Sequence[str]) -> tuple[str, ...]:
    """Give the names of ID sets; `UsageError` for two in one."""
    for text in given:
        name, comma, other = text.partition(",")
        if comma and ":" not in text and "=" not in text:
            raise UsageError(
                f"--id: expected one name, got {text!r}; repeat it: --id {name.strip()} --id {other.strip()}"
            )
    return read_names(given)


def read_tuned(given: Sequence[str]) -> tuple[str, ...]:
    """Give the names of lists that are not to be empty, but for an empty text."""
    names = read_lists(given)
    if any(given) and not names:
        raise DataError(f"--tune: expected names of OOD validation sets, got {given[0]!r}")
    return names


def read_groups(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read `a,b` and `near=a,b`; the group "" is unnamed."""
    groups: dict[str, tuple[str, ...]] = {}
    for text in given:
        group, equals, sets = text.rpartition("=")
        names = tuple(name.strip() for name in sets.split(",") if name.strip())
        if equals and not (group.strip() and names):
            raise UsageError(f"--ood: expected GROUP=A,B, got {text!r}")
        groups[group.strip()] = tuple(dict.fromkeys(groups.get(group.strip(), ()) + names))
    return groups


def read_prompts(given: Sequence[str]) -> tuple[str, ...]:
    """Give templates, reading files and named sets; `own` stays, for each data set has its own."""
    from ood_toolkit.models.templates import named_templates

    templates: list[str] = []
    for text in given:
        if "{}" in text or text == OWN:
            templates.append(text)
        elif text in PROMPT_SETS:
            templates += named_templates(text)
        elif Path(text).is_file():
            lines = _lines(Path(text))
            if not lines:
                raise DataError(f"--prompts: expected a template on each line of {text}, got an empty file")
            templates += lines
        else:
            raise DataError(
                f"--prompts: expected a template with {{}}, a file with one a line, or {', '.join(PROMPT_SETS)}; "
                f"got {text!r}"
            )
    for template in templates:
        if template != OWN and template.count("{}") != 1:
            raise DataError(f"--prompts: expected {{}} once in each template, got {template!r}")
    return tuple(templates)


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"--prompts: expected {file} to be text in UTF-8") from None


def read_words(given: str | None) -> str:
    """Check `--negatives`: what is wrong with a file is said before anything is encoded."""
    from ood_toolkit.data.words import read_words as read

    if given and given != WORDNET:
        if not Path(given).is_file():
            raise DataError(f"--negatives: expected wordnet or a file with one word a line, got {given!r}")
        read(given)
    return given or ""


def read_banks(given: Sequence[str]) -> dict[str, str]:
    """Read `BANK=FILE`."""
    banks = {}
    for text in given:
        bank, equals, file = text.partition("=")
        if not (equals and bank.strip() and file):
            raise UsageError(f"--texts: expected BANK=FILE, got {text!r}")
        if not Path(file).is_file():
            raise DataError(f"--texts: no such file: {file}")
        banks[bank.strip()] = file
    return banks
