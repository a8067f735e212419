"""What long work shows on stderr: a line that is rewritten, in a log one every 30 seconds; and what was encoded."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from ood_toolkit.benchmark.run import Told
from ood_toolkit.cli.streams import QUIET, VERBOSE, print_message, rewrite, terminal_width, volume
from ood_toolkit.report.cells import plain
from ood_toolkit.report.folding import folded, width_of

__all__ = ["Stderr", "clear", "encoded", "progress"]

SHOWN = 10
"""Unreadable images that are named on stderr; the result names all."""
EVERY = 30.0
"""Seconds between two lines of progress where stderr is no terminal."""
_said: dict[str, float] = {}
"""When the last line of progress was said there, or the work began."""
OFTEN = 0.1
"""Seconds between two writings of the line while the scorers of a step take turns."""
_shown: dict[str, str] = {}
"""Which step was said last."""
_at: dict[str, float] = {}
"""When the line was written last, and when the first step of `--verbose` began."""
_started: dict[str, tuple[float, int, int]] = {}
"""When each piece of work began, how much of it was done by then, and how much of it was said to be done last."""


def progress(what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
    """Say what is done, how fast, the time that is left and who is at work.

    It stands on one line that is rewritten, or at times in a log. `--quiet` says nothing, `--verbose` gives each step
    a line of its own that stays.
    """
    if volume() == QUIET:
        return
    now, step = time.monotonic(), plain(what)
    width = terminal_width(sys.stderr)
    if volume() == VERBOSE and _shown.get("step") != step:
        _keep(step, now, width)
    elif at and width is not None and _shown.get("step") == step and now - _at.get("line", -OFTEN) < OFTEN:
        return
    _shown["step"] = step
    line = _line(step, done, of, now, each) + (f", {plain(at)}" if at else "")
    if width is not None:
        _at["line"] = now
        rewrite(line if width_of(line) < width else folded(line, width - 1)[0])
    elif now - _said.setdefault("", now) >= EVERY:
        _said[""] = now
        print_message(line)


def _keep(step: str, now: float, width: int | None) -> None:
    """Say on a line that stays which step begins, and how long after the first."""
    began = _at.setdefault("first", now)
    if width is not None:
        rewrite("")
    print_message(f"{now - began:7.1f} s  {step}")


def clear() -> None:
    """Take the line away; what comes next is other work."""
    _started.clear()
    _shown.clear()
    _at.pop("line", None)
    _said.clear()
    if terminal_width(sys.stderr) is not None and volume() != QUIET:
        rewrite("")


def _line(what: str, done: int, of: int, now: float, each: str = "images") -> str:
    if not of:
        return what
    began, before, last = _started.get(what, (now, done, done))
    if done < last:  # the same work begins anew
        began, before = now, done
    _started[what] = began, before, done
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
    if volume() == QUIET:
        pass
    elif fresh:
        print_message(f"encoded {_images(fresh)} in {seconds:.1f} s; {held:,} were in the store")
    else:
        print_message(f"encoded 0 images; {held:,} were in the store")
    for name, one in counts.items():
        for shard in one["repaired"]:
            print_message(f"{name}: shard {shard} was damaged; its images were encoded again")
        for note in one["notes"]:
            if "gone" in note:
                print_message(f"{name}: {note}")
    for name, images in lost.items():
        for image, why in list(images.items())[:SHOWN]:
            print_message(f"{name}: skipped {plain(image)}: {plain(why)}")
        if len(images) > SHOWN:
            print_message(f"{name}: and {len(images) - SHOWN:,} more")


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


class Stderr(Told):
    """Says on stderr what a run does."""

    def progress(self, what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
        """Rewrite the line of progress."""
        progress(what, done, of, each, at)

    def encoded(self, about: Mapping[str, Any], seconds: float) -> None:
        """Say what was encoded, and what could not be read."""
        clear()
        encoded(about, seconds)
