"""What is to be said of captions before a model learns from them: which are left out, and which are cut."""

from __future__ import annotations

from collections.abc import Iterable

from ood_toolkit.api.model import Model
from ood_toolkit.data.readers.captions import Pairs

__all__ = ["notes_of"]


def notes_of(model: Model, sources: Iterable[Pairs], templates: Iterable[str] = ()) -> list[str]:
    """Say how many images have no caption, and of how many pairs a caption is longer than the text tower takes.

    `templates` take the place of those of the pairs.
    """
    notes: list[str] = []
    cut, total, given = 0, 0, tuple(templates)
    for pairs in sources:
        notes += pairs.notes
        subjects = list(dict.fromkeys(pairs.subjects))
        long = {
            subjects[place]
            for template in given or pairs.templates
            for place in model.overlong([template.format(subject) for subject in subjects])
        }
        cut += sum(subject in long for subject in pairs.subjects)
        total += len(pairs)
    if cut:
        notes.append(f"captions of {cut:,} of {total:,} pairs are longer than the text tower takes and are cut")
    return notes
