"""`digits-clip`: a small CLIP of handwritten digits whose weights come with this package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.model import ModelEntry
from ood_toolkit.errors import ModelError
from ood_toolkit.models.configuration import check_size
from ood_toolkit.models.contexts import Context, check_context, read_context
from ood_toolkit.models.two_towers import TwoTowers
from ood_toolkit.models.weights import load_strictly, sha256_of
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import guarded, in_file, shown
from ood_toolkit.store.foreign.places import place_of
from ood_toolkit.store.foreign.tensors import read_header

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


__all__ = ["DIGITS_CLIP", "DigitsClip", "DigitsClipn", "load_digits_clip"]

WEIGHTS = Path(__file__).with_name("digits_clip.safetensors")
MERGES = Path(__file__).with_name("digits_clip_merges.txt.gz")
"""Byte-pair merges for `SimpleTokenizer`: none, so that a prompt is read letter by letter."""
FOLDER_NAME = "digits_clip.safetensors"
"""The weights in a folder that `local-dir:` takes."""
KEY = "digits-clip"
"""Under which the header of a weights file says the rest."""
FORMAT = 1
LARGEST = 1024
"""Layers, heads, widths and the like that a configuration may ask for at most."""
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


class DigitsClip(TwoTowers):
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
        from ood_toolkit.models.image_tower import kinds_of

        self.clip = clip.float().eval().requires_grad_(False)
        self.kinds = kinds_of(clip.visual)
        self.tokenize = build_tokenizer()
        self.scale = float(clip.logit_scale.exp())
        self.fingerprint = fingerprint
        self.no_templates = tuple(no_templates)

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture, of any mode and size, into a (1, 16, 16) float32 input on the CPU."""
        return image_to_tensor(image)

    def inputs(self, batch: Tensor) -> Tensor:
        """Give grey (b, 1, 16, 16) inputs to all three channels of the tower's stem, which open_clip's always has."""
        return super().inputs(batch).expand(-1, 3, -1, -1)

    def put_context(self, context: Context) -> None:
        """Let learned vectors stand before each class name from now on, in place of a prompt."""
        super().put_context(context)
        self.no_templates = ()  # "no" texts are words that the vectors would take the place of


class DigitsClipn(DigitsClip):
    """A `digits-clip` with the second text tower that CLIPN (ICCV 2023, arXiv 2308.12213) reads "no" texts with."""

    has_no_tower = True

    def __init__(
        self, clip: Any, fingerprint: str, name: str, trained_with: tuple[Sequence[str], Sequence[str]] | None = None
    ) -> None:
        """Take the templates, and those of the "no" tower, that it was trained with; else it reads captions."""
        yes, no = trained_with or ((), ("a photo of a {}",))
        super().__init__(clip, fingerprint, no)
        self.name, self.templates = name, tuple(yes)
        prompts = 0 if clip.prompt_no is None else len(clip.prompt_no)
        said = {**json.loads(DigitsClip.architecture), "no_tower": {"learned_prompts": prompts}}
        self.architecture = json.dumps(said, sort_keys=True, separators=(",", ":"))


def save_digits_clip(clip: Any, path: str | os.PathLike[str], *, half: bool = True, **notes: object) -> None:
    """Write weights, float16 or as they are, as safetensors with config and notes as metadata; it appears whole."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in clip.state_dict().items()}
    if half:
        weights = {name: tensor.half() for name, tensor in weights.items()}
    about = {"format": FORMAT, "config": CONFIG, "no_templates": NO_TEMPLATES, **notes}
    with replaced_file(Path(path)) as partial:
        # safetensors writes several metadata keys in random order, and equal models should be equal files
        partial.write_bytes(save(weights, {KEY: json.dumps(about)}))


def _fits(found: object, like: object) -> bool:
    """Tell whether a configuration has the keys of another, with whole numbers from 1 to `LARGEST` for its numbers."""
    if isinstance(like, Mapping):
        same = isinstance(found, Mapping) and found.keys() == like.keys()
        return same and all(_fits(found[key], like[key]) for key in like)  # type: ignore[index]
    if isinstance(like, int) and not isinstance(like, bool):
        return isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= LARGEST
    return type(found) is type(like) and (found == like or not isinstance(like, bool))


def load_digits_clip(weights: str | os.PathLike[str] = WEIGHTS, *, context: str | None = None) -> DigitsClip:
    """Load the model from the shipped file, or from one that `ood_toolkit.learning.digits_clip.train` wrote.

    With `context`, learned vectors from that file take the place of prompts. Raises `ModelError` for a file that is
    missing or holds something else.
    """
    path = place_of(weights)
    with in_file(f"cannot read digits-clip weights from {path}", ModelError):
        about, held = read_header(path, KEY, ModelError, "a file of digits-clip", needed=False)
    if about.get("format") != FORMAT:
        raise ModelError(
            f"{path} is not a digits-clip file of format {FORMAT}: it gives {shown(about.get('format', 'none'))}"
        )
    config: Any = about.get("config")
    if not _fits(config, CONFIG):
        raise ModelError(f"{path}: expected a configuration such as digits-clip has, got {shown(config)}")
    templates = about.get("no_templates")
    if not isinstance(templates, list) or not all(isinstance(one, str) and one.count("{}") == 1 for one in templates):
        raise ModelError(f"{path}: no_templates: expected a list of templates with {{}} once, got {shown(templates)}")
    check_size(config, path, str(path))  # before anything is built
    with guarded(str(path), "a configuration that a network can be built from", ModelError):
        clip = build_clip(config)
    load_strictly(clip, held, str(path))  # copies float16 into float32 weights
    model = DigitsClip(clip, sha256_of(path), templates)
    if context is not None:
        model.put_context(read_context(context, clip, model.name))
    return model


def weights_in(folder: str, options: Mapping[str, Any]) -> Path | None:
    """Find the weights in a folder that `local-dir:` was given, with what options; None where it is not of this model.

    Raises `ModelError` for options that this model does not take.
    """
    weights = place_of(folder) / FOLDER_NAME
    if not weights.is_file():
        return None
    if unknown := sorted(set(options) - (set(DIGITS_CLIP.options) - {"weights"})):
        raise ModelError(f"local-dir:{folder}: it holds a digits-clip, which has no {unknown[0]}; leave that out")
    return weights


def check_digits_clip(weights: str | os.PathLike[str] = WEIGHTS, *, context: str | None = None) -> None:
    """Refuse before anything heavy is imported a file that is not there."""
    if not place_of(weights).is_file():
        raise ModelError(f"digits-clip: no file {weights}; give one that ood_toolkit.learning.digits_clip.train wrote")
    if context is not None:
        check_context(context)


def files_of_digits_clip(weights: str | os.PathLike[str] = WEIGHTS, *, context: str | None = None) -> list[Path]:
    """Name the files that decide what `load_digits_clip` gives."""
    return [place_of(weights), MERGES, *([] if context is None else [place_of(context)])]


DIGITS_CLIP = ModelEntry(
    name="digits-clip",
    description="Small CLIP of handwritten digits, 8x8 grey, trained on the train split of `digits`.",
    load=load_digits_clip,
    check=check_digits_clip,
    files=files_of_digits_clip,
    options={
        "weights": "a file that `python -m ood_toolkit.learning.digits_clip.train` wrote, in place of the shipped one",
        "context": "file of learned context vectors (CoOp, LoCoOp) that take the place of prompts",
    },
    embedded=True,
    licence="MIT",
    notes=("Made by `python -m ood_toolkit.learning.digits_clip.train`; knows `no` prompts.",),
)
