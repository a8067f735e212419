"""What is looked at on the built site: it asks for nothing from outside, and its search finds what people look for."""

from __future__ import annotations

import json
import re
from pathlib import Path

OUTSIDE = re.compile(
    r"<(?:script|img|iframe|source|audio|video)\b[^>]*\bsrc=[\"'](?:https?:)?//[^\"']*"
    r"|<link\b(?![^>]*rel=[\"'](?:canonical|license)[\"'])[^>]*\bhref=[\"'](?:https?:)?//[^\"']*"
)
IN_STYLES = re.compile(r"(?:@import\s+(?:url\()?|url\()[\"']?(?:https?:)?//[^\"')]*")
SEARCHED = ("neglabel", "conformal", "Gate")


def asked_outside(site: Path) -> list[str]:
    """List what pages and styles would fetch from elsewhere when they are looked at."""
    found = [(page, OUTSIDE) for page in site.rglob("*.html")] + [(sheet, IN_STYLES) for sheet in site.rglob("*.css")]
    return [f"{file.relative_to(site)}: {hit}" for file, rule in found for hit in rule.findall(file.read_text())]


def not_found(site: Path, words: tuple[str, ...] = SEARCHED) -> list[str]:
    """List the words that the search index leads to no page for: neither a title, a text nor a name of the API."""
    text = (site / "searchindex.js").read_text()
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    names = {entry[-1] for group in index["objects"].values() for entry in group}
    known = {*index["terms"], *index["titleterms"]}
    return [word for word in words if word not in names and not _has_term(word.lower(), known)]


def _has_term(word: str, known: set[str]) -> bool:
    """Tell whether a word, or its stem, is in the index, which holds stems."""
    return any(word.startswith(term) for term in known if len(term) >= min(len(word), 5))
