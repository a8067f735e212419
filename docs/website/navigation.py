"""The navigation of the site, read from `docs/index.md`: each heading is a section, each of its bullets a page."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
BULLET = re.compile(r"^- \[([^\]]+)\]\(([^)\s]+)\)(?::\s+(.*?))?\s*(?=^- |^#|^$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One page of a section."""

    title: str
    target: str
    """The link, as it stands in the index."""
    what: str
    """What the page is for."""


@dataclass(frozen=True)
class Section:
    """A part of the navigation."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def slug(self) -> str:
        """The section's name in addresses."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def read_sections(index: str) -> list[Section]:
    """Read the sections of the text of `index.md`, in its order; one without a list of pages is none."""
    _, *parts = HEADING.split(index)
    found = [Section(title.strip(), _entries(body)) for title, body in zip(parts[::2], parts[1::2], strict=True)]
    return [section for section in found if section.entries]


def _entries(body: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(title, target, " ".join((what or "").split())) for title, target, what in BULLET.findall(body + "\n\n")
    )
