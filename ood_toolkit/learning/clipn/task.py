"""`ClipnTask`: teach a copy of a CLIP's text tower to say "no", as CLIPN does, ICCV 2023, arXiv 2308.12213."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood_toolkit.api.model import Model
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.errors import TrainingError
from ood_toolkit.learning.clipn.loss import clipn_losses
from ood_toolkit.learning.loop import Batch, Plan, Task, seeded
from ood_toolkit.learning.pictures import PictureLoader
from ood_toolkit.models.clip import OpenClip
from ood_toolkit.models.saving import check_savable
from ood_toolkit.models.text_tower import NO, add_no_tower, embed_no, embed_texts, is_plain

__all__ = ["PAPER", "PROMPTS", "ClipnTask", "Wording", "double_text_tower"]

PAPER = Plan(epochs=10, batch=2048, learning_rate=3e-4, weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6)
"""The paper's recipe: cosine without warm-up, decay of matrices only."""
PROMPTS = 16
"""Learned "no" prompts; a caption gets one of them, or their mean."""


@dataclass(frozen=True)
class Wording:
    """How captions are written: templates, and the ones that say "no" to them, drawn alike for each caption."""

    yes: tuple[str, ...] = ("{}",)
    no: tuple[str, ...] | None = None
    """None: both towers read the same sentence."""


def double_text_tower(model: Model, *, learned_prompts: bool) -> Any:
    """Put a "no" tower, a copy of the text tower, into the network of a model, all else frozen; give the network.

    Raises `ModelError` or `TrainingError` where that is not a CLIP of open_clip with OpenAI's kind of text tower.
    """
    savable = check_savable(model)
    clip = savable.clip
    if not is_plain(clip) or savable.bias or (isinstance(savable, OpenClip) and savable.recipe.tokenizer):
        raise TrainingError(
            f"{model.name}: expected a CLIP of open_clip whose text tower is like OpenAI's, such as "
            "ViT-B-16/laion2b_s34b_b88k; CLIPN doubles that tower, and this model has another"
        )
    clip.requires_grad_(False)
    add_no_tower(clip, PROMPTS if learned_prompts else None)
    for name, parameter in clip.named_parameters():
        parameter.requires_grad_(is_of_no(name))
    return clip


def is_of_no(name: str) -> bool:
    """Tell the weights that are learnt from the others, as CLIPN does, by their name."""
    return f"{NO}." in name or name.endswith(NO)


class ClipnTask(Task):
    """Image-caption pairs for the "no" tower of a network that `double_text_tower` made.

    Images are `features` (n, d), taken as they are in every epoch, or come from a loader of pictures.
    """

    def __init__(
        self,
        model: Model,
        pairs: Pairs,
        wordings: Sequence[Wording],
        images: Tensor | PictureLoader,
        seed: int,
        *,
        skip_alike: bool = True,
    ) -> None:
        """Take the wording of each pair's caption; `skip_alike` leaves pairs of one subject out of `itbo_no`."""
        self.model, self.clip, self.pairs, self.images, self.seed = model, model.clip, pairs, images, seed  # type: ignore[attr-defined]
        self.tokenize: Callable[[list[str]], Tensor] = model.tokenize  # type: ignore[attr-defined]
        self.wordings, self.skip_alike, self.rows = wordings, skip_alike, len(pairs)
        self.scale = min(model.scale, 100.0)
        numbers: dict[str, int] = {}
        self.subjects = [numbers.setdefault(subject, len(numbers)) for subject in pairs.subjects]

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Name the weights of the "no" tower and, where there are such, the learned prompts."""
        return {name: weight for name, weight in self.clip.named_parameters() if weight.requires_grad}

    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load images, and write a caption for each by a template that seed, epoch and row decide."""
        if isinstance(self.images, Tensor):
            images, taken = self.images[list(rows)], list(rows)
        else:
            images, taken = self.images.load(rows, epoch)
        said = [self.captions(row, epoch) for row in taken]
        batch = {
            "images": images,
            "yes": self.tokenize([yes for yes, _, _ in said]),
            "drawn": torch.tensor([drawn for _, _, drawn in said]),
            "subject": torch.tensor([self.subjects[row] for row in taken]),
        }
        no = [no for _, no, _ in said]
        return batch if no == [yes for yes, _, _ in said] else {**batch, "no": self.tokenize(no)}

    def captions(self, row: int, epoch: int) -> tuple[str, str, int]:
        """Give the sentences that the "yes" and the "no" tower read, and which learned prompt goes with it."""
        draw = seeded("caption", self.seed, epoch, row)
        wording, subject = self.wordings[row], self.pairs.subjects[row]
        place = int(torch.randint(len(wording.yes), (), generator=draw))
        drawn = int(torch.randint(PROMPTS + 1, (), generator=draw))
        no = wording.yes if wording.no is None else wording.no
        return wording.yes[place].replace("{}", subject), no[place].replace("{}", subject), drawn

    def embed(self, batch: Batch) -> Batch:
        """Run the frozen towers without a gradient, and the "no" tower: unit rows (b, d)."""
        with torch.no_grad():
            images = batch["images"]
            images = images if isinstance(self.images, Tensor) else self.model.encode_images(images)
            yes = each_once(lambda tokens, drawn: embed_texts(self.clip, tokens), batch["yes"])
        drawn = batch["drawn"] if self.clip.prompt_no is not None else None
        no = each_once(lambda tokens, drawn: embed_no(self.clip, tokens, drawn), batch.get("no", batch["yes"]), drawn)
        rows = {"images": images, "yes": yes, "no": no}
        return {**{name: F.normalize(one.float(), dim=-1) for name, one in rows.items()}, "subject": batch["subject"]}

    def loss(self, held: Batch) -> dict[str, Tensor]:
        """Give the three terms of CLIPN's loss and their sum, for a whole batch."""
        alike = held["subject"] if self.skip_alike else None
        return clipn_losses(held["images"], held["yes"], held["no"], self.scale, alike)


def each_once(embed: Callable[[Tensor, Tensor], Tensor], tokens: Tensor, drawn: Tensor | None = None) -> Tensor:
    """Embed each of the texts (m, t), with what was drawn for it (m,), once: captions of labelled sets repeat."""
    drawn = torch.zeros_like(tokens[:, 0]) if drawn is None else drawn
    rows, back = torch.unique(torch.cat([tokens, drawn[:, None]], dim=1), dim=0, return_inverse=True)
    return embed(rows[:, :-1], rows[:, -1])[back]
