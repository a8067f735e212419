"""`digits-clip`: a small CLIP of handwritten digits whose weights come with this package."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError
from ood_toolkit.models.model import Model, ModelEntry

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["DIGITS_CLIP", "DigitsClip", "load_digits_clip"]

WEIGHTS = Path(__file__).with_name("digits_clip.safetensors")
MERGES = Path(__file__).with_name("digits_clip_merges.txt.gz")
"""Byte-pair merges for `SimpleTokenizer`: none, so that a prompt is read letter by letter."""
FORMAT = 1
IMAGE_SIZE = 16
CONFIG: Mapping[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": IMAGE_SIZE, "patch_size": 4, "width": 96, "layers": 3, "head_width": 24},
    "text_cfg": {"context_length": 77, "vocab_size": 515, "width": 64, "heads": 4, "layers": 3},
}
"""What `open_clip.CLIP` is built from."""
GREY_MEAN, GREY_DEVIATION = 0.305, 0.376
"""Of the train split, for white = 1."""
NO_TEMPLATES = ("a photo of no {}",)


def build_clip(config: Mapping[str, Any] = CONFIG) -> Any:
    """Build the `open_clip.CLIP` that a config describes, with random weights."""
    import open_clip

    vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
    text = open_clip.CLIPTextCfg(**config["text_cfg"])
    return open_clip.CLIP(config["embed_dim"], vision, text)


def build_tokenizer() -> Any:
    """Build the letter-by-letter `SimpleTokenizer` of 515 symbols; longer prompts are cut at 77."""
    import open_clip

    return open_clip.SimpleTokenizer(str(MERGES), context_length=CONFIG["text_cfg"]["context_length"])


def image_to_tensor(image: Image) -> Tensor:
    """Turn a picture of any mode and size into the (1, 16, 16) float32 input of the image tower."""
    import numpy as np
    import torch
    from PIL import Image as Images

    grey = image.convert("L").resize((IMAGE_SIZE, IMAGE_SIZE), Images.Resampling.BILINEAR)
    white = torch.from_numpy(np.asarray(grey, dtype=np.float32)).unsqueeze(0) / 255
    return (white - GREY_MEAN) / GREY_DEVIATION


class DigitsClip(Model):
    """An `open_clip.CLIP` of grey pictures, in eval mode and float32 whatever its weights are stored in."""

    name = "digits-clip"
    architecture = json.dumps({"open_clip": CONFIG}, sort_keys=True, separators=(",", ":"))
    preprocessing: Mapping[str, Any] = {
        "resize": [IMAGE_SIZE, IMAGE_SIZE],
        "resize_mode": "squash",
        "crop": [IMAGE_SIZE, IMAGE_SIZE],
        "interpolation": "bilinear",
        "mode": "L",
        "mean": [GREY_MEAN],
        "std": [GREY_DEVIATION],
    }
    tokenizer = "open_clip SimpleTokenizer without merges, context 77"
    image_size = IMAGE_SIZE
    licence = "MIT"

    def __init__(self, clip: Any, fingerprint: str, no_templates: Sequence[str] = NO_TEMPLATES) -> None:
        self.clip = clip.float().eval().requires_grad_(False)
        self.tokenize = build_tokenizer()
        self.scale = float(clip.logit_scale.exp())
        self.fingerprint = fingerprint
        self.no_templates = tuple(no_templates)

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture, of any mode and size, into a (1, 16, 16) float32 input on the CPU."""
        return image_to_tensor(image)

    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed (b, 1, 16, 16) inputs as (b, 64) float32 rows, not normalised, on the model's device."""
        # The tower's stem has three input channels, as open_clip's always has; grey goes to all of them.
        pictures = batch.to(self.clip.logit_scale).expand(-1, 3, -1, -1)
        return self.clip.encode_image(pictures)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts as (m, 64) float32 rows, not normalised, on the model's device."""
        from ood_toolkit.models.text_tower import embed_texts

        return embed_texts(self.clip, self.tokenize(list(texts)).to(self.clip.logit_scale.device))

    def to(self, device: str) -> DigitsClip:
        """Move both towers to a device and return this model."""
        self.clip.to(device)
        return self


def save_digits_clip(clip: Any, path: str | os.PathLike[str], **notes: object) -> None:
    """Write weights as float16 safetensors, with the config and notes as metadata; the file appears whole."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in clip.state_dict().items()}
    about = {"format": FORMAT, "config": CONFIG, "no_templates": NO_TEMPLATES, **notes}
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    # safetensors writes several metadata keys in random order, and equal models should be equal files
    partial.write_bytes(save(weights, {"digits-clip": json.dumps(about)}))
    partial.replace(path)


def load_digits_clip(weights: str | os.PathLike[str] = WEIGHTS) -> DigitsClip:
    """Load the model from the shipped file, or from one that `ood_toolkit.train.digits_clip` wrote.

    Raises `ModelError` for a file that is missing or holds something else.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    path = Path(weights).expanduser()
    try:
        content = path.read_bytes()
        held = load(content)
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("digits-clip", "{}"))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read digits-clip weights from {path}: {error}") from error
    if about.get("format") != FORMAT:
        raise ModelError(f"{path} is not a digits-clip file of format {FORMAT}: it gives {about.get('format', 'none')}")
    clip = build_clip(about["config"])
    clip.load_state_dict(held)  # copies float16 into float32 weights
    return DigitsClip(clip, hashlib.sha256(content).hexdigest(), about["no_templates"])


def check_digits_clip(weights: str | os.PathLike[str] = WEIGHTS) -> None:
    """Refuse before anything heavy is imported a file that is not there."""
    if not Path(weights).expanduser().is_file():
        raise ModelError(f"digits-clip: no file {weights}; give one that ood_toolkit.train.digits_clip wrote")


DIGITS_CLIP = ModelEntry(
    name="digits-clip",
    description="Small CLIP of handwritten digits, 8x8 grey, trained on the train split of `digits`.",
    load=load_digits_clip,
    check=check_digits_clip,
    options={"weights": "a file that `python -m ood_toolkit.train.digits_clip` wrote, in place of the shipped one"},
    embedded=True,
    licence="MIT",
    notes=("Made by `python -m ood_toolkit.train.digits_clip`; knows `no` prompts.",),
)
