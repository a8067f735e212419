"""The gravest errors of a case with their pictures, as the page holds them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.gallery import Gallery, picture_format
from ood_toolkit.report.html.by_class import taken_off
from ood_toolkit.report.html.numbers import exact
from ood_toolkit.report.html.positions import cut_of
from ood_toolkit.report.images_of_rows import Case
from ood_toolkit.report.picks import Pick, picks

__all__ = ["Album"]

USUAL = 12
"""How many images of each kind are listed where no thumbnails were asked for."""
ROOM = 3_700_000
"""Characters that all pictures of a page may take together, so that the page stays one that people send."""
MEDIA = {"png": "image/png", "jpg": "image/jpeg"}


@dataclass(eq=False)
class Album:
    """The pictures of a page, each once."""

    gallery: Gallery | None
    pictures: list[str] = field(default_factory=list)
    """As addresses that hold the picture itself."""
    left_out: int = 0
    """How many pictures found no room any more."""
    _places: dict[bytes, int] = field(default_factory=dict)
    _taken: int = 0

    def of(self, case: Case, sets: Sequence[str]) -> list[dict[str, Any]]:
        """Give the errors of a case; `sets` names the data sets that its ID test is of."""
        count = USUAL if self.gallery is None else self.gallery.count
        return [self._kind(case, pick, sets) for pick in picks(case, count)]

    def _kind(self, case: Case, pick: Pick, sets: Sequence[str]) -> dict[str, Any]:
        missed = pick.kind == "missed"
        owners = [case.row.ood] if missed else list(sets)
        images = [self._image(case, int(row), missed, owners) for row in pick.rows]
        return {"kind": pick.kind, "total": pick.total, "decided": pick.decided, "images": images}

    def _image(self, case: Case, row: int, missed: bool, owners: list[str]) -> dict[str, Any]:
        said, scores = (case.ood, case.scores[1]) if missed else (case.test, case.scores[0])
        taken, score = taken_off(case, said, row), float(scores[row])
        threshold = cut_of(case) if taken is None else taken
        shown = {
            "id": plain(said.ids[row]),
            "score": exact(score if taken is None else score + taken),
            "threshold": None if threshold is None else exact(threshold),
            "picture": self._picture(owners, str(said.ids[row])),
        }
        if said.prediction is not None:
            shown["prediction"] = plain(said.prediction[row])
        if said.truth is not None:
            shown["class"] = plain(said.truth[row])
        return shown

    def _picture(self, owners: list[str], identity: str) -> int | None:
        content = None if self.gallery is None else self.gallery.find(owners, identity)
        if content is None:
            return None
        if content not in self._places:
            kind = picture_format(content) or ""
            address = f"data:{MEDIA[kind]};base64,{base64.b64encode(content).decode()}"
            if self._taken + len(address) > ROOM:
                self.left_out += 1
                return None
            self._taken += len(address)
            self._places[content] = len(self.pictures)
            self.pictures.append(address)
        return self._places[content]
