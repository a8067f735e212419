"""`Request`: what the command line asks of named sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ood_toolkit.api.prompts import Prompts, Recipe
from ood_toolkit.errors import DataError
from ood_toolkit.report.results import file_name

__all__ = ["HEAD", "Request", "head_files"]

HEAD = "head.safetensors"
"""What the file of a trained head is called in the folder of an ID set."""


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

    heads: Mapping[str, str] = field(default_factory=dict)
    """Files of trained heads by ID set, in the place of the model's own head or of one of prompts."""

    @property
    def ood(self) -> tuple[str, ...]:
        """All OOD sets, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))


def head_files(given: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
    """Read `--head`: a file, `NAME=FILE` for one of several ID sets, or the folder that was trained into."""
    found: dict[str, str] = {}
    for text in given:
        name = next((name for name in ids if text.startswith(f"{name}=")), None)
        place = Path(text if name is None else text[len(name) + 1 :])
        named = [name] if name is not None else list(ids)
        for one in named:
            if one in found:
                raise DataError(f"--head: expected one head for {one}, got {found[one]} and {place}")
            found[one] = str(_head_file(place, one, len(named)))
    if found and (lacking := [name for name in ids if name not in found]):
        raise DataError(f"--head: expected a head for each ID set, got none for {lacking[0]}; add {lacking[0]}=FILE")
    return found


def _head_file(place: Path, name: str, ids: int) -> Path:
    """Find the head of an ID set in a folder; a file is what it is, but not for several sets."""
    for file in (place / file_name(name) / HEAD, place / HEAD):
        if file.is_file() and (ids == 1 or file.parent != place):
            return file
    if place.is_dir():
        raise DataError(f"--head: expected a head of {name} in {place}, as oodkit train head writes it, found none")
    if not place.is_file():
        raise DataError(f"--head: no such file or folder: {place}")
    if ids > 1:
        raise DataError(f"--head: {place} is one head, but there are {ids} ID sets; give NAME=FILE for each")
    return place
