"""What `open_clip_config.json` of others may ask for: sizes that exist, no more parameters than its weights hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ood_toolkit.errors import ModelError
from ood_toolkit.store.foreign.guard import quoted
from ood_toolkit.store.foreign.objects import read_object

__all__ = ["check_choices", "check_config", "check_size", "check_text_tower"]

LAYERS = 512
"""Of one tower; the deepest released has 64."""
SIZES: Mapping[str, int] = {
    "embed_dim": 1 << 16,
    "width": 1 << 16,
    "image_size": 1 << 13,
    "patch_size": 1 << 13,
    "context_length": 1 << 16,
    "vocab_size": 1 << 22,
    "heads": 1 << 10,
    "head_width": 1 << 16,
    "attn_pooler_heads": 1 << 10,
    "attn_pooler_queries": 1 << 16,
}
"""The largest value of each whole number."""
TOKENIZER = ("clean", "strip_sep_token", "language")
"""Options of a tokenizer that a configuration may set; others may have code of a repository run."""
PARTS = ("vision_cfg", "text_cfg", "multimodal_cfg")


def check_config(config: Any, where: str) -> dict[str, Any]:
    """Return the `model_cfg` of a configuration file; `ModelError` for one that no network can be built from."""
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise ModelError(f"{where}: expected model_cfg with embed_dim, vision_cfg and text_cfg in it")
    parts = {name: config[name] for name in PARTS if name in config}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise ModelError(f"{where}: {name}: expected an object, got {quoted(part)}")
    _check_sizes({key: value for key, value in config.items() if key not in parts}, where)
    for name, part in parts.items():
        _check_sizes(part, f"{where}: {name}")
        _check_layers(part.get("layers", 1), f"{where}: {name}")
    for name in ("timm_model_name", "hf_tokenizer_name", "hf_model_name"):
        for part in parts.values():
            if part.get(name) is not None and not isinstance(part[name], str):
                raise ModelError(f"{where}: {name}: expected a name, got {quoted(part[name])}")
    options = config["text_cfg"].get("tokenizer_kwargs") or {}
    if not isinstance(options, dict) or (unknown := [key for key in options if key not in TOKENIZER]):
        got = quoted(options if not isinstance(options, dict) else unknown[0])
        raise ModelError(f"{where}: tokenizer_kwargs: expected {', '.join(TOKENIZER)}, got {got}")
    return config


def check_size(config: Mapping[str, Any], weights: Path, where: str) -> None:
    """Refuse a configuration that needs more parameters than a weights file has bytes, before anything is built."""
    size = weights.stat().st_size
    if (least := _parameters(config)) > size:
        raise ModelError(f"{where}: its towers need at least {least:,} parameters, but {weights} has {size:,} bytes")


def check_choices(found: Any, where: str) -> dict[str, Any]:
    """Return the `preprocess_cfg` of a configuration file without what is null; `ModelError` for other kinds."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ModelError(f"{where}: preprocess_cfg: expected an object, got {quoted(found)}")
    for key in ("mean", "std"):
        value: Any = found.get(key)
        if value is None:
            continue
        listed: Any = [value] * 3 if _is_number(value) else value
        if not isinstance(listed, list) or len(listed) != 3 or not all(map(_is_number, listed)):
            raise ModelError(f"{where}: {key}: expected a number or three, got {quoted(value)}")
        if key == "std" and not all(one > 0 for one in listed):
            raise ModelError(f"{where}: std: expected numbers above 0, got {quoted(value)}")
    for key in ("interpolation", "resize_mode"):
        if found.get(key) is not None and not isinstance(found[key], str):
            raise ModelError(f"{where}: {key}: expected a word, got {quoted(found[key])}")
    return {key: value for key, value in found.items() if value is not None}


def check_text_tower(file: Path, where: str) -> None:
    """Refuse the `config.json` of a text tower that asks for code of its own, or for absurdly many layers."""
    found = read_object(file, ModelError, f"{where}: {file}")
    if "auto_map" in found:
        raise ModelError(f"{where}: {file} names code of its own, and no code in a repository is run")
    for key in ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers"):
        if found.get(key) is not None:
            _check_layers(found[key], f"{where}: {file}: {key}")


def _check_sizes(part: Mapping[str, Any], where: str) -> None:
    for key, value in part.items():
        most = SIZES.get(key)
        if most is None or (value is None and key == "patch_size"):  # which ResNets do not have
            continue
        sides: list[Any] = value if key in ("image_size", "patch_size") and isinstance(value, list) else [value]
        if len(sides) not in (1, 2) or not all(_is_whole(side) and 1 <= side <= most for side in sides):
            raise ModelError(f"{where}: {key}: expected a whole number from 1 to {most:,}, got {quoted(value)}")
    for key, value in part.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and not _is_number(value):
            raise ModelError(f"{where}: {key}: expected a number, got {quoted(value)}")


def _check_layers(value: Any, where: str) -> None:
    stages: list[Any] = value if isinstance(value, list) else [value]
    if not stages or not all(_is_whole(stage) and stage >= 0 for stage in stages) or sum(stages) > LAYERS:
        raise ModelError(f"{where}: layers: expected at most {LAYERS}, got {quoted(value)}")


def _parameters(config: Mapping[str, Any]) -> int:
    """Count parameters that open_clip's own towers have at the least; those of timm and transformers are not known."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    count = 0
    if not vision.get("timm_model_name"):
        count += _of_layers(vision)
    if not text.get("hf_model_name"):
        count += _of_layers(text) + text.get("width", 512) * text.get("vocab_size", 49408)
    return count


def _of_layers(part: Mapping[str, Any]) -> int:
    layers, width = part.get("layers", 12), part.get("width", 64)
    return int((sum(layers) if isinstance(layers, list) else layers) * width**2)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_whole(value) and abs(value) < 1 << 53) or (isinstance(value, float) and math.isfinite(value))
