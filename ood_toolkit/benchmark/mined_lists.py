"""What rows say of mined negatives: which images chose, a list that the store remembers, and whether they are few."""

from __future__ import annotations

from pathlib import Path

from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.families.mining import MinesTexts
from ood_toolkit.scorers.families.small_banks import notes_on_bank
from ood_toolkit.store.negatives import Negatives

__all__ = ["notes_on_negatives"]


def notes_on_negatives(
    scorer: AnyScorer, head: Head | None, val: Outputs | None, store: Path | None
) -> tuple[str, ...]:
    """Give the notes of a fitted scorer, and what is to be said of a bank of negatives that is too small.

    Where images chose its texts they are remembered in the store, and the first note says under which key.
    """
    return (*_with_list(scorer, head, store), *notes_on_bank(scorer, head, val))


def _with_list(scorer: AnyScorer, head: Head | None, store: Path | None) -> tuple[str, ...]:
    notes = tuple(getattr(scorer, "notes_", ()))
    if store is None or head is None or not isinstance(scorer, MinesTexts) or not scorer.by_images:
        return notes
    candidates = head.bank("candidates")
    if candidates.texts is None:
        return notes
    about = {
        **candidates.about,
        "classes": list(head.class_names),
        "candidates": len(candidates.rows),
        "rule": scorer.mine,
        "count": scorer.count,
    }
    why = {
        "gap": scorer.gap_.tolist(),
        "least": scorer.least_.tolist(),
        "class": [head.class_names[place] for place in scorer.closest_.tolist()],
    }
    words = [candidates.texts[place] for place in scorer.places_.tolist()]
    key = Negatives(store).write(about, words, why)
    first, *rest = notes
    return (f"{first} (oodkit negatives {key[:8]})", *rest)
