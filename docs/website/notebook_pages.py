"""A notebook as a page: its prose, its code, and what `docs/notebooks.py` stored of what its cells show."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_page(file: Path) -> str:
    """Read a page; a notebook becomes Markdown, with a link to its file below the title."""
    if file.suffix != ".ipynb":
        return file.read_text()
    text = "\n\n".join(part for cell in json.loads(file.read_text())["cells"] for part in _parts(cell))
    title, rest = text.split("\n", 1)
    return f"{title}\n\nA notebook with what its cells show: [{file.name}]({file.name})\n{rest}\n"


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        text = "".join(output.get("text") or data["text/plain"]).rstrip()
        if "image/png" in data:
            yield f"![{text}](data:image/png;base64,{data['image/png']}){{width={_width(data['image/png'])}px}}"
        else:
            yield f"```text\n{text}\n```"


def _width(picture: str) -> int:
    """Give half the dots that a PNG is wide, so that they are fine on any screen; its header holds them."""
    return int.from_bytes(base64.b64decode(picture)[16:20], "big") // 2
