"""What long work shows on stderr: one line that is rewritten on a terminal, and what was encoded at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from ood_toolkit.benchmark.run import Told

__all__ = ["Stderr", "clear", "encoded", "progress"]

SHOWN = 10
"""Unreadable images that are named on stderr; the result names all."""
_started: dict[str, tuple[float, int]] = {}
"""When each piece of work began, and how much of it was done by then."""


def progress(what: str, done: int = 0, of: int = 0, each: str = "images") -> None:
    """Rewrite one line on a terminal: what is done, how fast, and the time that is left; nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    sys.stderr.write(f"\r\x1b[2K{_line(what, done, of, time.monotonic(), each)}")
    sys.stderr.flush()


def clear() -> None:
    """Take the line away."""
    _started.clear()
    progress("")


def _line(what: str, done: int, of: int, now: float, each: str = "images") -> str:
    if not of:
        return what
    began, before = _started.setdefault(what, (now, done))
    rate = (done - before) / (now - began) if now > began else 0.0
    text = f"{what} {done:,}/{of:,}"
    if rate > 0:
        left = int((of - done) / rate + 0.5)
        text += f", {rate:.1f} {each}/s, {left // 60}:{left % 60:02d} left"
    return text


def encoded(about: Mapping[str, Any], seconds: float) -> None:
    """Say on stderr what was encoded, what the store had, and which images could not be read."""
    counts = about.get("encoding", {})
    if not counts:
        return
    fresh = sum(one["encoded"] for one in counts.values())
    total = sum(one["images"] for one in counts.values())
    lost = {name: one["unreadable"] for name, one in counts.items() if one["unreadable"]}
    held = total - fresh - sum(map(len, lost.values()))
    if fresh:
        _say(f"encoded {_images(fresh)} in {seconds:.1f} s; {held:,} were in the store")
    else:
        _say(f"encoded 0 images; {held:,} were in the store")
    for name, one in counts.items():
        for shard in one["repaired"]:
            _say(f"{name}: shard {shard} was damaged; its images were encoded again")
        for note in one["notes"]:
            if "gone" in note:
                _say(f"{name}: {note}")
    for name, images in lost.items():
        for image, why in list(images.items())[:SHOWN]:
            _say(f"{name}: skipped {image}: {why}")
        if len(images) > SHOWN:
            _say(f"{name}: and {len(images) - SHOWN:,} more")


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    """Print a line on stderr; what a file's name may hold does not move the cursor."""
    print("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), file=sys.stderr)


class Stderr(Told):
    """Says on stderr what a run does."""

    def progress(self, what: str, done: int = 0, of: int = 0) -> None:
        """Rewrite the line of progress."""
        progress(what, done, of)

    def encoded(self, about: Mapping[str, Any], seconds: float) -> None:
        """Say what was encoded, and what could not be read."""
        clear()
        encoded(about, seconds)
