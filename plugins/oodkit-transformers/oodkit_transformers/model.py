"""`TransformersModel`: a network of transformers with the image processor and tokenizer that came with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit import Model
from ood_toolkit.errors import DataError, ModelError, one_line
from oodkit_transformers.checkpoint import FAMILIES, read_json, sha256, tokenizer_files, weight_files

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ood_toolkit import Head

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What the towers can compute in, as torch names it."""
NOT_ARCHITECTURE = frozenset({"transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype"})
MOST_PIXELS = 1 << 26
"""Of a resized picture; the image processor resizes all of one before it crops."""
SMALL = (4, 5)
"""Size of the picture that tells, at loading, whether processor and image tower fit."""


class TransformersModel(Model):
    """A `SiglipModel` in eval mode, and what a `CLIPModel` shares; pictures go through the processor's PIL form."""

    padding = "max_length"
    """How prompts are filled up: SigLIP reads its last position, so all have the length it was trained with."""

    def __init__(self, name: str, folder: Path, precision: str = "fp32") -> None:
        """Load the checkpoint that `save_pretrained` wrote into a folder; `ModelError` for one that does not fit."""
        import torch

        self.name = name
        self.precision = precision
        with _one_line_errors(name, folder):
            self.network = _load_network(folder)
            self.processor, self.tokenize = _load_readers(folder)
        config = self.network.config
        self.length = config.text_config.max_position_embeddings
        # read before the weights are rounded to another precision
        self.scale = float(self.network.logit_scale.exp())
        self.bias = float(getattr(self.network, "logit_bias", 0.0))
        self.fingerprint = sha256(weight_files(folder))
        self.architecture = json.dumps(_plain(config.to_dict(), NOT_ARCHITECTURE), sort_keys=True)
        self.preprocessing = _described(self.processor)
        self.tokenizer = self._describe_tokenizer(folder)
        self.image_size = _shorter_side(self.processor.size) or config.vision_config.image_size
        self.network.to(getattr(torch, PRECISIONS[precision]))
        self._check_fit()

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture, of any mode, into the (3, h, w) float32 input that the checkpoint's files say.

        `DataError` for a picture so thin that its resized form would have more than `MOST_PIXELS`.
        """
        shorter, longer = sorted(image.size)
        if dict(self.processor.size).get("shortest_edge") and self.image_size**2 * longer > MOST_PIXELS * shorter:
            raise DataError(f"expected a picture, got a line of {image.width} x {image.height} pixels")
        done = self.processor.preprocess(image.convert("RGB"), return_tensors="pt")
        return done["pixel_values"][0].float()

    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed (b, 3, h, w) inputs as (b, d) float32 rows, not normalised, on the model's device."""
        return self._project(self._pool(batch)).float()

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts as (m, d) float32 rows, not normalised; prompts that are too long are cut at the end."""
        return self._embed_tokens(self._tokens(texts)).float()

    def overlong(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Give the places of the texts with more tokens than the text tower takes."""
        lengths = [len(tokens) for tokens in self.tokenize(list(texts))["input_ids"]] if texts else []
        return tuple(place for place, length in enumerate(lengths) if length > self.length)

    def to(self, device: str) -> TransformersModel:
        """Move both towers to a device and return this model."""
        self.network.to(device)
        return self

    def _pool(self, batch: Tensor) -> Tensor:
        """Give the image tower's one row a picture (b, w)."""
        # the patch embedding is the first weight that pictures meet
        weight = self.network.vision_model.embeddings.patch_embedding.weight
        return self.network.vision_model(pixel_values=batch.to(weight), return_dict=True).pooler_output

    def _project(self, pooled: Tensor) -> Tensor:
        return pooled  # SigLIP's pooled row is its embedding

    def _embed_tokens(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Embed all positions without a mask, padding included, as SigLIP was trained."""
        return self.network.text_model(input_ids=tokens["input_ids"], return_dict=True).pooler_output

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = self.tokenize(
            list(texts),
            padding=self.padding,
            truncation=True,
            max_length=self.length,
            return_attention_mask=True,
            return_tensors="pt",
        )
        known, highest = self.network.config.text_config.vocab_size, int(tokens["input_ids"].max())
        if highest >= known:
            raise ModelError(f"{self.name}: the tokenizer gives token {highest}, the text tower knows {known}")
        return {key: tokens[key].to(self.network.device) for key in ("input_ids", "attention_mask")}

    def _describe_tokenizer(self, folder: Path) -> str:
        files = sha256(tokenizer_files(folder))
        return f"{type(self.tokenize).__name__} length={self.length} padding={self.padding} sha256={files}"

    def _check_fit(self) -> None:
        """Refuse a processor or tokenizer that the towers cannot work with."""
        from PIL import Image as Images

        if self.processor.backend != "pil":
            raise ModelError(
                f"{self.name}: {type(self.processor).__name__} has no PIL form; expected CLIP's or SigLIP's"
            )
        if self.tokenize.pad_token is None:
            raise ModelError(f"{self.name}: the tokenizer has no pad token; set pad_token in tokenizer_config.json")
        vision = self.network.config.vision_config
        if not getattr(vision, "vision_use_head", True):
            raise ModelError(f"{self.name}: the image tower has no pooling head, so it embeds no pictures")
        expected = (vision.num_channels, vision.image_size, vision.image_size)
        got = tuple(self.preprocess(Images.new("RGB", SMALL)).shape)
        if got != expected:
            raise ModelError(f"{self.name}: the image tower takes {expected}, the image processor gives {got}")


class TransformersCLIP(TransformersModel):
    """A `CLIPModel`, which also gives its pooled row before the projection and the local scores of GL-MCM."""

    kinds = ("features", "pre_projection", "local")
    padding = "longest"
    """The text tower looks back only and reads the end-of-text token, so what is filled in changes nothing."""

    def encode(self, batch: Tensor, kinds: Sequence[str], head: Head | None = None) -> dict[str, Tensor]:
        """Give features (b, d), pre_projection (b, w) and local (b,), float32, from one pass; `ModelError` for others.

        Local features are those of GL-MCM: in the last block each patch attends to itself alone.
        """
        for kind in kinds:
            if kind not in self.kinds:
                raise ModelError(f"{self.name}: cannot give {kind!r}; it has {', '.join(self.kinds)}")
        if "local" in kinds and head is None:
            raise ModelError(f"{self.name}: local needs the head whose class texts patches are compared with")
        with _input_of(self.network.vision_model.encoder.layers[-1]) as tokens:
            pooled = self._pool(batch)
        given = {"pre_projection": pooled.float(), "features": self._project(pooled).float()}
        if "local" in kinds and head is not None:
            given["local"] = _largest_probability(self._patches(tokens[0]), head)
        return {kind: given[kind] for kind in kinds}

    def _project(self, pooled: Tensor) -> Tensor:
        return self.network.visual_projection(pooled)

    def _patches(self, tokens: Tensor) -> Tensor:
        """Turn what the last block takes (b, 1+r, w) into patch embeddings (b, r, d) float32, without attention."""
        tower = self.network.vision_model
        block = tower.encoder.layers[-1]
        own = tokens + block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(tokens)))
        own = own + block.mlp(block.layer_norm2(own))
        return self._project(tower.post_layernorm(own[:, 1:])).float()

    def _embed_tokens(self, tokens: Mapping[str, Tensor]) -> Tensor:
        ids, end = tokens["input_ids"], self.network.text_model.config.eos_token_id
        # 2 is what old configs say; transformers then takes the highest token
        if end != 2 and not bool((ids == end).any(dim=1).all()):
            raise ModelError(f"{self.name}: the tokenizer does not end prompts with token {end}, which CLIP reads")
        pooled = self.network.text_model(**tokens, return_dict=True).pooler_output
        return self.network.text_projection(pooled)


@contextmanager
def _input_of(block: Any) -> Iterator[list[Tensor]]:
    """Collect what a block takes (b, t, w) while the network runs."""
    seen: list[Tensor] = []

    def keep(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append(args[0] if args else named["hidden_states"])

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def _largest_probability(patches: Tensor, head: Head) -> Tensor:
    """Give max over patches and classes of the softmax at temperature 1 of cosines: (b, r, d) to (b,)."""
    import torch

    from ood_toolkit import normalise

    # picture by picture: (b, r, k) is large for many classes
    return torch.stack([head.cosine(normalise(rows)).softmax(dim=1).amax() for rows in patches])


def _load_network(folder: Path) -> Any:
    """Load the network in float32, each of its weights from the files and all of the files into it."""
    import torch
    import transformers

    model_type = read_json(folder / "config.json", str(folder))["model_type"]
    network, report = getattr(transformers, FAMILIES[model_type]).from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=weight_files(folder)[0].suffix == ".safetensors",
        weights_only=True,
        local_files_only=True,
        output_loading_info=True,
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        # files of 2021 hold the numbers 0, 1, 2, ... of the positions
        if found := sorted(key for key in map(str, report.get(problem, ())) if not key.endswith(".position_ids")):
            raise ModelError(
                f"{problem.replace('_', ' ')} in the weights: {', '.join(found[:3])} ({len(found)} in all)"
            )
    return network.eval().requires_grad_(False)


def _load_readers(folder: Path) -> tuple[Any, Any]:
    """Load the image processor, in its PIL form, and the tokenizer, which fills up at the end."""
    from transformers import AutoImageProcessor, AutoTokenizer

    kept_here = {"local_files_only": True, "trust_remote_code": False}
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **kept_here)
    return processor, AutoTokenizer.from_pretrained(folder, padding_side="right", truncation_side="right", **kept_here)


@contextmanager
def _one_line_errors(name: str, folder: Path) -> Iterator[None]:
    """Keep transformers from logging and drawing bars, and turn whatever it raises into a `ModelError`."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # torch, safetensors, tokenizers and pickle each have their own
        raise ModelError(f"{name}: cannot load the checkpoint in {folder}: {one_line(error)}") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _described(processor: Any) -> dict[str, Any]:
    """Give the settings of an image processor as numbers, strings and lists of them."""
    from PIL.Image import Resampling

    said: dict[str, Any] = {"processor": type(processor).__name__}
    for key, value in processor.to_dict().items():
        if key == "image_processor_type" or value is None:
            continue
        if key == "resample":
            said[key] = Resampling(value).name.lower()
        elif isinstance(value, Mapping):
            said |= {f"{key}.{part}": number for part, number in value.items() if number is not None}
        else:
            said[key] = list(value) if isinstance(value, list | tuple) else value
    return said


def _shorter_side(size: Any) -> int:
    """Give the shorter side, in pixels, of an image processor's `size`; 0 where it has none."""
    size = dict(size)
    return int(size.get("shortest_edge") or min(size.get("height") or 0, size.get("width") or 0))


def _plain(value: Any, without: frozenset[str]) -> Any:
    """Give a config as what JSON can hold, without the entries that build nothing."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, without) for key, entry in value.items() if key not in without}
    if isinstance(value, list | tuple):
        return [_plain(entry, without) for entry in value]
    return value if isinstance(value, str | int | float | None) else str(value)
