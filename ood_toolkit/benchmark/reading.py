"""What is typed after an option, read: names, groups of sets, prompts, words, files of texts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ood_toolkit.api.prompts import WORDNET
from ood_toolkit.errors import DataError, MetricError, UsageError
from ood_toolkit.store.foreign.guard import quoted
from ood_toolkit.store.foreign.lines import read_lines
from ood_toolkit.store.foreign.places import place_of

__all__ = [
    "OWN",
    "PROMPT_SETS",
    "listed_names",
    "read_banks",
    "read_groups",
    "read_lists",
    "read_metrics",
    "read_names",
    "read_prompts",
    "read_seeds",
    "read_tuned",
    "read_words",
]

OWN = "own"
"""Stands for all templates of the data set."""
GROUP = re.compile(r"""([^=:,"']*)=""")
ITEM = re.compile(r"""\s*(?:[a-z]+:)?(?:"[^"]*"|'[^']*')\s*(?=,|$)|[^,]+""")
PLACE = re.compile(r"[a-z]+:")
QUOTED = re.compile(r"""([a-z]+:)?(?:"([^"]*)"|'([^']*)')""")
PROMPT_SETS = (OWN, "simple", "openai")


def read_names(given: Sequence[str]) -> tuple[str, ...]:
    """Give names, each once, without blanks around them."""
    return tuple(dict.fromkeys(name.strip() for name in given))


def read_lists(given: str | Sequence[str]) -> tuple[str, ...]:
    """Give the names of lists such as `a,b`, each once; an empty text is none."""
    texts = [given] if isinstance(given, str) else given
    return read_names([name for text in texts for name in listed_names(text)])


def read_metrics(given: str | Sequence[str]) -> tuple[str, ...]:
    """Give the keys of metrics in lists such as `fpr@0.9,oscr`, each once; `UsageError` for an unknown one."""
    from ood_toolkit.metrics.named import metric_key

    try:
        return tuple(dict.fromkeys(map(metric_key, read_lists(given))))
    except MetricError as error:
        raise UsageError(f"--metrics: {error}") from None


def read_ids(given: Sequence[str]) -> tuple[str, ...]:
    """Give the names of ID sets; `UsageError` for two in one, whether of known sets or of places."""
    for text in given:
        names = listed_names(text)
        if len(names) > 1 and (not set(text) & set(":=") or all(map(PLACE.match, names))):
            raise UsageError(
                f"--id: expected one name, got {text!r}; repeat it: {' '.join(f'--id {n}' for n in names)}"
            )
    return read_names(given)


def read_tuned(given: Sequence[str]) -> tuple[str, ...]:
    """Give the names of lists that are not to be empty, but for an empty text."""
    names = read_lists(given)
    if any(given) and not names:
        raise DataError(f"--tune: expected names of OOD validation sets, got {given[0]!r}")
    return names


def read_seeds(text: str) -> list[int]:
    """Read `0,1,2`: two or more different whole numbers."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < max(2, len(parts)):
        raise UsageError(f"--seeds: expected two or more different whole numbers such as 0,1,2; got {text!r}")
    return [int(part) for part in parts]


def read_groups(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read `a,b` and `near=a,b`; the group "" is unnamed."""
    groups: dict[str, tuple[str, ...]] = {}
    for text in given:
        found = GROUP.match(text)
        group, sets = (found[1].strip(), text[found.end() :]) if found else ("", text)
        names = listed_names(sets)
        if found and not (group and names):
            raise UsageError(f"--ood: expected GROUP=A,B, got {text!r}")
        groups[group] = tuple(dict.fromkeys(groups.get(group, ()) + names))
    return groups


def listed_names(text: str) -> tuple[str, ...]:
    """Split a list of names at its commas, without blanks around them.

    A name in quotes, as a whole or behind a prefix such as `folder:`, may hold commas; so may one that names what is
    there on the disk.
    """
    parts = [found[0] for found in ITEM.finditer(text) if found[0].strip()]
    names: list[str] = []
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if _is_place(",".join(parts[:n]))), 1)
        names.append(_bare(",".join(parts[:count]).strip()))
        del parts[:count]
    return tuple(names)


def _is_place(text: str) -> bool:
    prefix, sign, place = text.strip().partition(":")
    try:
        return bool(sign) and prefix.isalpha() and place_of(place).exists()
    except (OSError, ValueError):
        return False


def _bare(name: str) -> str:
    """Take the quotes off a name, or off what stands behind its prefix."""
    found = QUOTED.fullmatch(name)
    return (found[1] or "") + (found[2] if found[2] is not None else found[3]) if found else name


def read_prompts(given: Sequence[str]) -> tuple[str, ...]:
    """Give templates, reading files and named sets; `own` stays, for each data set has its own."""
    from ood_toolkit.models.templates import named_templates

    templates: list[str] = []
    for text in given:
        if "{}" in text or text == OWN:
            templates.append(text)
        elif text in PROMPT_SETS:
            templates += named_templates(text)
        elif os.path.isfile(place_of(text)):
            lines = _lines(place_of(text))
            if not lines:
                raise DataError(f"--prompts: expected a template on each line of {text}, got an empty file")
            templates += lines
        else:
            raise DataError(
                f"--prompts: expected a template with {{}}, a file with one a line, or {', '.join(PROMPT_SETS)}; "
                f"got {quoted(text)}"
            )
    for template in templates:
        if template != OWN and template.count("{}") != 1:
            raise DataError(f"--prompts: expected {{}} once in each template, got {quoted(template)}")
    return tuple(templates)


def _lines(file: Path) -> list[str]:
    return [line for line in read_lines(file, where=f"--prompts: expected templates in {file}") if line.strip()]


def read_words(given: str | None) -> str:
    """Check `--negatives`: what is wrong with a file is said before anything is encoded."""
    from ood_toolkit.data.words import read_words as read

    if given and given != WORDNET:
        place = place_of(given)
        if not os.path.isfile(place):
            raise DataError(f"--negatives: expected wordnet or a file with one word a line, got {given!r}")
        read(place)
        return str(place)
    return given or ""


def read_banks(given: Sequence[str]) -> dict[str, str]:
    """Read `BANK=FILE`."""
    banks = {}
    for text in given:
        bank, equals, file = text.partition("=")
        if not (equals and bank.strip() and file):
            raise UsageError(f"--texts: expected BANK=FILE, got {text!r}")
        if not os.path.isfile(place_of(file)):
            raise DataError(f"--texts: no such file: {file}")
        banks[bank.strip()] = str(place_of(file))
    return banks
