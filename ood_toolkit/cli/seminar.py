"""`oodkit bench --preset ust-etri`: the seminar as one run."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.benchmark.checks import SEMINAR, check_seminar
from ood_toolkit.cli import options

if TYPE_CHECKING:
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.report import Report

__all__ = ["seminar"]

EMBEDDED = "embedded"


def seminar(place: str | None, given: Collection[str], settings: Settings) -> Report:
    """Run the seminar on its own sets, on the embedded ones, or on the vectors in a folder."""
    vectors = None if place == EMBEDDED else place
    check_seminar(settings, given, vectors)
    from ood_toolkit.cli.progress import progress
    from ood_toolkit.learning.heads.recipe import RECIPES
    from ood_toolkit.learning.seminar.figures import published
    from ood_toolkit.learning.seminar.study import study

    figures, seed = published(), settings.seed
    about: dict[str, Any] = {"command": sys.argv[1:], "seed": seed}
    notes: tuple[str, ...] = ()
    if vectors is not None:
        from ood_toolkit.learning.seminar.casting import VECTORS_MODEL, VECTORS_NOTE, cast_vectors

        subjects, more = cast_vectors(Path(vectors), seed), dict[str, Any]()
        about["model"], notes = VECTORS_MODEL, (VECTORS_NOTE,)
    else:
        roles = {part.role: part.name for part in figures.sets}
        subjects, more, said = _encoded(roles if place is None else None, settings)
        about |= said
    recipe = replace(RECIPES[SEMINAR], seed=seed)
    return study(subjects, figures, recipe, more, about=about, notes=notes, seed=seed, progress=progress)


def _encoded(roles: Mapping[str, str] | None, settings: Settings) -> tuple[Any, Any, dict[str, Any]]:
    """Encode the sets of these roles, or of the embedded ones."""
    from ood_toolkit.learning.seminar.casting import EMBEDDED as EMBEDDED_SETS
    from ood_toolkit.learning.seminar.casting import EMBEDDED_MORE, cast_sets

    names, more = (EMBEDDED_SETS, EMBEDDED_MORE) if roles is None else (roles, ())
    sets = options.open_sets(replace(settings, ids=tuple(names.values()), groups={"": tuple(more)}))
    subjects, others = cast_sets(sets, names, more, settings.seed)
    return subjects, others, {"model": sets.label, "weights": sets.fingerprint, **sets.about()}
