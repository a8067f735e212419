"""`oodkit bench --preset ust-etri`: the seminar as one run."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options

if TYPE_CHECKING:
    from ood_toolkit.report import Report

__all__ = ["NAME", "seminar"]

NAME = "ust-etri"
EMBEDDED = "embedded"
REFUSED = (
    "scorers", "ids", "ood", "csid", "prompts", "recipe", "negatives", "texts", "combiners", "val_split", "tune",
    "protocol", "ci", "ci_replicates", "paired", "against", "keep", "heads",
)  # fmt: skip
"""Options of `oodkit bench` that the seminar decides itself."""
OF_IMAGES = ("models", "precision", "limit")
"""Options that decide what is measured where images are encoded, and nothing where vectors are read."""


def seminar(place: str | None, given: Collection[str], **asked: Any) -> Report:
    """Run the seminar on its own sets, on the embedded ones, or on the vectors in a folder."""
    from ood_toolkit.cli.progress import progress
    from ood_toolkit.learning.heads.recipe import RECIPES
    from ood_toolkit.learning.seminar.figures import published
    from ood_toolkit.learning.seminar.study import study

    if refused := [name for name in REFUSED if name in given]:
        option = {"ids": "id", "heads": "head"}.get(refused[0], refused[0]).replace("_", "-")
        raise click.UsageError(f"--{option}: does not go with --preset {NAME}, which decides it")
    vectors = place not in (None, EMBEDDED)
    if vectors and (needless := [name for name in OF_IMAGES if name in given]):
        option = {"models": "model"}.get(needless[0], needless[0])
        raise click.UsageError(f"--{option}: the vectors in {place} are used as they are; leave it out")
    if len(asked["models"]) > 1:
        raise click.UsageError(f"--model: --preset {NAME} runs one model at a time")
    figures, seed = published(), asked["seed"]
    about: dict[str, Any] = {"command": sys.argv[1:], "seed": seed}
    notes: tuple[str, ...] = ()
    if vectors:
        from ood_toolkit.learning.seminar.casting import VECTORS_MODEL, VECTORS_NOTE, cast_vectors

        subjects, more = cast_vectors(Path(str(place)), seed), dict[str, Any]()
        about["model"], notes = VECTORS_MODEL, (VECTORS_NOTE,)
    else:
        roles = {part.role: part.name for part in figures.sets}
        subjects, more, said = _encoded(roles if place is None else None, asked)
        about |= said
    recipe = replace(RECIPES[NAME], seed=seed)
    return study(subjects, figures, recipe, more, about=about, notes=notes, seed=seed, progress=progress)


def _encoded(roles: Mapping[str, str] | None, asked: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Encode the sets of these roles, or of the embedded ones."""
    from ood_toolkit.learning.seminar.casting import EMBEDDED as EMBEDDED_SETS
    from ood_toolkit.learning.seminar.casting import EMBEDDED_MORE, cast_sets

    names, more = (EMBEDDED_SETS, EMBEDDED_MORE) if roles is None else (roles, ())
    model = next(iter(asked["models"]), None)
    known = ("store", "data_root", "download", "precision", "device", "engine", "seed", "limit", "strict", "rehash",
             "batch_size", "workers", "compile", "share")  # fmt: skip
    _, sets = options.opened(
        tuple(names.values()), {"": tuple(more)}, model=model, **{key: asked[key] for key in known}
    )
    subjects, others = cast_sets(sets, names, more, asked["seed"])
    return subjects, others, {"model": sets.label, "weights": sets.fingerprint, **sets.about()}
