"""The page that shows what a server takes and gives: made of its OpenAPI description, asking for nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["POLICY", "page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page may load: nothing."""
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}code,pre{font-family:ui-monospace,monospace;background:#f3f3f3}pre{padding:.8rem;overflow:auto}"
)


def page(schema: Mapping[str, Any]) -> str:
    """Write the page of an OpenAPI description."""
    about = schema["info"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>{escape(about['title'])}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(about['title'])}</h1><p>{escape(about.get('description', ''))}</p>",
        "<p>The same for programs: <a href='openapi.json'>openapi.json</a>.</p>",
    ]
    for path, methods in schema["paths"].items():
        for method, one in methods.items():
            parts += [f"<h2><code>{method.upper()} {escape(path)}</code></h2>", *_operation(one)]
    for name, model in schema.get("components", {}).get("schemas", {}).items():
        parts += [f"<h2>{escape(name)}</h2><p>{escape(model.get('description', ''))}</p>", *_fields(model)]
    return "\n".join([*parts, "</body></html>"])


def _operation(one: Mapping[str, Any]) -> Iterator[str]:
    for text in one.get("description", one.get("summary", "")).split("\n\n"):
        yield f"<p>{escape(text)}</p>"
    forms = one.get("requestBody", {}).get("content", {})
    if forms:
        yield "<table><tr><th>content type</th><th>body</th></tr>"
        for kind, form in forms.items():
            yield f"<tr><td><code>{escape(kind)}</code></td><td>{'<br>'.join(_shapes(form['schema']))}</td></tr>"
        yield "</table>"
    yield "<table><tr><th>status</th><th>meaning</th></tr>"
    for status, meaning in one["responses"].items():
        yield f"<tr><td>{escape(status)}</td><td>{escape(meaning['description'])}</td></tr>"
    yield "</table>"


def _shapes(form: Mapping[str, Any]) -> Iterator[str]:
    """Describe a body in a line for each form that it may have."""
    for one in form.get("oneOf", [form]):
        for key, value in one.get("properties", {"": one}).items():
            inner = value.get("description") or value.get("items", {}).get("description") or one.get("description", "")
            many = "A list: " if value.get("type") == "array" and "oneOf" in form else ""
            named = f"<code>{escape(json.dumps({key: '...'}))}</code> " if "oneOf" in form else ""
            yield f"{named}{many}{escape(inner)}"


def _fields(model: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>key</th><th>type</th><th>meaning</th></tr>"
    for name, one in model.get("properties", {}).items():
        kinds = [part.get("type", "") for part in one.get("anyOf", [one])]
        yield (
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(' or '.join(kinds))}</td>"
            f"<td>{escape(one.get('description', ''))}</td></tr>"
        )
    yield "</table>"
