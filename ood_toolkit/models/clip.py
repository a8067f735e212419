"""CLIP-type models by open_clip: a name with a pretrained tag or a weights file, a Hub repository, a folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.model import Model, ModelEntry
from ood_toolkit.errors import ModelError
from ood_toolkit.models.contexts import check_context, read_context
from ood_toolkit.models.digits_clip import check_digits_clip, files_of_digits_clip, load_digits_clip, weights_in
from ood_toolkit.models.names import PRECISIONS
from ood_toolkit.models.open_clip_recipe import OpenClipRecipe, of_folder, of_name, of_repository
from ood_toolkit.models.pretrained import Hub
from ood_toolkit.models.two_towers import TwoTowers
from ood_toolkit.models.weights import load_strictly, read_checkpoint, sha256_of
from ood_toolkit.store.foreign.guard import reason
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


__all__ = ["HF_HUB", "LOCAL_DIR", "OPEN_CLIP", "OpenClip", "load_hf_hub", "load_local_dir", "load_open_clip"]


class OpenClip(TwoTowers):
    """A model of open_clip in eval mode, with its own preprocessing and tokenizer, or with a learned prompt.

    Its weights stay in float32; with precision bf16 or fp16 the layers compute under `torch.autocast`, which keeps
    LayerNorm in float32 and treats the towers of open_clip, timm and transformers alike.
    """

    def __init__(self, clip: Any, recipe: OpenClipRecipe, fingerprint: str, tokenize: Callable[..., Tensor]) -> None:
        from ood_toolkit.models.image_tower import kinds_of
        from ood_toolkit.models.precision import lay_out

        self.clip: Any = lay_out(clip)
        self.recipe = recipe
        self.name = recipe.what
        self.scale = float(clip.logit_scale.exp())
        bias = getattr(clip, "logit_bias", None)
        self.bias = 0.0 if bias is None else float(bias)
        self.fingerprint = fingerprint
        self.architecture = architecture_of(recipe.config)
        self.preprocess_image = recipe.preprocessing
        self.preprocessing = recipe.preprocessing.about()
        self.image_size = recipe.preprocessing.image_size
        self.tokenize = tokenize
        self.tokenizer = _tokenizer_text(recipe)
        self.licence = recipe.licence
        self.kinds = kinds_of(clip.visual)

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture, of any mode and size, into a (3, h, w) float32 input on the CPU."""
        return self.preprocess_image(image)


def architecture_of(config: Mapping[str, Any]) -> str:
    """Write a configuration so that equal networks have equal texts."""
    said = copy.deepcopy(dict(config))
    said["vision_cfg"].pop("timm_model_pretrained", None)
    said["text_cfg"].pop("hf_model_pretrained", None)
    return json.dumps({"open_clip": said}, sort_keys=True, separators=(",", ":"))


def build_clip(recipe: OpenClipRecipe) -> Any:
    """Build the network of a recipe with random weights, with no word to the network."""
    import torch
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    config = copy.deepcopy(dict(recipe.config))
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if recipe.text_tower is not None:
        config["text_cfg"] |= {"hf_model_name": str(recipe.text_tower), "hf_model_pretrained": False}
    kind = CLIP if not custom else CoCa if "multimodal_cfg" in config else CustomTextCLIP
    with torch.random.fork_rng(devices=[]):  # the caller's random choices stay what they were
        try:
            return kind(**config)
        except Exception as error:  # a configuration of others may make anything fail
            raise ModelError(f"{recipe.what}: open_clip cannot build its configuration: {reason(error)}") from error


def _load(
    recipe: OpenClipRecipe | None, precision: str = "fp32", context: str | None = None, **changes: Any
) -> OpenClip:
    if recipe is None or recipe.weights is None:  # a check passes with files to come, loading does not
        raise ModelError("weights: expected a file, got none")
    file = recipe.weights
    recipe = check_options(recipe, precision, context, **changes) or recipe
    clip, held = build_clip(recipe), read_checkpoint(file)
    weights = held.weights
    if "text_projection_no" in weights:
        raise ModelError(f"{recipe.what}: it has a second text tower, as CLIPN's checkpoints do; pass clipn:ARCH/FILE")
    load_strictly(clip, as_this_open_clip(weights, clip), recipe.what)
    model = OpenClip(clip, recipe, held.fingerprint, build_tokenizer(recipe))
    model.notes = held.notes
    model.precision = precision
    if context is not None:
        model.put_context(read_context(context, clip, recipe.what, own_tokenizer=recipe.tokenizer is None))
    return model


def check_options(
    recipe: OpenClipRecipe | None,
    precision: str = "fp32",
    context: str | None = None,
    resize: str | int | None = None,
    interpolation: str | None = None,
) -> OpenClipRecipe | None:
    """Give the recipe with the options that change what is computed; `ModelError` for a wrong one."""
    if precision not in PRECISIONS:
        raise ModelError(f"precision: expected {', '.join(PRECISIONS)}, got {precision!r}")
    if context is not None:
        check_context(context)
    if recipe is None:
        return None
    return replace(recipe, preprocessing=recipe.preprocessing.changed(resize, interpolation))


def as_this_open_clip(weights: dict[str, Any], clip: Any) -> dict[str, Any]:
    """Rename what earlier releases of open_clip wrote otherwise; nothing is left out, added or resized."""
    from open_clip.model import convert_to_custom_text_state_dict

    if "positional_embedding" in weights and not hasattr(clip, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    for name in ("logit_scale", "logit_bias"):
        mine = getattr(clip, name, None)
        if name in weights and mine is not None and weights[name].numel() == 1:
            weights[name] = weights[name].reshape(mine.shape)
    positions = "text.transformer.embeddings.position_ids"  # a constant that transformers no longer keeps
    if positions not in clip.state_dict():
        weights.pop(positions, None)
    return weights


def build_tokenizer(recipe: OpenClipRecipe) -> Callable[..., Tensor]:
    """Make open_clip's own tokenizer, or the Hugging Face tokenizer of a local folder."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = recipe.config["text_cfg"]
    options = dict(text.get("tokenizer_kwargs") or {})
    length = text.get("context_length", 77)
    made: Callable[..., Tensor]
    if recipe.tokenizer is None:
        made = SimpleTokenizer(context_length=length, **options)
        return made
    try:
        made = HFTokenizer(
            str(recipe.tokenizer),
            context_length=length,
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            trust_remote_code=False,
            **options,
        )
    except Exception as error:  # transformers raises many kinds for files that are missing or of another kind
        raise ModelError(f"{recipe.what}: cannot read its tokenizer in {recipe.tokenizer}: {reason(error)}") from error
    return made


def _tokenizer_text(recipe: OpenClipRecipe) -> str:
    text = recipe.config["text_cfg"]
    said = [f"context {text.get('context_length', 77)}"]
    if options := text.get("tokenizer_kwargs"):
        said.append(json.dumps(options, sort_keys=True))
    if recipe.tokenizer is None:
        return ", ".join(["open_clip SimpleTokenizer", *said])
    files = [recipe.tokenizer / name for name in ("tokenizer.json", "spiece.model", "vocab.txt")]
    hashes = [f"sha256 {sha256_of(file)}" for file in files if file.is_file()][:1]
    return ", ".join([str(text["hf_tokenizer_name"]), *said, *hashes])


# -- the three families -----------------------------------------------------------------------------------------------


def load_open_clip(
    argument: str, *, weights: str | None = None, like: str | None = None, download: bool = False, **options: Any
) -> OpenClip:
    """Load `ARCH/TAG` from the Hub's cache, or `ARCH/PATH` from a weights file; `OPEN_CLIP.options` has the options."""
    return _load(of_name(argument, Hub(download), weights, like), **options)


def check_open_clip(
    argument: str, *, weights: str | None = None, like: str | None = None, download: bool = False, **options: Any
) -> None:
    """Refuse before anything heavy is imported what `load_open_clip` cannot load."""
    check_options(of_name(argument, Hub(download, fetch=False), weights, like), **options)


def files_of_open_clip(
    argument: str,
    *,
    weights: str | None = None,
    like: str | None = None,
    context: str | None = None,
    download: bool = False,
    **options: Any,
) -> list[Path] | None:
    """Name the files that decide what `load_open_clip` gives."""
    return _files(of_name(argument, Hub(download, fetch=False), weights, like), context)


def _files(recipe: OpenClipRecipe | None, context: str | None) -> list[Path] | None:
    """Name the files of a recipe, and of a learned context; None where some are to be downloaded."""
    found = None if recipe is None else recipe.files()
    return found if found is None or context is None else [*found, place_of(context)]


def load_hf_hub(repository: str, *, download: bool = False, **options: Any) -> OpenClip:
    """Load an open_clip repository of the Hugging Face Hub from its cache; `HF_HUB.options` has the options."""
    return _load(of_repository(repository, Hub(download)), **options)


def check_hf_hub(repository: str, *, download: bool = False, **options: Any) -> None:
    """Refuse before anything heavy is imported what `load_hf_hub` cannot load."""
    check_options(of_repository(repository, Hub(download, fetch=False)), **options)


def files_of_hf_hub(
    repository: str, *, context: str | None = None, download: bool = False, **options: Any
) -> list[Path] | None:
    """Name the files that decide what `load_hf_hub` gives."""
    return _files(of_repository(repository, Hub(download, fetch=False)), context)


def load_local_dir(folder: str, *, download: bool = False, **options: Any) -> Model:
    """Load a folder with `open_clip_config.json` and weights, or with `digits_clip.safetensors`, which is less.

    `LOCAL_DIR.options` has the options; `digits-clip` takes of them `context` alone.
    """
    if (weights := weights_in(folder, options)) is not None:
        return load_digits_clip(weights, **options)
    return _load(of_folder(folder, Hub(download)), **options)


def check_local_dir(folder: str, *, download: bool = False, **options: Any) -> None:
    """Refuse before anything heavy is imported what `load_local_dir` cannot load."""
    if (weights := weights_in(folder, options)) is not None:
        check_digits_clip(weights, **options)
        return
    check_options(of_folder(folder, Hub(download, fetch=False)), **options)


def files_of_local_dir(
    folder: str, *, context: str | None = None, download: bool = False, **options: Any
) -> list[Path] | None:
    """Name the files that decide what `load_local_dir` gives."""
    given = {"context": context} if context is not None else {}
    if (weights := weights_in(folder, options | given)) is not None:
        return files_of_digits_clip(weights, context=context)
    return _files(of_folder(folder, Hub(download, fetch=False)), context)


OPTIONS: Mapping[str, str] = {
    "precision": "fp32, bf16 or fp16: what the towers compute in",
    "resize": "pixels that the shorter side is resized to before the crop, such as 256",
    "interpolation": "bicubic or bilinear",
    "context": "file of learned context vectors (CoOp, LoCoOp) that take the place of prompts",
    "download": "get what is not on this machine",
}

OPEN_CLIP = ModelEntry(
    name="open_clip",
    description="Any open_clip architecture with a pretrained tag or a weights file; also without the prefix.",
    load=load_open_clip,
    argument="ARCH/TAG|ARCH/FILE",
    check=check_open_clip,
    files=files_of_open_clip,
    options={
        "weights": "a weights file, the same as ARCH/FILE",
        "like": "tag whose preprocessing and activation a weights file has",
        **OPTIONS,
    },
)
HF_HUB = ModelEntry(
    name="hf-hub",
    description="An open_clip repository of the Hugging Face Hub.",
    load=load_hf_hub,
    argument="ORG/REPO",
    check=check_hf_hub,
    files=files_of_hf_hub,
    options=OPTIONS,
)
LOCAL_DIR = ModelEntry(
    name="local-dir",
    description="A folder with open_clip_config.json and weights, or what oodkit train cma wrote.",
    load=load_local_dir,
    argument="PATH",
    check=check_local_dir,
    files=files_of_local_dir,
    options=OPTIONS,
)
