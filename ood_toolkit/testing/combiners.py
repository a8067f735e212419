"""`check_combiner`: the checks of combiners, on what three made-up models say of the same images."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ood_toolkit.api.combiner import PROBABILITIES, Combiner, Scored
from ood_toolkit.errors import NotFittedError, ScorerError, kind_of
from ood_toolkit.testing.expectations import expect, expect_same, snapshot
from ood_toolkit.testing.outcome import CheckReport, outcome

__all__ = ["check_combiner"]

CLASSES = ("cat", "dog", "car", "ship")
ROWS = 90
"""Images of the union; thirty of each member's own ID set."""
TOLERANCE = 1e-9


def check_combiner(combiner: Combiner | str) -> CheckReport:
    """Run every check on clones of a combiner, an instance or a spec; `ConformanceError` lists every failed one.

    Raises `ScorerError` for what is no combiner, `SpecError` for a spec that is not understood.
    """
    if isinstance(combiner, str):
        from ood_toolkit.api.registry import get_registry

        combiner = get_registry().combiner(combiner)
    if not isinstance(combiner, Combiner):
        raise ScorerError(f"expected a combiner or its spec, got {combiner!r}; call the class to make an instance")
    label = combiner.spec if hasattr(type(combiner), "name") else type(combiner).__name__
    return outcome(
        label, {name: partial(check, combiner) for name, check in CHECKS.items()}, {}, type(combiner).__module__
    )


def said(seed: int, *, own: bool, spread: float = 1.0, rows: int = ROWS) -> list[Scored]:
    """Make what three members say of the same images; each is sure of the images of its own ID set."""
    draw, parts = np.random.default_rng(seed), []
    group = np.arange(rows) % 3
    for member in range(3):
        mine = group == member
        score = spread * (draw.normal(size=rows) + 3.0 * mine) + member
        confidence = np.clip(0.3 + 0.5 * mine + 0.15 * draw.random(rows), 0, 1)
        prediction = np.array(CLASSES)[draw.integers(0, len(CLASSES), rows)]
        parts.append(
            Scored(
                *(prediction, confidence, score, score - spread - member, mine if own else None),
                probabilities=_probabilities(prediction, confidence),
                classes=np.array(CLASSES),
            )
        )
    return parts


def _probabilities(prediction: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Give the predicted class its confidence (n,), and the others equal shares of the rest."""
    chosen = prediction[:, None] == np.array(CLASSES)
    return np.where(chosen, confidence[:, None], (1 - confidence[:, None]) / (len(CLASSES) - 1))


def _chosen(parts: Sequence[Scored], rows: np.ndarray) -> list[Scored]:
    def take(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    return [
        Scored(
            *(part.prediction[rows], part.confidence[rows], part.score[rows], part.margin[rows], take(part.own)),
            probabilities=take(part.probabilities),
            classes=part.classes,
        )
        for part in parts
    ]


def _fitted(combiner: Combiner, seed: int = 0) -> Combiner:
    made = combiner.clone()
    got: object = made.fit(said(seed, own=True))
    expect(got is made, "fit to return self", repr(got))
    return made


def _same(when: str, got: Scored, want: Scored) -> None:
    for name in ("score", "margin", "confidence"):
        here, there = getattr(got, name), getattr(want, name)
        near = np.abs(here - there) <= TOLERANCE * (1 + np.abs(there))
        place = int(np.flatnonzero(~near)[0]) if not near.all() else 0
        expect(bool(near.all()), f"the same {name} {when}", f"{here[place]!r} for {there[place]!r} in row {place}")
    expect((got.prediction == want.prediction).all(), f"the same predictions {when}", "others")


def _declaration(combiner: Combiner) -> None:
    name = getattr(type(combiner), "name", None)
    expect(dataclasses.is_dataclass(combiner), "a class under @dataclass", type(combiner).__name__)
    slug = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+([-_.][a-z0-9]+)*", name) is not None
    expect(slug, "name to be a slug such as my-rule", repr(name))


def _shape(combiner: Combiner) -> None:
    got: object = _fitted(combiner).combine(said(1, own=False))
    expect(isinstance(got, Scored), "a Scored", kind_of(got))
    assert isinstance(got, Scored)  # for the type checker alone
    expect(len(got) == ROWS, f"{ROWS} rows, one an image", len(got))


def _predictions(combiner: Combiner) -> None:
    parts = said(1, own=False)
    got = _fitted(combiner).combine(parts)
    among = np.any([part.prediction == got.prediction for part in parts], axis=0)
    if PROBABILITIES in combiner.needs:  # the mean of all classes may have another largest than any member has
        among = np.isin(got.prediction, CLASSES)
    expect(bool(among.all()), "each image's prediction to be one of the members'", f"{int((~among).sum())} others")


def _sign(combiner: Combiner) -> None:
    made, parts = _fitted(combiner), said(1, own=False)
    shift = 8.0
    sure, unsure = (
        made.combine([_shifted(part, by, parts[0].prediction, likely) for part in parts])
        for by, likely in ((shift, 1 - 1e-6), (-shift, 1 / len(CLASSES) + 1e-6))
    )
    higher = float((sure.score > unsure.score).mean())
    expect(higher > 0.9, "higher scores where every member's are (higher = more in-distribution)", f"{higher:.0%}")
    expect(bool(sure.accepted.mean() > 0.9), "images that every member accepts to be accepted", sure.accepted.mean())
    expect(bool(unsure.accepted.mean() < 0.1), "images that every member rejects to be", unsure.accepted.mean())


def _shifted(part: Scored, by: float, agreed: np.ndarray, likely: float) -> Scored:
    """Add to the scores, and give the classes (n,) that all members agree on this probability."""
    return Scored(
        *(part.prediction, part.confidence, part.score + by, part.margin + by),
        probabilities=_probabilities(agreed, np.full(ROWS, likely)),
        classes=part.classes,
    )


def _batch_independence(combiner: Combiner) -> None:
    made, parts = _fitted(combiner), said(1, own=False)
    whole = made.combine(parts)
    for row in range(0, ROWS, 9):
        alone = made.combine(_chosen(parts, np.array([row])))
        _same("for an image alone", alone, _chosen([whole], np.array([row]))[0])
    order = np.random.default_rng(0).permutation(ROWS)
    _same("in another order", made.combine(_chosen(parts, order)), _chosen([whole], order)[0])
    many = np.arange(2000) % ROWS
    _same("among 2,000 images", made.combine(_chosen(parts, many)), _chosen([whole], many)[0])


def _repeatability(combiner: Combiner) -> None:
    made, parts = _fitted(combiner), said(1, own=False)
    first = made.combine(parts)
    _same("when asked again", made.combine(parts), first)
    _same("after the same fit again", _fitted(combiner).combine(parts), first)


def _refit(combiner: Combiner) -> None:
    made, parts = _fitted(combiner, seed=5), said(1, own=False)
    made.fit(said(0, own=True))
    _same("after an earlier fit on other images", made.combine(parts), _fitted(combiner).combine(parts))


def _parameters(combiner: Combiner) -> None:
    before, made = snapshot(combiner), combiner.clone()
    made.fit(said(0, own=True))
    made.combine(said(1, own=False))
    expect_same("fit and combine to leave", snapshot(made), before)


def _unfitted(combiner: Combiner) -> None:
    learned = ", ".join(sorted(_fitted(combiner).learned()))
    try:
        combiner.clone().combine(said(1, own=False))
    except NotFittedError as error:
        expect(bool(learned), "no NotFittedError, as fit sets nothing that ends in _", error)
        return
    expect(not learned, f"NotFittedError before fit, which sets {learned}", "an answer")


def _state(combiner: Combiner) -> None:
    made, parts = _fitted(combiner), said(1, own=False)
    restored = type(made).from_state(made.state(), **made.parameters())
    _same("after from_state(state())", restored.combine(parts), made.combine(parts))


def _input(combiner: Combiner) -> None:
    val, parts = said(0, own=True), said(1, own=False)
    combiner.clone().fit(val).combine(parts)
    for name, given, fresh in (("val", val, said(0, own=True)), ("parts", parts, said(1, own=False))):
        for now, before in zip(given, fresh, strict=True):
            _same(f"in {name} after fit and combine", now, before)


def _scales(combiner: Combiner) -> None:
    made, parts = combiner.clone(), said(1, own=False, spread=1e6)
    made.fit(said(0, own=True, spread=1e6))
    got = made.combine(parts)
    expect(bool(np.isfinite(got.score).all()), "finite scores for scores a million times as large", "others")
    equal = [replace(part, score=np.ones(ROWS), margin=np.zeros(ROWS)) for part in said(0, own=True)]
    flat = combiner.clone().fit(equal).combine(equal)
    expect(bool(np.isfinite(flat.score).all()), "finite scores where all are equal", "others")


CHECKS: dict[str, Callable[[Combiner], None]] = {
    check.__name__.strip("_").replace("_", "-"): check
    for check in (
        *(_declaration, _shape, _predictions, _sign, _batch_independence, _repeatability, _refit),
        *(_parameters, _unfitted, _state, _input, _scales),
    )
}
