"""`Ledger`: what derived arrays cost and who used them, so that no cost falls on whoever came first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["Ledger", "once", "shared"]

Value = TypeVar("Value")
ITEMS = "_charged"
"""Under this name an object keeps what its derived arrays cost."""
_current: ContextVar[Ledger | None] = ContextVar("ledger", default=None)


class _Item:
    """One derived array: seconds without those of its parts, who asked for it, and which others it is made of."""

    __slots__ = ("inner", "parts", "seconds", "users")

    def __init__(self) -> None:
        self.seconds = self.inner = 0.0
        self.users: set[str] = set()
        self.parts: list[_Item] = []


class Ledger:
    """Times work by user, and apart from it the derived arrays that users ask for, each when it is first made."""

    def __init__(self) -> None:
        self._own: dict[str, float] = {}
        self._items: list[_Item] = []
        self._open: list[_Item] = []
        self._user = ""
        self._inside = 0.0

    @contextmanager
    def charging(self, user: str) -> Iterator[None]:
        """Charge what is done in the block to a user, but for derived arrays."""
        token, self._user, before = _current.set(self), user, self._inside
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start - (self._inside - before)
            self._own[user] = self._own.get(user, 0.0) + spent
            _current.reset(token)

    def settle(self) -> tuple[dict[str, float], float]:
        """Give the seconds of each user, with those of arrays that it alone used, and the seconds that are shared."""
        for item in self._items:
            for user in tuple(item.users):
                _spread(item.parts, user)
        seconds, together = dict(self._own), 0.0
        for item in self._items:
            if len(item.users) == 1:
                (user,) = item.users
                seconds[user] = seconds.get(user, 0.0) + item.seconds
            else:
                together += item.seconds
        return seconds, together

    def get(self, holder: Any, name: str, make: Callable[[], Value]) -> Value:
        """Give what an object holds under a name, made and timed if it is not there, and note who asked."""
        items: dict[str, _Item] = holder.__dict__.setdefault(ITEMS, {})
        if name in holder.__dict__:
            if name in items:
                self._used(items[name])
            return make()
        item = items[name] = _Item()
        self._items.append(item)
        self._used(item)
        self._open.append(item)
        start = time.perf_counter()
        try:
            return make()
        finally:
            spent = time.perf_counter() - start
            self._open.pop()
            item.seconds = spent - item.inner
            if self._open:
                self._open[-1].inner += spent
            else:
                self._inside += spent

    def _used(self, item: _Item) -> None:
        if self._open:
            self._open[-1].parts.append(item)
        else:
            item.users.add(self._user)


def _spread(parts: list[_Item], user: str) -> None:
    """Make a user of an array a user of all that it is made of."""
    for part in parts:
        if user not in part.users:
            part.users.add(user)
            _spread(part.parts, user)


def once(holder: Any, name: str, make: Callable[[], Value]) -> Value:
    """Give what an object holds under a name, made if it is not there; a ledger at work is told."""

    def held() -> Value:
        if name not in holder.__dict__:
            holder.__dict__[name] = make()
        value: Value = holder.__dict__[name]
        return value

    ledger = _current.get()
    return held() if ledger is None else ledger.get(holder, name, held)


if TYPE_CHECKING:
    shared = cached_property
else:

    class shared(cached_property):  # noqa: N801
        """A cached property of which a ledger at work learns each use, the first with its time."""

        def __get__(self, holder: Any, owner: type | None = None) -> Any:
            ledger = None if holder is None else _current.get()
            if ledger is None:
                return super().__get__(holder, owner)
            return ledger.get(holder, self.attrname, lambda: cached_property.__get__(self, holder, owner))

        def __set__(self, holder: Any, value: Any) -> None:
            holder.__dict__[self.attrname] = value  # with this each use comes here, not to what is cached alone
