"""CLIPN's checkpoints: a CLIP of open_clip with a second text tower that reads "not this class"."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError
from ood_toolkit.models.clip import OPTIONS, OpenClip, as_this_open_clip, build_clip, build_tokenizer, check_options
from ood_toolkit.models.model import ModelEntry
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.pretrained import config_of
from ood_toolkit.models.recipe import DEFAULT_CHOICES, Recipe
from ood_toolkit.models.weights import check_file, load_strictly, read_weights, sha256_of
from ood_toolkit.prompts import clipn_templates

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CLIPN", "Clipn", "load_clipn"]

SWITCH: Mapping[str, bool] = {"true": True, "false": False}


class Clipn(OpenClip):
    """CLIPN by Wang, Li, Yao and Li, ICCV 2023, arXiv 2308.12213, as its code evaluates a checkpoint.

    The "no" tower is a second text tower of the same shape. A checkpoint with `prompt_no` (16, 77, w) is the learnable
    variant: the mean of these prompts is added to the embedded tokens at all positions, and both towers read the same
    sentences. One without is the hand-crafted variant, whose second tower reads the paired "no" sentences. The paper's
    learnable variant puts learned tokens into the sentence; what was released adds them to it.

    Cosines are multiplied by exp(logit_scale) of the checkpoint, where CLIPN's evaluation takes the constant 100.
    """

    has_no_tower = True

    def __init__(
        self, clip: Any, recipe: Recipe, fingerprint: str, tokenize: Callable[..., Tensor], quotes: bool = True
    ) -> None:
        super().__init__(clip, recipe, fingerprint, tokenize)
        learnable = clip.prompt_no is not None
        yes, no = clipn_templates(quotes)
        self.templates, self.no_templates = yes, yes if learnable else no
        prompts = len(clip.prompt_no) if learnable else 0
        said = {**json.loads(self.architecture), "no_tower": {"learned_prompts": prompts}}
        self.architecture = json.dumps(said, sort_keys=True, separators=(",", ":"))

    def encode_no_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m sentences with the "no" tower as (m, d) float32 rows, not normalised, on the model's device."""
        from ood_toolkit.models.text_tower import embed_no

        tokens = self._tokens(texts)
        with self._autocast():
            return embed_no(self.clip, tokens).float()


def load_clipn(argument: str, *, quotes: str | bool = True, precision: str = "fp32", **changes: Any) -> Clipn:
    """Load `ARCH/FILE`, both text towers strictly; `CLIPN.options` has the options."""
    from ood_toolkit.models.text_tower import add_no_tower, is_plain

    quoted, recipe = _switch(quotes), _settled(argument)
    recipe = check_options(recipe, precision, **changes) or recipe
    assert recipe.weights is not None  # settled from a file
    clip = build_clip(recipe)
    if not is_plain(clip) or recipe.config["text_cfg"].get("hf_tokenizer_name"):
        raise ModelError(f"{recipe.what}: CLIPN doubles text towers like OpenAI's CLIP, which this one is not")
    weights = read_weights(recipe.weights)
    if not any("_no." in name or name.endswith("_no") for name in weights):
        raise ModelError(f"{recipe.what}: it has no second text tower; pass {recipe.what.removeprefix('clipn:')}")
    prompts = weights.get("prompt_no")
    add_no_tower(clip, None if prompts is None else max(1, len(prompts)) if prompts.ndim else 1)
    load_strictly(clip, as_this_open_clip(weights, clip), recipe.what)
    model = Clipn(clip, recipe, sha256_of(recipe.weights), build_tokenizer(recipe), quoted)
    model.precision = precision
    return model


def check_clipn(argument: str, *, quotes: str | bool = True, precision: str = "fp32", **changes: Any) -> None:
    """Refuse before anything heavy is imported what `load_clipn` cannot load."""
    _switch(quotes)
    check_options(_settled(argument), precision, **changes)


def _settled(argument: str) -> Recipe:
    """Settle the architecture and the file, with the preprocessing that CLIPN's code has for all checkpoints."""
    architecture, _, file = argument.partition("/")
    config, path = config_of(architecture), Path(file).expanduser()
    if not file:
        raise ModelError(f"clipn:{argument}: expected clipn:ARCH/FILE, such as clipn:ViT-B-16/epoch_10.pt")
    if config.get("quick_gelu"):
        raise ModelError(
            f"clipn:{argument}: CLIPN was trained from weights with GELU, but {architecture} has QuickGELU; "
            f"pass clipn:{architecture.removesuffix('-quickgelu')}/{file}"
        )
    check_file(path)
    preprocessing = Preprocessing.square(config["vision_cfg"].get("image_size", 224), **DEFAULT_CHOICES)
    return Recipe(f"clipn:{architecture}/{path}", config | {"quick_gelu": False}, preprocessing, path, None, None)


def _switch(value: str | bool) -> bool:
    found = value if isinstance(value, bool) else SWITCH.get(value.lower())
    if found is None:
        raise ModelError(f"quotes: expected true or false, got {value!r}")
    return found


CLIPN = ModelEntry(
    name="clipn",
    description="A checkpoint of CLIPN, learnable or hand-crafted, whose second text tower reads 'not this class'.",
    load=load_clipn,
    argument="ARCH/FILE",
    check=check_clipn,
    options={
        "quotes": "true (default): its 128 templates stand in quotes, as in its code; false: plain sentences",
        **{name: said for name, said in OPTIONS.items() if name not in ("context", "download")},
    },
    notes=("CLIPN released ViT-B-16, three runs, on Google Drive: github.com/xmed-lab/CLIPN.",),
)
