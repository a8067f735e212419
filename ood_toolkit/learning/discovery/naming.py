"""What a cluster looks like: the nearest known class, and the nearest of many words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ood_toolkit.api.prompts import Prompts, TextBank
from ood_toolkit.benchmark.heads import templates_of
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError
from ood_toolkit.models.bank_files import holds_arrays, read_bank
from ood_toolkit.outputs.head import Bank, Head

__all__ = ["centres", "nearest_classes", "nearest_words", "word_bank"]


def centres(embeddings: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Give the mean direction (count, d) of the unit rows (n, d) of each label (n,); each must have rows."""
    means = np.stack([embeddings[labels == one].mean(axis=0, dtype=np.float64) for one in range(count)])
    unit: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def nearest_classes(middles: np.ndarray, known: np.ndarray, names: Sequence[str]) -> list[tuple[str, float]]:
    """Give the class whose images' centre (k, d) has the largest cosine with each cluster's (c, d), and the cosine."""
    cosines = middles @ known.T
    return [(names[int(row.argmax())], float(row.max())) for row in cosines]


def nearest_words(middles: np.ndarray, bank: Bank, count: int = 5) -> list[list[str]]:
    """Give the words whose texts have the largest cosines with each centre (c, d), the nearest first."""
    rows = bank.rows.double().cpu()
    texts = bank.texts or tuple(str(place) for place in range(len(rows)))
    best = (torch.from_numpy(middles) @ rows.T).topk(min(count, len(rows)), dim=1).indices
    return [[texts[place] for place in row] for row in best.tolist()]


def word_bank(settings: Settings, sets: Sets, name: str, head: Head | None, words: str | None) -> Bank | None:
    """Encode words, `wordnet` or a file with one a line, under the ID set's prompts, or read their embeddings."""
    if words is None:
        return None
    if holds_arrays(words):
        width = (sets.outputs(name, "test", head).embeddings).shape[1]
        return read_bank(words, width, (), "words")
    prompts = Prompts(templates_of(settings, sets, name), settings.text_recipe, banks=(TextBank("words", words),))
    if not sets.encodes_words():
        raise DataError(
            f"--words: model {sets.label!r} has no text tower here to encode words with; give their embeddings in .npz"
        )
    made = sets.head(name, prompts)
    return None if made is None else made.bank("words")
