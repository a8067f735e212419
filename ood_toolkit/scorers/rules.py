"""`Rule`: a threshold rule with its parameters, written like a spec: `pac:delta=0.05`; `KINDS`: all there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.spec import format_value, nearest, parse_spec, unquote
from ood_toolkit.errors import ScorerError, SpecError
from ood_toolkit.scorers.cuts import cost_threshold, f1_threshold, mean_threshold, youden_threshold
from ood_toolkit.scorers.promises import conformal_rank, pac_rank, risk_threshold, tpr_rank

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BY", "KINDS", "RULES", "Kind", "Rule", "check_rule", "is_of_rule"]

BY = ("none", "predicted", "true")
BOTH = "right or wrong predictions"
ACCEPTED = "at least {share} of future ID images{of_class} are accepted"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What there is to know of the rules of one name: a row of `KINDS`. It has a `rank` or a `cut`."""

    parameters: Mapping[str, Any]
    """With their defaults. Rules that fall back use `target` for the `tpr` threshold that they then take."""
    rank: Callable[[Rule, int], int] | None = None
    """Which of n scores, counted from the smallest, is the threshold; 0 for minus infinity."""
    cut: Callable[[Rule, np.ndarray, np.ndarray], float | None] | None = None
    """Of a rule that compares right with wrong predictions, and so needs labels: the threshold of scores (n,), of which
    `right` (n,) bool are right; None where it finds too few of a kind among them."""
    compares: str = ""
    """Of which predictions `cut` needs some, else the `tpr` threshold is taken; "" for a rule that never falls back."""
    shrinks: bool = False
    """Whether the threshold of a class with few images is drawn toward the global one."""
    promise: str = ""
    """What holds for images to come, if those are exchangeable with the calibration images; "" for no promise."""
    fits: str = "fits"
    """What a threshold without a promise does to the calibration images."""

    @property
    def takes_target(self) -> bool:
        """Whether its `target` is the share of ID to accept, which scorers have as a parameter of their own."""
        return self.rank is not None or bool(self.compares)


KINDS: Mapping[str, Kind] = {
    "tpr": Kind(parameters={"target": 0.95}, rank=lambda rule, n: tpr_rank(n, rule.aim), shrinks=True),
    "mean": Kind(
        parameters={"target": 0.95},
        cut=lambda rule, scores, right: mean_threshold(scores, right),
        compares="right predictions",
        shrinks=True,
    ),
    "f1": Kind(
        parameters={"target": 0.95},
        cut=lambda rule, scores, right: f1_threshold(scores, right),
        compares=BOTH,
        shrinks=True,
    ),
    "youden": Kind(
        parameters={"target": 0.95},
        cut=lambda rule, scores, right: youden_threshold(scores, right),
        compares=BOTH,
        shrinks=True,
    ),
    "conformal": Kind(
        parameters={"target": 0.95, "by": "none"},
        rank=lambda rule, n: conformal_rank(n, rule.aim),
        promise=f"{ACCEPTED}, on average over calibration sets, {{same}}; {{no_ood}}.",
    ),
    "pac": Kind(
        parameters={"target": 0.95, "delta": 0.05},
        rank=lambda rule, n: pac_rank(n, rule.aim, rule.chance),
        promise=f"with {{sure}} confidence {ACCEPTED}, {{same}}; {{no_ood}}.",
    ),
    "risk": Kind(
        parameters={"target": 0.02, "delta": 0.1},
        cut=lambda rule, scores, right: risk_threshold(scores, right, rule.aim, rule.chance),
        promise="with {sure} confidence at most {share} of the accepted ID images{of_class} are predicted wrongly, "
        "{same}; accepted OOD images are not counted, and {no_ood}.",
    ),
    "cost": Kind(
        parameters={"error": 10.0, "reject": 1.0},
        cut=lambda rule, scores, right: cost_threshold(scores, right, rule.error or 0.0, rule.reject or 0.0),
        fits="is cheapest on",
    ),
}
RULES = tuple(KINDS)


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
        if spec.name not in KINDS:
            raise ScorerError(f"rule: unknown rule {spec.name!r}; {nearest(spec.name, RULES)}")
        values = dict(KINDS[spec.name].parameters)
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
        known = self.kind.parameters
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        parts = [f"{k}={v if k == 'by' else format_value(v)}" for k, v in given.items() if k in known and v != known[k]]
        return ":".join([self.name, *parts])

    @property
    def kind(self) -> Kind:
        """What there is to know of rules of this name."""
        return KINDS[self.name]

    @property
    def promises(self) -> bool:
        """Whether it promises something of images to come."""
        return bool(self.kind.promise)

    @property
    def needs_right(self) -> bool:
        """Whether it compares right with wrong predictions, and so needs validation labels."""
        return self.kind.cut is not None

    @property
    def aim(self) -> float:
        """The target, of a rule that has one."""
        assert self.target is not None
        return self.target

    @property
    def chance(self) -> float:
        """`delta`, of a rule that has one."""
        assert self.delta is not None
        return self.delta

    def rank(self, n: int) -> int | None:
        """Give which of n scores, from the smallest, is the one threshold of them: 0 for minus infinity, None for none.

        The set form, `conformal:by=true`, has a rank within each true class alone.
        """
        return None if self.kind.rank is None or self.by == "true" else self.kind.rank(self, n)


def check_rule(rule: str, target: float | None = None) -> Rule:
    """Give the rule of a scorer's parameters, whose field `target` holds for rules about a share of ID to accept."""
    made = Rule.of(rule)
    if not made.kind.takes_target:
        if target not in (None, 0.95):
            raise ScorerError(f"target: {made.name} takes its numbers in the rule, as rule='{made.name}:...'")
        return made
    if made.by == "true":
        raise ScorerError("rule: conformal:by=true is one threshold for all classes; use it with a plain score")
    return Rule.of(rule, target)


def is_of_rule(note: str) -> bool:
    """Tell whether a note is of a threshold rule, and so goes when thresholds are moved."""
    return note.partition(":")[0] in RULES


def _number(name: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ScorerError(f"rule: {name}: {key}: expected a number, got {text!r}") from None
