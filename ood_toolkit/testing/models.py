"""`check_model`: the checks of models, on pictures of several modes and sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ood_toolkit.api.guards import check_loaded
from ood_toolkit.api.model import Model
from ood_toolkit.errors import ModelError
from ood_toolkit.testing.expectations import BreachError, expect
from ood_toolkit.testing.outcome import CheckReport, outcome

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["check_model"]

SHAPES = (("RGB", (40, 30)), ("L", (64, 64)), ("RGBA", (17, 90)), ("P", (33, 33)), ("1", (20, 50)), ("CMYK", (48, 24)))
TOLERANCE = 1e-4
"""How far features may lie apart, relative to their size, where batches differ."""
TEXTS = ("a photo of a cat", "a photo of a dog", "a sketch of three ships")


def check_model(model: Model | str) -> CheckReport:
    """Run every check on a loaded model, or on the one of this name; `ConformanceError` lists every failed one.

    Raises `ModelError` for what is no model, and for a name that cannot be loaded.
    """
    if isinstance(model, str):
        from ood_toolkit.api.registry import get_registry
        from ood_toolkit.models.names import find_model

        model = find_model(model, get_registry()).load()
    if not isinstance(model, Model):
        raise ModelError(f"expected a Model or its name, got {model!r}; load it first")
    name = str(getattr(model, "name", type(model).__name__))
    return outcome(name, {key: partial(check, model) for key, check in CHECKS.items()}, {}, type(model).__module__)


def images(seed: int = 0) -> list[Image]:
    """Draw pictures of several modes and sizes."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(seed)
    made = []
    for mode, (width, height) in SHAPES:
        pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        made.append(Image.fromarray(pixels).convert(mode))
    return made


def _batch(model: Model) -> Tensor:
    return torch.stack([model.preprocess(image) for image in images()])


def _embedded(model: Model, batch: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.encode_images(batch)


def _same(when: str, got: Tensor, want: Tensor) -> None:
    apart = float((got - want).abs().max() / want.abs().max().clamp(min=1e-12))
    expect(apart <= TOLERANCE, f"the same features {when}, but for {TOLERANCE:g}", f"{apart:.2g} apart")


def _attributes(model: Model) -> None:
    try:
        check_loaded(model)
    except ModelError as error:
        raise BreachError(str(error)) from None
    for name in ("architecture", "fingerprint", "tokenizer", "precision", "licence", "label_space"):
        value = getattr(model, name)
        expect(isinstance(value, str), f"{name} to be text", repr(value))
    try:
        json.dumps(dict(model.preprocessing))
    except (TypeError, ValueError) as error:
        raise BreachError(f"expected preprocessing of numbers and strings, got {error}") from None
    for name in ("scale", "bias"):
        value = getattr(model, name)
        expect(isinstance(value, int | float) and value == value, f"{name} to be a number", repr(value))
    expect(isinstance(model.image_size, int), "image_size to be a whole number of pixels", repr(model.image_size))


def _templates(model: Model) -> None:
    for name in ("templates", "no_templates"):
        value = getattr(model, name)
        expect(isinstance(value, tuple), f"{name} to be a tuple of texts", repr(value))
        for template in value:
            whole = isinstance(template, str) and template.count("{}") == 1
            expect(whole, f"{name} with one {{}} for the class name", repr(template))
    if model.head is not None:
        expect(not model.no_templates, "no no_templates beside a linear head", repr(model.no_templates))


def _preprocess(model: Model) -> None:
    shapes = set()
    for image in images():
        made = model.preprocess(image)
        what = f"preprocess of a {image.mode} picture"
        expect(isinstance(made, Tensor), f"{what} to give a tensor", type(made).__name__)
        expect(
            made.dtype == torch.float32 and made.ndim == 3, f"{what} to be (c, h, w) float32", (made.dtype, made.shape)
        )
        expect(bool(made.isfinite().all()), f"{what} to be finite", "others")
        shapes.add(tuple(made.shape))
    expect(len(shapes) == 1, "one shape for pictures of any mode and size", sorted(shapes))


def _features(model: Model) -> None:
    got = _embedded(model, _batch(model))
    expect(isinstance(got, Tensor) and got.ndim == 2 and len(got) == len(SHAPES), f"({len(SHAPES)}, d) rows", got.shape)
    expect(got.dtype == torch.float32, "float32 features", got.dtype)
    expect(bool(got.isfinite().all()), "finite features", "others")
    alike = bool((got - got[:1]).abs().max() <= TOLERANCE * got.abs().max())
    expect(not alike, "other features for other pictures", "the same for all")


def _batch_independence(model: Model) -> None:
    batch = _batch(model)
    whole = _embedded(model, batch)
    _same("for a picture alone", torch.cat([_embedded(model, batch[i : i + 1]) for i in range(len(batch))]), whole)
    _same("in another order", _embedded(model, batch.flip(0)).flip(0), whole)
    _same("when asked again", _embedded(model, batch), whole)


def _kinds(model: Model) -> None:
    batch = _batch(model)
    expect("features" in model.kinds, "kinds to name features", model.kinds)
    with torch.inference_mode():
        got = model.encode(batch, ("features",))
    expect(set(got) == {"features"}, "encode to give what was asked for", sorted(got))
    _same("from encode", got["features"], _embedded(model, batch))
    try:
        model.encode(batch, ("no-such-kind",))
    except ModelError:
        return
    raise BreachError("expected encode to refuse an unknown kind with a ModelError, got none")


def _texts(model: Model) -> None:
    width = _embedded(model, _batch(model)).shape[1]
    if model.head is not None:
        expect(model.head.width == width, f"a head for features of width {width}", model.head.width)
        return
    with torch.inference_mode():
        got, alone = model.encode_texts(TEXTS), model.encode_texts(TEXTS[:1])
        no = model.encode_no_texts(TEXTS)
    expect(tuple(got.shape) == (len(TEXTS), width), f"texts of the width of images, ({len(TEXTS)}, {width})", got.shape)
    expect(got.dtype == torch.float32 and bool(got.isfinite().all()), "finite float32 texts", got.dtype)
    expect(tuple(no.shape) == tuple(got.shape), "encode_no_texts to give the same shape", tuple(no.shape))
    _same("of a text alone", alone, got[:1])
    different = not bool(torch.allclose(no, got))
    expect(different or not model.has_no_tower, "another tower for encode_no_texts, as has_no_tower says", "the same")


def _device(model: Model) -> None:
    expect(model.to("cpu") is model, "to to return the model", "something else")


CHECKS: dict[str, Callable[[Model], None]] = {
    check.__name__.strip("_").replace("_", "-"): check
    for check in (*(_attributes, _templates, _preprocess, _features, _batch_independence, _kinds, _texts, _device),)
}
