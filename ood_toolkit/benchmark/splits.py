"""`Split`: which images of an ID set are for testing and which for validation; none is for both, nor a copy of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ood_toolkit.encode.sets import Sets, drawn
from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Outputs

__all__ = ["Split", "of_known_classes", "split_of", "stratified"]

VAL_SHARE = 0.2
"""Share of the ID test images that become validation where a set has none of its own."""


@dataclass(frozen=True, eq=False)
class Split:
    """What the images of an ID set are for."""

    parts: dict[str, tuple[str, np.ndarray | None]]
    """Split and rows (None: all) of the parts test and val."""
    where: str
    """Which images are for validation, in words."""


def split_of(
    sets: Sets, name: str, x: Outputs, val_split: float | None, seed: int, limit: int | None, val: Outputs | None
) -> Split:
    """Split an ID set, of which `x` is the test split and `val` its own validation split, if it is to be used."""
    rows = drawn(len(x), limit, seed)
    if val is not None:
        kept, note = _no_copies(sets, name, rows, drawn(len(val), limit, seed), len(x), len(val))
        return Split({"test": ("test", rows), "val": ("val", kept)}, f"the set's own split{note}")
    share = VAL_SHARE if val_split is None else val_split
    if share == 0:
        return Split({"test": ("test", rows)}, "none")
    used = np.arange(len(x)) if rows is None else rows
    labels = x.labels
    strata = np.zeros(len(x), dtype=int) if labels is None else labels.cpu().numpy()
    copies = _copies(sets.keys(name, "test"), len(x))
    firsts = used[np.unique(copies[used], return_index=True)[1]]
    firsts.sort()
    chosen = copies[firsts[stratified(strata[firsts], share, seed)]]
    val_rows = used[np.isin(copies[used], chosen)]
    test_rows = np.setdiff1d(used, val_rows)
    if not len(val_rows) or not len(test_rows):
        few = "1 image is" if len(firsts) == 1 else f"{len(firsts)} images are"
        raise DataError(
            f"{name}: {few} too few to split {share} of them off for validation; take more, or --val-split 0"
        )
    how = "" if labels is None else "stratified "
    return Split(
        {"test": ("test", test_rows), "val": ("test", val_rows)},
        f"{how}{100 * share:g} % of the test split, seed {seed}",
    )


def stratified(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose rows at random so that each stratum gives its share, rounded; at least one row stays in each.

    Where strata are so small that less than half of the share would come together, it is drawn over all strata.
    """
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(strata == value)) for value in np.unique(strata)]
    chosen = np.concatenate([part[: min(int(share * len(part) + 0.5), len(part) - 1)] for part in parts])
    if len(chosen) < share * len(strata) / 2:
        order = np.concatenate([parts[place] for place in rng.permutation(len(parts))])
        steps = np.floor(np.arange(len(order) + 1) * share + rng.uniform())
        chosen = order[np.diff(steps) > 0]
    return np.sort(chosen)


def of_known_classes(x: Outputs, name: str, of: str) -> tuple[Outputs, list[str]]:
    """Leave out of a covariate-shifted set the images of classes that the ID set lacks, and say how many."""
    if x.labels is None:
        return x, []
    rows = np.flatnonzero(x.labels.cpu().numpy() >= 0)
    if not len(rows):
        raise DataError(
            f"{name}: expected images of the classes of {of}, got none, by class name; name OOD sets after --ood"
        )
    if len(rows) == len(x):
        return x, []
    lost = len(x) - len(rows)
    return x[rows], [f"{lost:,} of the {len(x):,} images of {name} are of classes that {of} lacks, and left out"]


def _no_copies(
    sets: Sets, name: str, test: np.ndarray | None, val: np.ndarray | None, tests: int, vals: int
) -> tuple[np.ndarray | None, str]:
    """Leave out validation images whose copies are tested, and say how many."""
    test_keys, val_keys = sets.keys(name, "test"), sets.keys(name, "val")
    if test_keys is None or val_keys is None:
        return val, ""
    copies = _copies(np.concatenate([test_keys, val_keys]), tests + vals)
    tested = copies[:tests] if test is None else copies[:tests][test]
    rows = np.arange(vals) if val is None else val
    kept = rows[~np.isin(copies[tests:][rows], tested)]
    if len(kept) == len(rows):
        return val, ""
    if not len(kept):
        raise DataError(f"{name}: all {len(rows)} validation images are copies of test images; give --val-split")
    return kept, f" without {len(rows) - len(kept)} copies of test images"


def _copies(keys: np.ndarray | None, count: int) -> np.ndarray:
    """Give each row (n,) a number that copies of one image share."""
    if keys is None:
        return np.arange(count)
    whole = np.ascontiguousarray(keys).view([("", keys.dtype)] * keys.shape[1]).reshape(-1)
    numbers: np.ndarray = np.unique(whole, return_inverse=True)[1]
    return numbers.reshape(-1)
