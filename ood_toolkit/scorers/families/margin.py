"""What threshold scorers share: a base score minus the threshold of the predicted class."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Prompts, Scorer
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.scorers.rules import check_rule
from ood_toolkit.scorers.thresholds import Thresholds, class_thresholds

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

JUST_BELOW = -1e-12
"""The margin of an image that is rejected although its score is the largest seen."""


@dataclass
class Margin(Scorer):
    """S - theta of the predicted class, where S is the base score; 0 and above is "in-distribution"."""

    base: Scorer = field(default_factory=MSP)
    """The score that is compared with the thresholds; any scorer."""

    group = "thresholds"
    threshold = 0.0

    @property
    def needs(self) -> frozenset[str]:
        """What the base score needs, and ID validation with logits to predict from."""
        return self.base.needs | {"logits", "val"}

    @property
    def prompts(self) -> Prompts | None:
        """The base score's prompts."""
        return self.base.prompts

    @property
    def savable(self) -> bool:  # type: ignore[override]
        """Whether the base score is."""
        return self.base.savable

    def fit(self, val: Outputs, train: Outputs | None = None) -> Margin:
        """Fit a clone of the base score on `val` and `train`, then one threshold a class on what it says of `val`."""
        return self.fit_apart(val, val, train)

    def fit_apart(self, learnt: Outputs, val: Outputs, train: Outputs | None = None) -> Margin:
        """Fit the base score on `learnt` and `train`, and the thresholds on other ID validation images, `val`.

        What needs labels of validation, the base score or a rule, looks only at images whose class is known.
        """
        import torch

        from ood_toolkit.scorers.calibration import learns_from_val
        from ood_toolkit.scorers.scores import fitted_on, with_known_labels

        in_sample = learnt is val
        left_out: tuple[str, ...] = ()
        if "val_labels" in self.needs:
            val, left_out = with_known_labels(val)
        self.base_ = fitted_on(self.base.clone(), val if in_sample else learnt, train)
        val.hold()  # before the labels are taken off, so that nothing is derived twice
        scores = val.blind().map(self.base_.score)
        thresholds, notes = self.find(scores, val)
        found = torch.as_tensor(thresholds, dtype=torch.float64, device=val.device)  # (k,)
        # Minus infinity accepts all: the least score seen stands for it, and no margin falls below 0.
        self.always_ = torch.isneginf(found)  # (k,)
        self.never_ = torch.isposinf(found)  # (k,): nothing is accepted, and no margin reaches 0
        self.threshold_ = torch.where(self.always_, scores.min().double(), found)  # (k,)
        self.threshold_ = torch.where(self.never_, scores.max().double(), self.threshold_)
        self.notes_ = [*notes, *left_out]
        if in_sample and learns_from_val(self.base):
            self.notes_.append(
                "its thresholds are from images that its base score learnt from, and reject too much of ID"
            )
        return self

    @property
    def thresholds(self) -> Tensor:
        """The threshold of each class (k,) float64: minus infinity where all is accepted, infinity where nothing is."""
        found = self.threshold_.masked_fill(self.always_, float("-inf"))
        never = self.learned().get("never_")  # as in `score`
        return found if never is None else found.masked_fill(never, float("inf"))

    @abstractmethod
    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Give the threshold of each class (k,) from the base scores (n,) of ID validation `val`, with notes."""

    def score(self, x: Outputs) -> Tensor:
        """Give the margin of `x` (n,) float64."""
        margin = self.base_.score(x).double() - self.threshold_[x.prediction]
        margin = margin.where(~self.always_[x.prediction], margin.clamp(min=0))
        never = self.learned().get("never_")  # a detector of before there were such thresholds has none
        return margin if never is None else margin.where(~never[x.prediction], margin.clamp(max=JUST_BELOW))


class ClasswiseMargin(Margin):
    """What `classwise` and `mean` share: a rule that gives each class its threshold; they say what becomes of them."""

    rule: str
    target: float

    def __post_init__(self) -> None:
        check_rule(self.rule, self.target)

    @property
    def needs(self) -> frozenset[str]:
        """What the base score needs, ID validation, and its labels where the rule compares right with wrong."""
        return super().needs | ({"val_labels"} if check_rule(self.rule).needs_right else set())

    def by_class(self, scores: Tensor, val: Outputs) -> Thresholds:
        """Apply the rule to the images predicted as each class."""
        rule = check_rule(self.rule, self.target)
        return class_thresholds(rule, scores, val.prediction, val.classes, val.right, names=val.class_names)
