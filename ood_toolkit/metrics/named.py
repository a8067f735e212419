"""Metrics by name, so that one can be asked for that no protocol prints: FPR at any level, OSCR, means over classes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from types import MappingProxyType

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.levels import as_level, percent_of
from ood_toolkit.metrics.protocols import PROTOCOLS, Measure, Protocol
from ood_toolkit.metrics.roc import fpr_first

__all__ = ["MACRO", "OSCR", "UNSTATED", "level_of", "metric_key", "with_measures"]

AT = re.compile(r"fpr@(.+)")
FPR = re.compile(r"fpr([\d.]+)_(id|ood)")
MACRO, OSCR = "macro_", "oscr"
NATIVE = PROTOCOLS["native"].measures
UNSTATED = "fpr95"
"""What a published FPR95 is called whose source does not say which class is positive: no metric of ours."""


def metric_key(name: str) -> str:
    """Give the key of a metric that can be asked for; `MetricError` where there is none of that name.

    These are the keys of the native protocol; `fpr90_id`, `fpr99.5_ood` and so on, of which `fpr@0.9` is another
    name with ID as the positive class; each of them behind `macro_`, the mean over the classes of an OOD set; and
    `oscr`.
    """
    plain = str(name).strip()
    if plain.startswith(MACRO) and not plain.startswith(2 * MACRO) and plain != MACRO + OSCR:
        return MACRO + metric_key(plain.removeprefix(MACRO))
    at = AT.fullmatch(plain)
    if at is not None:
        return f"fpr{percent_of(as_level(at[1]))}_id"
    if plain in NATIVE or plain == OSCR:
        return plain
    found = level_of(plain)
    if found is not None:
        return f"fpr{percent_of(found[0])}_{found[1]}"
    known = [*NATIVE, OSCR, "fpr@0.9", "fpr90_ood", "macro_auroc"]
    near = difflib.get_close_matches(plain[:60].lower(), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise MetricError(f"unknown metric {plain[:60]!r}; {hint}")


def level_of(key: str) -> tuple[Fraction, str] | None:
    """Give the level and the positive class, `id` or `ood`, of a key such as `fpr90_id`; None for any other."""
    found = FPR.fullmatch(key)
    if found is None:
        return None
    try:
        return as_level(f"{found[1]}e-2"), found[2]
    except MetricError:
        raise MetricError(
            f"{key[:60]!r}: expected per cent above 0 and at most 100 in the name, such as fpr90_id"
        ) from None


def with_measures(protocol: Protocol, keys: Iterable[str]) -> Protocol:
    """Give a protocol that measures these, too; where it has a metric of that key, its own rule stays.

    `keys` are those of `metric_key` that need two arrays of scores: neither `oscr` nor one behind `macro_`.
    """
    more = {key: _measure(key) for key in keys if key not in protocol.measures}
    return replace(protocol, measures=MappingProxyType({**protocol.measures, **more}))


def _measure(key: str) -> Measure:
    if key in NATIVE:
        return NATIVE[key]
    found = level_of(key)
    if found is None:
        raise MetricError(f"{key!r}: expected a metric of two arrays of scores")
    level, positive = found
    return Measure(partial(fpr_first, level=level), "id" if positive == "id" else "ood")
