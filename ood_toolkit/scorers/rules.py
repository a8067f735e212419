"""`Rule`: a threshold rule with its parameters, written like a spec: `pac:target=0.95:delta=0.05`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ood_toolkit.api.spec import format_value, nearest, parse_spec, unquote
from ood_toolkit.errors import ScorerError, SpecError

__all__ = ["BY", "NEEDS_RIGHT", "PROMISING", "RULES", "Rule", "check_rule"]

BY = ("none", "predicted", "true")
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "tpr": {"target": 0.95},
    "mean": {"target": 0.95},
    "f1": {"target": 0.95},
    "youden": {"target": 0.95},
    "conformal": {"target": 0.95, "by": "none"},
    "pac": {"target": 0.95, "delta": 0.05},
    "risk": {"target": 0.02, "delta": 0.1},
    "cost": {"error": 10.0, "reject": 1.0},
}
"""The parameters of each rule. `mean`, `f1` and `youden` use the target where they fall back to `tpr`."""
RULES = tuple(DEFAULTS)
NEEDS_RIGHT = frozenset({"mean", "f1", "youden", "risk", "cost"})
"""Rules that compare right with wrong predictions, and so need validation labels."""
PROMISING = frozenset({"conformal", "pac", "risk"})
"""Rules that promise something of images to come, if those are exchangeable with the calibration images."""


@dataclass(frozen=True)
class Rule:
    """A rule; parameters that it does not have are None."""

    name: str
    target: float | None = None
    """Share of ID to accept; of `risk` the share of errors among the accepted ID images that is allowed."""
    delta: float | None = None
    """The chance, over calibration sets, that the promise of `pac` or `risk` fails."""
    by: str | None = None
    """Within what `conformal` promises: none, predicted or true."""
    error: float | None = None
    """What `cost` pays for accepting a wrong prediction."""
    reject: float | None = None
    """What `cost` pays for rejecting an image."""

    @classmethod
    def of(cls, rule: str | Rule, target: float | None = None) -> Rule:
        """Parse a rule; `target` holds where the text names none. `ScorerError` in one line for what is wrong."""
        if isinstance(rule, Rule):
            return rule
        try:
            spec = parse_spec(str(rule))
        except SpecError as error:
            raise ScorerError(f"rule: {error}") from None
        if spec.name not in DEFAULTS:
            raise ScorerError(f"rule: unknown rule {spec.name!r}; {nearest(spec.name, RULES)}")
        values = dict(DEFAULTS[spec.name])
        if target is not None and "target" in values:
            values["target"] = target
        for key, text in spec.arguments.items():
            if key not in values:
                raise ScorerError(f"rule: {spec.name} has no parameter {key!r}; {nearest(key, values)}")
            values[key] = unquote(text) if key == "by" else _number(spec.name, key, text)
        return cls(spec.name, **values)

    def __post_init__(self) -> None:
        for key in ("target", "delta"):
            value = getattr(self, key)
            if value is not None and not 0 < value < 1:
                raise ScorerError(f"{key}: expected a share between 0 and 1, got {value}")
        for key in ("error", "reject"):
            value = getattr(self, key)
            if value is not None and not 0 < value < float("inf"):
                raise ScorerError(f"{key}: expected a cost above 0, got {value}")
        if self.by is not None and self.by not in BY:
            raise ScorerError(f"by: expected {', '.join(BY)}, got {self.by!r}")

    @property
    def text(self) -> str:
        """The canonical text that parses back to an equal rule; parameters at their defaults are left out."""
        known = DEFAULTS[self.name]
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        parts = [f"{k}={v if k == 'by' else format_value(v)}" for k, v in given.items() if k in known and v != known[k]]
        return ":".join([self.name, *parts])

    @property
    def promises(self) -> bool:
        """Whether it promises something of images to come."""
        return self.name in PROMISING

    @property
    def share(self) -> float:
        """The target, of a rule that has one."""
        assert self.target is not None
        return self.target


def check_rule(rule: str, target: float | None = None) -> Rule:
    """Give the rule of a scorer's parameters, whose field `target` holds for rules about a share of ID to accept."""
    made = Rule.of(rule)
    if made.name in ("risk", "cost"):
        if target not in (None, 0.95):
            raise ScorerError(f"target: {made.name} takes its numbers in the rule, as rule='{made.name}:...'")
        return made
    if made.by == "true":
        raise ScorerError("rule: conformal:by=true is one threshold for all classes; use it with a plain score")
    return Rule.of(rule, target)


def _number(name: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ScorerError(f"rule: {name}: {key}: expected a number, got {text!r}") from None
