"""`Deciding`: the rows of a source through a detector, each with the hash of what it was decided on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.detectors.pictures import Item
from ood_toolkit.detectors.sources import Hashed, PictureSource, RowSource, Source, row_key
from ood_toolkit.detectors.writing import Known

__all__ = ["Deciding"]


@dataclass
class Deciding:
    """What rows are decided with, and which are passed over."""

    detector: Detector
    gate: Callable[[], Gate]
    """Makes the gate, where there are pictures."""
    known: Known = field(default_factory=Known)
    skipped: int = 0
    """Rows that were passed over because they are known."""

    def rows(self, source: Source) -> Iterator[tuple[Decisions, list[str]]]:
        """Decide batch by batch, in the order of the source; give the hashes (SHA-256) of the rows beside them."""
        return self._of_pictures(source) if isinstance(source, PictureSource) else self._of_rows(source)

    def _of_pictures(self, source: PictureSource) -> Iterator[tuple[Decisions, list[str]]]:
        """Let the gate read ahead, and keep the hash of each picture until its decision comes."""
        waiting: deque[Hashed] = deque()

        def items() -> Iterator[Item]:
            for name, picture in source.walk():
                hashed, content = Hashed(picture), None
                if len(self.known):
                    try:
                        content = hashed.read()
                    except OSError:
                        hashed.key = ""
                    if self.known.has(name, hashed.key):
                        self.skipped += 1
                        continue
                waiting.append(hashed)
                yield Item(hashed if content is None else _Read(hashed, content), name)

        for found in self.gate().stream(items()):
            yield found, [waiting.popleft().key for _ in range(len(found))]

    def _of_rows(self, source: RowSource) -> Iterator[tuple[Decisions, list[str]]]:
        for names, block in source.walk():
            keys = [row_key(row) for row in block.cpu().numpy()]
            fresh = [row for row, key in enumerate(keys) if not self.known.has(names[row], key)]
            self.skipped += len(keys) - len(fresh)
            if len(fresh) < len(keys):
                names, keys, block = [names[row] for row in fresh], [keys[row] for row in fresh], block[fresh]
            if fresh:
                found = self.detector.decide_rows(block, is_features=source.is_features)
                yield replace(found, given_ids=np.array(names)), keys


class _Read(Hashed):
    """A picture whose bytes were read already, to tell whether it is known."""

    def __init__(self, hashed: Hashed, content: bytes) -> None:
        super().__init__(hashed.inner, hashed.key)
        self.content = content

    def read(self) -> bytes:
        """Give the bytes."""
        return self.content
