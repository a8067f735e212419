"""`check_named`: the checks for whatever bears a name, a scorer, a combiner, a data set or a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ood_toolkit.api.plugins import KINDS
from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import SpecError
from ood_toolkit.testing.combiners import check_combiner
from ood_toolkit.testing.datasets import check_dataset
from ood_toolkit.testing.models import check_model
from ood_toolkit.testing.outcome import CheckReport

__all__ = ["check_named", "kind_named"]


def kind_named(name: str, kind: str | None = None) -> str:
    """Say of which kind a name, or a spec that begins with it, is; `SpecError` for none and for several."""
    registry, slug = get_registry(), name.partition(":")[0]
    known = {one: [*registry.names(one), *registry.disabled(one)] for one in KINDS}
    found = [one for one in KINDS if slug in known[one] and kind in (None, one)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"{slug!r} is of several kinds: {', '.join(found)}; name one with --kind")
    raise SpecError(f"nothing is called {slug!r}; {registry.hint(slug, *(KINDS if kind is None else [kind]))}")


def check_named(name: str, kind: str | None = None, data_root: Path | None = None) -> CheckReport:
    """Check what is called so; `ConformanceError` lists every failed check."""
    from ood_toolkit.testing import check_scorer

    check: dict[str, Callable[[], CheckReport]] = {
        "scorers": lambda: check_scorer(name),
        "combiners": lambda: check_combiner(name),
        "datasets": lambda: check_dataset(name, data_root),
        "models": lambda: check_model(name),
    }
    return check[kind_named(name, kind)]()
