"""Where each file of the repository stands on the site, and links that follow it there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?:(?<=\[)[\w./-]+\.md)?(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
"""A text that only names a file is a part of it, and left out: Sphinx writes the page's title there."""

PICTURE = re.compile(r"(!\[[^]]*\]\([^)\s]+)(\.\w+\))")


def pages() -> list[str]:
    """List the pages that are written by hand or by `generate.py`, and the notebooks, as paths in the repository."""
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    found += (ROOT / "docs" / "notebooks").glob("*.ipynb")
    found += (ROOT / "plugins").glob("*/README.md")
    return sorted(file.relative_to(ROOT).as_posix() for file in found)


def place(path: str) -> str:
    """Give the place on the site of a path in the repository; what is no page goes below `files/`."""
    if path == "README.md":
        return "overview.md"
    if path == "CHANGELOG.md":
        return "changelog.md"
    if plugin := re.fullmatch(r"plugins/([^/]+)/README\.md", path):
        return f"plugins/{plugin[1]}.md"
    path = re.sub(r"^(docs/notebooks/.*)\.ipynb$", r"\1.md", path)
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def moved(text: str, source: str, target: str, scorers: Collection[str] = ()) -> tuple[str, set[str]]:
    """Let the links of a page, at `source` in the repository, hold where it stands at `target` on the site.

    A link to a scorer's lines in the reference of commands leads to its own page, one whose text is a file's name bears
    the title of the page, and a notebook's link to itself leads to its file. Gives the text, and the files that it
    shows or links which are no pages.
    """
    files: set[str] = set()

    def link(found: re.Match[str]) -> str:
        before, path, anchor, after = found.groups()
        there = os.path.normpath(os.path.join(os.path.dirname(source), path))
        if re.match(r"\w+:", path) or not path or there == source:
            return found.group(0)
        if there == "docs/commands.md" and (anchor or "")[1:] in scorers:
            to, anchor = f"scores/{(anchor or '')[1:]}.md", None
        else:
            to = place(there)
        if not to.endswith(".md"):
            files.add(there)
        return before + os.path.relpath(to, os.path.dirname(target) or ".") + (anchor or "") + after

    return outside_code(text, lambda part: LINK.sub(link, part)), files


def with_dark_pictures(text: str, source: str) -> str:
    """Put beside each picture of a page, at `source`, the one for dark colours, where `NAME-dark` is there."""

    def both(found: re.Match[str]) -> str:
        light, end = found.groups()
        dark = (ROOT / source).parent / f"{light.rpartition('](')[2]}-dark{end[:-1]}"
        return f"{light}{end}{{.only-light}} {light}-dark{end}{{.only-dark}}" if dark.is_file() else found.group(0)

    return outside_code(text, lambda part: PICTURE.sub(both, part))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change what of a page is no code."""
    made, last = [], 0
    for code in CODE.finditer(text):
        made += [change(text[last : code.start()]), code.group(0)]
        last = code.end()
    return "".join([*made, change(text[last:])])
