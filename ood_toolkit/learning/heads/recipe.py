"""`HeadRecipe`: every choice that decides how a linear head is trained, and the named ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal, TypeAlias, get_args

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import TrainingError
from ood_toolkit.scorers.rules import check_rule

__all__ = ["DECAYS", "RECIPES", "HeadRecipe", "Input", "Optimizer", "find_recipe"]

Optimizer: TypeAlias = Literal["lbfgs", "adamw", "sgd"]
Input: TypeAlias = Literal["embeddings", "features"]

DECAYS: Mapping[str, tuple[float, ...]] = {
    "lbfgs": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
    "adamw": (1.0, 0.3, 0.1, 0.01, 0.0),
    "sgd": (1e-2, 1e-3, 1e-4, 0.0),
}
"""Weight decays that are tried, strong ones first. For `lbfgs` they are times the mean square of a row's length, so
that it does not matter what the rows were multiplied by; the middle three come first, then the next beyond while the
best is the outermost, and at last the two half-way to the neighbours of the best."""

UNUSED: Mapping[str, tuple[str, ...]] = {
    "lbfgs": ("batch", "learning_rate", "momentum", "cosine"),
    "adamw": ("momentum",),
    "sgd": (),
}
"""What an optimizer has no use for."""


@dataclass(frozen=True)
class HeadRecipe:
    """How a linear head is trained on the rows of frozen towers.

    Raises `TrainingError` for a value out of its range, `ScorerError` for an unknown rule.
    """

    optimizer: Optimizer = "lbfgs"
    """`lbfgs`: all rows at once, to the minimum; `adamw` and `sgd`: in batches, one pass an epoch."""
    input: Input = "embeddings"
    """Unit rows, or features as the model emitted them."""
    scale: float = 1.0
    """What the rows are multiplied by; it goes into the weight of the finished head."""
    epochs: int = 40
    """Passes over the training rows; of `lbfgs`, at most so many times five iterations."""
    batch: int = 128
    """Rows in a step of `adamw` and `sgd`."""
    learning_rate: float = 0.001
    """Of `adamw` and `sgd`, at the start."""
    momentum: float = 0.0
    """Of `sgd`."""
    weight_decay: float | None = None
    """`lbfgs`: the loss is the mean cross-entropy + weight_decay / 2 * |W|^2; `adamw`: decoupled (arXiv 1711.05101);
    `sgd`: in the gradient. None: the one of `DECAYS` that is best on validation."""
    cosine: bool = False
    """Whether the learning rate falls to 0 as a half cosine, step by step (arXiv 1608.03983)."""
    patience: int | None = None
    """Stop after so many epochs without a better validation accuracy, a tie going to the lower loss, and go back to the
    best; None: keep the last epoch."""
    folds: int = 5
    """Where no validation is given: parts of the training rows, each validated on by a head of the others; the head
    itself is then trained on all rows."""
    val_split: float | None = None
    """Where no validation is given: the share of the training rows that is held out instead, and never trained on."""
    rule: str = "tpr"
    """What gives the class-wise confidence thresholds at the end of each epoch; see `thresholds`."""
    target: float = 0.95
    """Share of ID that the rules `tpr` and `conformal` accept."""
    initial_threshold: float = 0.8
    """Confidence threshold of each class before the first epoch."""
    ema: float = 0.0
    """Share of the old threshold that is kept at each update; 0 replaces it."""
    seed: int = 0
    """Of the first weights, the order of rows, the folds and the held-out share."""

    def __post_init__(self) -> None:
        check_rule(self.rule, self.target)
        for name, kinds in (("optimizer", get_args(Optimizer)), ("input", get_args(Input))):
            if getattr(self, name) not in kinds:
                raise TrainingError(f"{name}: expected {', '.join(kinds)}; got {getattr(self, name)!r}")
        for name in ("scale", "learning_rate"):
            _check(name, getattr(self, name) > 0, "a number above 0", getattr(self, name))
        for name in ("epochs", "batch"):
            _check(name, getattr(self, name) >= 1, "at least 1", getattr(self, name))
        for name in ("momentum", "ema"):
            _check(name, 0 <= getattr(self, name) < 1, "a number from 0 to below 1", getattr(self, name))
        decay, patience, share = self.weight_decay, self.patience, self.val_split
        _check("weight_decay", decay is None or decay >= 0, "0 or more", decay)
        _check("weight_decay", decay != 0 or self.optimizer != "lbfgs", "a number above 0 for lbfgs", decay)
        _check("patience", patience is None or patience >= 1, "at least 1", patience)
        _check("patience", patience is None or self.optimizer != "lbfgs", "none with lbfgs, which converges", patience)
        _check("folds", self.folds >= 2, "at least 2", self.folds)
        _check("val_split", share is None or 0 < share < 1, "a share between 0 and 1", share)
        _check("initial_threshold", 0 <= self.initial_threshold <= 1, "a confidence", self.initial_threshold)

    def changed(self, **values: Any) -> HeadRecipe:
        """Give the same recipe with other values; `folds` take the place of a held-out share.

        `TrainingError` for a value that the optimizer would not look at.
        """
        if "folds" in values:
            values = {"val_split": None, **values}
        made = replace(self, **values)
        for name in UNUSED[made.optimizer]:
            if name in values:
                option = "lr" if name == "learning_rate" else name
                raise TrainingError(f"{option}: {made.optimizer} has none, so it would do nothing; leave it out")
        return made


def _check(name: str, good: bool, expected: str, got: float | None) -> None:
    if not good or (got is not None and not isfinite(got)):
        raise TrainingError(f"{name}: expected {expected}, got {got}")


RECIPES: Mapping[str, HeadRecipe] = {
    "default": HeadRecipe(),
    "adamw": HeadRecipe("adamw", scale=20.0, epochs=50, learning_rate=0.003, cosine=True, patience=10),
    "ust-etri": HeadRecipe(
        "sgd", "features", epochs=10, batch=16, learning_rate=0.001, momentum=0.99, weight_decay=0.0, val_split=0.2
    ),
}
"""`ust-etri` is the recipe of the UST-ETRI seminar on class-specific thresholds."""


def find_recipe(name: str) -> HeadRecipe:
    """Give the recipe of that name; `TrainingError` where there is none."""
    if name not in RECIPES:
        raise TrainingError(f"unknown recipe {name!r}; {nearest(name, RECIPES)}")
    return RECIPES[name]
