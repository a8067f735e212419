"""All pages of the site in one folder: those of the repository, of scorers, of the Python API, and of sections."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from evidence import read_evidence
from navigation import Section, read_sections
from notebook_pages import read_page
from places import ROOT, moved, pages, place, with_dark_pictures
from reference import reference_pages
from score_pages import score_pages

GENERATED = {"Compare": ("/scores/index",), "Reference": ("/reference/index",)}
"""Pages that are in no folder of the repository, by the section that they end."""


def assemble(folder: Path) -> None:
    """Write all pages into a folder, as Sphinx reads them."""
    scores = score_pages(read_evidence())
    made = {**scores, **reference_pages()}
    scorers = [Path(name).stem for name in scores]
    files: set[str] = set()
    for page in pages():
        text, found = moved(with_dark_pictures(read_page(ROOT / page), page), page, place(page), scorers)
        if absent := [file for file in sorted(found) if not (ROOT / file).is_file()]:
            raise SystemExit(f"{page}: expected links to files that are there; got {', '.join(absent)}; mend the link")
        files |= found
        made[place(page)] = text
    sections = read_sections((ROOT / "docs" / "index.md").read_text())
    made |= section_pages(sections)
    made["index.md"] += _toctree([f"sections/{section.slug}" for section in sections])
    for name in ("scores", "reference"):
        inner = [Path(page).stem for page in made if page.startswith(f"{name}/")]
        made[f"{name}/index.md"] += _toctree([page for page in inner if page != "index"])
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for file in files:
        (folder / place(file)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / place(file))
    for page in pages():
        if page.endswith(".ipynb"):
            shutil.copyfile(ROOT / page, (folder / place(page)).with_suffix(".ipynb"))


def section_pages(sections: list[Section]) -> dict[str, str]:
    """Write a page for each section: its pages, each with what it is for."""
    made = {}
    for section in sections:
        name = f"sections/{section.slug}.md"
        bullets = "\n".join(f"- [{one.title}]({one.target}): {one.what}" for one in section.entries)
        text, _ = moved(f"# {section.title}\n\n{bullets}\n", "docs/index.md", name)
        inside = [f"{one.title} </{_name(one.target)}>" for one in section.entries]
        made[name] = text + _toctree([*inside, *GENERATED.get(section.title, ())])
    return made


def _name(target: str) -> str:
    """Give the place on the site of a page that the index links."""
    return place(os.path.normpath(os.path.join("docs", target))).removesuffix(".md")


def _toctree(names: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```", ""])
