"""What Sphinx is told; `python docs/website` assembles the pages first."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from docstrings import as_rst  # noqa: E402
from reference import find, public_names  # noqa: E402

import ood_toolkit  # noqa: E402

project = "ood_toolkit"
author = "ood_toolkit developers"
project_copyright = "2026, ood_toolkit developers"
version = release = ood_toolkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
autoclass_content = "both"
autodoc_typehints = "signature"
maximum_signature_line_length = 80
add_module_names = False
smartquotes = False  # `--scores` in a sentence stays an option
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "ood_toolkit"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = False
html_domain_indices = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "ood_toolkit"},
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 8,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

LINKS = {name.removeprefix("ood_toolkit."): name for name in public_names()}


def _link(text: str) -> str | None:
    """Give the public name that code in a docstring stands for, as `Outputs` or `Head.zero_shot`."""
    name, _, member = text.partition(".")
    if text in LINKS:
        return LINKS[text]
    if name in LINKS and hasattr(find(LINKS[name]), member) and not member.startswith("_"):
        return f"{LINKS[name]}.{member}"
    return None


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst("\n".join(lines), _link).split("\n")


def _signature(app: Any, what: str, name: str, thing: Any, options: Any, given: str | None, returns: str | None) -> Any:
    """Write `...` for a default that is made anew each time, which Sphinx would not read."""
    return re.sub(r"<[^<>]*>", "...", given) if given and "<" in given else given, returns


def setup(app: Any) -> None:
    """Have docstrings and signatures read as this project writes them."""
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring)
