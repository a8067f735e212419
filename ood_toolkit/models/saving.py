"""`save_model`: a model as a folder that `local-dir:FOLDER` loads again, its encodings equal to the bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ood_toolkit.api.model import Model
from ood_toolkit.errors import ModelError
from ood_toolkit.models.clip import OpenClip
from ood_toolkit.models.digits_clip import FOLDER_NAME, DigitsClip, save_digits_clip
from ood_toolkit.models.open_clip_recipe import CONFIG_NAME, TOKENIZER_NAMES
from ood_toolkit.store.files import replaced_folder

__all__ = ["check_savable", "folder_config", "save_model"]

WEIGHTS_NAME = "open_clip_model.safetensors"
TOKENIZER_FILES = (*TOKENIZER_NAMES, "special_tokens_map.json", "merges.txt", "config.json")


def check_savable(model: Model) -> OpenClip | DigitsClip:
    """Give a model that a folder can hold; `ModelError` says why another cannot be saved."""
    if not isinstance(model, OpenClip | DigitsClip):
        raise ModelError(f"{model.name}: expected a model of open_clip or digits-clip, which have two towers to learn")
    if model.has_no_tower:
        raise ModelError(f"{model.name}: it has a second text tower, which such a folder has no place for")
    if model.context is not None:
        raise ModelError(f"{model.name}: a learned context is no part of the towers; leave context= out")
    if isinstance(model, DigitsClip):
        return model
    own = model.preprocess_image
    if own.resize not in (own.crop, own.crop[0]):
        raise ModelError(
            f"{model.name}: open_clip's folders know no resize beside the input's size; leave resize= out here, and "
            "pass it when the folder is loaded"
        )
    return model


def save_model(model: Model, folder: Path) -> None:
    """Write a model, float32, into a new folder that appears whole; one that is there already is kept.

    For open_clip that is the layout of its own, `open_clip_config.json` and `open_clip_model.safetensors`, with the
    tokenizer's files where the tokenizer is a Hugging Face one; for `digits-clip` a file of its own.
    """
    savable = check_savable(model)
    with replaced_folder(folder) as partial:
        if isinstance(savable, DigitsClip):
            save_digits_clip(savable.clip, partial / FOLDER_NAME, half=False, no_templates=savable.no_templates)
            return
        _write(savable, partial)


def _write(model: OpenClip, folder: Path) -> None:
    from safetensors.torch import save_file

    recipe = model.recipe
    (folder / CONFIG_NAME).write_text(folder_config(model), encoding="utf-8")
    save_file(_weights(model.clip), folder / WEIGHTS_NAME)
    if recipe.tokenizer is not None:
        for name in TOKENIZER_FILES:
            if (recipe.tokenizer / name).is_file():
                shutil.copyfile(recipe.tokenizer / name, folder / name)


def folder_config(model: OpenClip) -> str:
    """Write what `open_clip_config.json` says of a model: its configuration and its preprocessing."""
    own = model.preprocess_image
    said = {
        "model_cfg": model.recipe.config,
        "preprocess_cfg": {
            "mean": list(own.mean),
            "std": list(own.std),
            "interpolation": own.interpolation,
            "resize_mode": "shortest" if isinstance(own.resize, int) else "squash",
        },
    }
    return json.dumps(said, indent=2, default=list) + "\n"


def _weights(clip: Any) -> dict[str, Any]:
    """Give all weights apart from each other in memory, as safetensors wants them."""
    held, seen = {}, set[int]()
    for name, weight in clip.state_dict().items():
        weight = weight.detach().cpu().contiguous()
        held[name] = weight.clone() if weight.data_ptr() in seen else weight
        seen.add(weight.data_ptr())
    return held
