"""Notes on mined negatives that are too small a bank: few texts, or a share of a list that loses to all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ood_toolkit.metrics import auroc
from ood_toolkit.scorers.families.mining import INTER, MinesTexts
from ood_toolkit.scorers.families.negatives import share_of_classes

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.api.stream import AnyScorer
    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Bank, Head

__all__ = ["FEW", "LOSS", "judged", "notes_on_bank"]

FEW = 2000
"""Negatives below which a note says so: the fewest of the papers whose negatives are mined."""
EACH = 20
"""Negatives of a group below which groups are not worth having: a hundredth of the above, as NegLabel has 100."""
LOSS = 0.02
"""AUROC that the negatives kept lose against the whole list before a note says so."""
HELD, LEAST = 500, 10
"""Texts held out of a list, a fifth of it: at most, and at least where it is judged at all."""
IMAGES = 500
"""Validation images that are looked at, at most."""


def notes_on_bank(scorer: AnyScorer, head: Head | None, val: Outputs | None) -> tuple[str, ...]:
    """Say whether the negatives of a scorer, fitted where it must be, are few or too small a share of their list."""
    if head is None or not isinstance(scorer, MinesTexts) or not (scorer.by_images or "negatives" in head.banks):
        return ()
    bank, groups = scorer.bank(head), int(getattr(scorer, "groups", 1))
    count, notes = len(bank.rows), []
    left_out = bank.candidates is not None and len(bank.candidates) > count
    if count < FEW:
        more = [_all_of_it(scorer)] if left_out else []
        more += ["groups=1"] if groups > 1 and count < EACH * groups else []
        what = f"take {' and '.join(more)}" if more else "give more words"
        notes.append(f"{count:,} negatives are few, less than {FEW:,}: {what}")
    found = judged(bank, head, val, groups) if left_out and val is not None else None
    if found is not None and found[1] - found[0] >= LOSS:
        kept, whole = (f"{100 * value:.1f}" for value in found)
        notes.append(
            f"the negatives kept tell validation images from texts held out of their list with AUROC {kept}, all texts "
            f"of the list with {whole}: take {_all_of_it(scorer)}"
        )
    return tuple(notes)


def _all_of_it(scorer: MinesTexts) -> str:
    """Name the parameter that keeps all texts of a list."""
    if not hasattr(scorer, "share"):
        return "a larger count"
    return f"share=1 in place of mine={INTER}" if scorer.by_images else "share=1"


def judged(bank: Bank, head: Head, val: Outputs, groups: int = 1) -> tuple[float, float] | None:
    """Give the AUROC of validation images against texts held out of a bank's list: with what was kept, with all of it.

    A fifth of the list, drawn, is held out, and the score is the probability of the classes against the rest. Held-out
    texts stand for images when they are moved by the difference of the mean image and the mean text of the list.
    None where the list is too short, or is not known.
    """
    import torch

    if bank.candidates is None or bank.places is None or len(bank.candidates) < 5 * LEAST:
        return None
    candidates = bank.candidates.to(head.device)
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(0)).to(head.device)
    held = order[: min(HELD, len(candidates) // 5)]
    rest = torch.ones(len(candidates), dtype=torch.bool, device=head.device)
    rest[held] = False
    kept = torch.zeros_like(rest)
    kept[bank.places.to(head.device)] = True
    step = -(-len(val) // IMAGES)
    known = val[torch.arange(0, len(val), step)].embeddings
    moved = candidates[held].to(known) + (known.mean(dim=0) - candidates.to(known).mean(dim=0))
    moved = torch.nn.functional.normalize(moved, dim=1)

    def against(places: Tensor) -> float:
        negatives = candidates[places]
        used = negatives[: len(negatives) - len(negatives) % min(groups, len(negatives))]
        inside, outside = (share_of_classes(x, head.wide, used, groups, head.scale) for x in (known, moved))
        return auroc(inside, outside)

    if not bool((kept & rest).any()):
        return None
    in_order = order[rest[order]]
    return against(in_order[kept[in_order]]), against(in_order)
