"""`Request`: what the command line asks of named sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ood_toolkit.wording import Prompts, Recipe

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    ids: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """OOD sets by group; the group "" is unnamed."""
    prompts: tuple[str, ...] = ()
    """Templates in place of the set's first and the scorers' own; `own` stands for all of the set's."""
    recipe: Recipe = "normalise-sum-normalise"
    """How the embeddings of several templates become one."""
    views: bool = False
    """Whether heads carry the embeddings of each template too."""
    val_split: float | None = None
    """Share of the ID test for validation; None: the set's own validation, else 0.2; 0: none."""
    seed: int = 0
    limit: int | None = None
    """At most so many images of each set."""
    negatives: str = ""
    """Words that negative labels are mined from: `wordnet`, a file with one a line, or "" for none."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Files with further texts, or their embeddings, by the name of the bank that they become."""
    local: Prompts | None = None
    """Prompts that `extra:local` is taken under; None: those of the run."""
    csid: tuple[str, ...] = ()
    """Covariate-shifted ID sets, which are tested on as in-distribution beside the one ID set."""
    tune: tuple[str, ...] = ()
    """OOD sets that parameters are searched on: the validation split of each, its test split where it has none."""

    @property
    def ood(self) -> tuple[str, ...]:
        """All OOD sets, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))
