"""The candidates of a scorer: what it becomes with every combination of the values that its grid names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import format_value
from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.errors import one_line

__all__ = ["candidates", "searched"]


def searched(scorer: AnyScorer) -> dict[str, tuple[Any, ...]]:
    """Give the values to try of each parameter of the grid that is at its default; an inner scorer's are candidates."""
    if not isinstance(scorer, Scorer):
        return {}
    fields = getattr(type(scorer), "__dataclass_fields__", {})
    free = [name for name in scorer.grid if name in fields and getattr(scorer, name) == scorer.default_of(name)]
    inner = {name: value for name, value in scorer.parameters().items() if isinstance(value, Scorer)}
    return {
        **{name: tuple(scorer.grid[name]) for name in free},
        **{name: tuple(candidates(value)) for name, value in inner.items() if searched(value)},
    }


def candidates(scorer: Scorer, refused: dict[str, str] | None = None) -> list[Scorer]:
    """Give a scorer, and after it what it becomes with every combination of the values to try, fewest changes first.

    What cannot be made goes to `refused`, with the reason by its text.
    """
    tried, found = searched(scorer), {scorer.spec: scorer}
    for values in product(*tried.values()):
        chosen = dict(zip(tried, values, strict=True))
        try:
            made = type(scorer)(**{**scorer.clone().parameters(), **chosen})
        except Exception as error:  # a scorer may be anybody's: the result says what it raised
            if refused is not None:
                refused[_text(scorer, chosen)] = one_line(error, type(scorer).__module__)
        else:
            found.setdefault(made.spec, made)
    given = scorer.parameters()
    return sorted(found.values(), key=lambda one: sum(one.parameters()[name] != given[name] for name in tried))


def _text(scorer: Scorer, values: Mapping[str, Any]) -> str:
    return ":".join([scorer.name, *(f"{name}={format_value(value)}" for name, value in values.items())])
