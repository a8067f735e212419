"""`watch`: one call of `oodkit monitor`, from the state of the last one to that of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.monitor import ALPHA, Monitor
from ood_toolkit.detectors.monitoring.feed import Feed, first_of, position_of, twice
from ood_toolkit.detectors.monitoring.state import held_state
from ood_toolkit.errors import DetectorError

__all__ = ["watch"]


def watch(
    detector: Detector,
    feeds: Callable[[], Iterable[Feed]],
    state: Path | None = None,
    alpha: float | None = None,
    *,
    reset: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Monitor:
    """Feed what is new, after a reset if one is asked for, and write the state; all of it or nothing.

    `alpha` is chosen once, with the first call that has the state; `DetectorError` for another one later.
    """
    with nullcontext() if state is None else held_state(state):
        monitor = _begun(detector, state, alpha)
        if reset:
            monitor.reset()
        for feed in feeds():
            _take(monitor, feed, progress)
        if state is not None:
            monitor.save(state)
    return monitor


def _begun(detector: Detector, state: Path | None, alpha: float | None) -> Monitor:
    if state is None or not state.exists():
        return Monitor(detector, ALPHA if alpha is None else alpha)
    monitor = Monitor.load(state, detector)
    if alpha is not None and alpha != monitor.alpha:
        raise DetectorError(
            f"{state}: was begun with alpha {monitor.alpha:g}, and one that is chosen after looking promises nothing; "
            "leave out --alpha, or name another file"
        )
    return monitor


def _take(monitor: Monitor, feed: Feed, progress: Callable[[int], None]) -> None:
    position, place = position_of(feed, monitor.fed)
    firsts = {one["first"] for one in monitor.fed} if feed.named else set[str]()
    for decisions, keys in feed.after(position.rows):
        monitor.observe(decisions)
        for key in keys:
            if position.rows and first_of(key) in firsts:
                raise twice(feed)
            position.pass_by(key)
        progress(monitor.images)
    if place is not None:
        monitor.fed[place] = position.to_dict()
    elif position.rows:
        monitor.fed.append(position.to_dict())
