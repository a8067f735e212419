"""`html_page`: a report as one HTML file with all that it needs inside, which asks for nothing; and how one is made."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from ood_toolkit.report.html.contents import contents
from ood_toolkit.report.html.library import charts_library
from ood_toolkit.report.report import Report

__all__ = ["html_page", "made_page", "script_hash"]

SCRIPTS = ("dom", "charts", "histogram", "curves", "scatter", "classes", "summary", "threshold", "errors", "main")
"""Files of the page's own script, in the order in which they are joined."""
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def html_page(report: Report) -> str:
    """Give a report as a page that opens offline: tables, charts with a movable threshold, what was missed.

    The page's policy lets its own scripts alone run and forbids every request. Text of the run reaches it as JSON
    and is shown as text. Needs the extra `ood-toolkit[html]`; raises `DataError` without it, and where the run
    lacks the scores that a row was computed from.
    """
    return made_page("page.html", contents(report), SCRIPTS, charts_library())


def made_page(template: str, held: Mapping[str, Any], scripts: Sequence[str], library: str = "") -> str:
    """Put a page together: a template, what it shows, with a `title`, its own scripts, and a library before them."""
    own = "\n".join(_asset(f"{name}.js") for name in scripts)
    own = f'"use strict";\n(() => {{\n{own}\n}})();\n'
    hashes = " ".join(script_hash(script) for script in (library, own) if script)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy, "title": html.escape(held["title"]), "style": _asset("page.css"), "library": library,
        "script": own, "data": embedded(held),
    }  # fmt: skip
    return Template(_asset(template)).substitute(parts)


def embedded(value: Any) -> str:
    """Give JSON that can stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign, escape in ESCAPES.items():
        text = text.replace(sign, escape)
    return text


def script_hash(script: str) -> str:
    """Give a script's hash as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("ood_toolkit.report.html") / "assets" / name).read_text(encoding="utf-8")
