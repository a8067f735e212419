"""From settings to the sets of the model that answers for them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import WORDNET
from ood_toolkit.api.registry import Registry
from ood_toolkit.benchmark.checks import check_scorers, has_negatives
from ood_toolkit.benchmark.settings import KINDS, Settings
from ood_toolkit.data.root import default_data_root
from ood_toolkit.encode.choice import Find, Imported, choose, finder
from ood_toolkit.errors import UsageError
from ood_toolkit.models.names import Choice
from ood_toolkit.store.files import default_store
from ood_toolkit.store.room import check_writable

if TYPE_CHECKING:
    from ood_toolkit.api.stream import AnyScorer
    from ood_toolkit.encode.sets import Sets

__all__ = ["asked_by", "chosen", "opened"]

Progress = Callable[..., None]


def asked_by(settings: Settings, scorers: Sequence[AnyScorer], text: str, registry: Registry) -> Settings:
    """Add what scorers, given as this text, want encoded beside the features."""
    needs = {need for scorer in scorers for need in scorer.needs}
    check_scorers(settings, scorers, registry)
    return replace(
        settings,
        wished=tuple(kind for kind in KINDS if f"extra:{kind}" in needs),
        views="text:prompts" in needs,
        negatives=settings.negatives or (WORDNET if _wants_words(scorers, text) else ""),
        local=next((s.prompts for s in scorers if "extra:local" in s.needs and s.prompts is not None), None),
    )


def _wants_words(scorers: Sequence[AnyScorer], text: str) -> bool:
    """Tell whether a score with negatives was asked for by name; a group alone does not have 70,000 words encoded."""
    named = set(re.findall(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", text))
    return any(scorer.name in named for scorer in scorers if has_negatives(scorer))


def chosen(
    settings: Settings, registry: Registry, find: Find | None = None, splits: Sequence[str] = ("test",)
) -> Choice | Imported:
    """Say which model answers for the sets, and check that it can be loaded; torch is not imported.

    Imported sets count as here if they have one of `splits`.
    """
    named = dict.fromkeys([*settings.ids, *settings.csid, *settings.tune, *settings.ood])
    options = {"download": settings.download, "precision": settings.precision}
    store = settings.store or default_store()
    return choose(registry, store, settings.model, list(named), find, splits, settings.ready, **options)


def opened(
    settings: Settings,
    registry: Registry,
    progress: Progress = lambda *told: None,
    *,
    splits: Sequence[str] = ("test",),
    needs_pictures: bool = False,
) -> Sets:
    """Open the sets of the model that answers for them, of settings that `check_options` let pass.

    Nothing is encoded yet.
    """
    wished = settings.wished
    if settings.trained and not _hold_texts(settings.trained):
        if "local" in settings.keep:
            raise UsageError("--keep local: compares patches with class texts, and --head has none")
        wished = tuple(kind for kind in wished if kind != "local")
    find = finder(registry, download=settings.download)
    choice = chosen(settings, registry, find, splits)
    if not isinstance(choice, Imported):
        check_writable(settings.store or default_store(), f"the store {settings.store or default_store()}")
    if not settings.download:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no library behind us downloads what nobody asked for
    from ood_toolkit.benchmark.gather import open_sets
    from ood_toolkit.encode.options import Effort
    from ood_toolkit.encode.sets import Place
    from ood_toolkit.models.precision import check_device

    if settings.engine == "local":  # a cluster's workers have devices of their own
        check_device(settings.device)
    effort = Effort(
        settings.device, settings.batch_size, settings.workers, settings.strict, settings.rehash, settings.compile,
        settings.engine, settings.exchange,
    )  # fmt: skip
    store, root = settings.store or default_store(), settings.data_root or default_data_root()
    place = Place(store, root, effort, settings.download, settings.limit, settings.seed, needs_pictures)
    return open_sets(choice, find, place, settings.keep, wished, progress)


def _hold_texts(trained: Mapping[str, str]) -> bool:
    """Tell whether all trained heads are of class texts, so that patches can be compared with them."""
    from ood_toolkit.store.head_file import read_head

    return all(read_head(file).head.kind == "zero_shot" for file in trained.values())
