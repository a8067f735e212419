"""The texts that images chose as negatives, remembered in the store as those are that were mined by texts."""

from __future__ import annotations

from pathlib import Path

from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.families.mining import MinesTexts
from ood_toolkit.store.negatives import Negatives

__all__ = ["with_list"]


def with_list(scorer: AnyScorer, head: Head | None, store: Path | None) -> tuple[str, ...]:
    """Give the notes of a fitted scorer; where images chose its texts the first says under which key they are kept."""
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
