"""`Declaration`: what scorers, of single images and of streams, declare of themselves."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from inspect import getdoc
from typing import ClassVar

from ood_toolkit.api.component import Component
from ood_toolkit.api.prompts import Prompts
from ood_toolkit.api.spec import format_value
from ood_toolkit.outputs.notebook import facts_html

__all__ = ["Declaration"]


class Declaration(Component, ABC):
    """What a runner, the listing and the conformance kit know of a scorer before it has seen an image.

    A subclass gives `needs`, `prompts` and `bounds` as plain class attributes, or as properties where parameters
    decide.
    """

    exempt: ClassVar[Mapping[str, str]] = {}
    """Conformance checks that do not apply, each with the reason; sign, finiteness and labels always apply, and so does
    refit, or the memory of a scorer of streams."""
    group: ClassVar[str | None] = None
    """The group that lists it: clip, classical or thresholds."""

    @property
    def needs(self) -> frozenset[str]:
        """What must be there, of these words.

        `logits`, `features`, `nonnegative_features`, `head` (of either kind), `zero_shot`, `linear_head`, `val`,
        `val_labels`, `train`, `train_labels`, `text:<bank>`, `extra:<name>`. A scorer of streams that names a
        split has a `fit`.
        """
        return frozenset()

    @property
    def prompts(self) -> Prompts | None:
        """The prompts of the paper; None takes the data set's."""
        return None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and largest possible score, where they are known."""
        return None

    def _repr_html_(self) -> str:
        said = (getdoc(type(self)) or "").split("\n\n")[0]
        facts = {
            "what": " ".join(said.split()), "group": self.group, "needs": ", ".join(sorted(self.needs)),
            **{name: format_value(value) for name, value in self.parameters().items()},
            "fitted": "yes" if self.learned() else "",
        }  # fmt: skip
        return facts_html(f"Scorer: {self.spec}", facts)
