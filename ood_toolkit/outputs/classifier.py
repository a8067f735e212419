"""Run any torch classifier once over a loader and keep its logits and penultimate features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, get_ident
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.head import Head

__all__ = ["eval_mode", "find_layer", "logits_of", "run_classifier", "tap", "tapped"]

IMAGES, LABELS = ("pixel_values", "images", "inputs"), ("labels", "label")
"""What images and labels are called in batches that are dicts."""


def run_classifier(
    module: nn.Module, loader: Any, layer: str | None, class_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Give the keyword arguments of `Outputs`: logits, labels, and features with their head where there is one."""
    if not isinstance(module, nn.Module):
        raise OutputsError(f"model: expected a torch module, got {type(module).__name__}")
    if not isinstance(loader, Iterable):
        raise OutputsError(f"loader: expected batches, got {type(loader).__name__}; put one batch into a list")
    name, watched = find_layer(module, layer)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    logits, features, labels = [], [], []
    ids: list[str] = []
    with eval_mode(module), tap(watched) as seen, torch.inference_mode():
        for batch in loader:
            images, target, names = _parts(batch)
            seen.clear()
            logits.append(logits_of(module(_as_batch(images).to(device))).cpu())
            heads = isinstance(watched, nn.Linear) and (layer is None or watched.out_features == logits[-1].shape[1])
            if watched is not None:
                entered, left = tapped(seen, name)
                features.append((entered if heads else left).cpu().flatten(1))
            if target is not None:
                labels.append(target.cpu() if isinstance(target, Tensor) else np.asarray(target))
            if names is not None:
                ids += map(str, names)
    if not logits:
        raise OutputsError("loader: expected at least one batch, got none")
    found: dict[str, Any] = {"logits": torch.cat(logits), "labels": np.concatenate(labels) if labels else None}
    if ids:
        found["ids"] = ids
    if watched is not None:
        found["features"] = torch.cat(features)
    if isinstance(watched, nn.Linear) and heads:
        found["head"] = _head(watched, found["logits"].shape[1], name, class_names)
    elif class_names is not None:
        found["class_names"] = class_names
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in found.items()}


def find_layer(module: nn.Module, layer: str | None = None) -> tuple[str, nn.Module | None]:
    """Find a submodule by name, or the last linear layer where no name is given."""
    named = dict(module.named_modules())
    if layer is not None:
        if layer not in named:
            raise OutputsError(
                f"layer: {layer!r} is no submodule of the model; it has {', '.join(filter(None, named))}"
            )
        return layer, named[layer]
    linear = [(name, part) for name, part in named.items() if isinstance(part, nn.Linear)]
    return linear[-1] if linear else ("", None)


def _head(linear: nn.Linear, classes: int, name: str, class_names: Sequence[str] | None) -> Head:
    if linear.out_features != classes:
        raise OutputsError(
            f"layer: {name or 'the module'} gives {linear.out_features} numbers but the model {classes} logits; "
            "name the layer that gives the logits, or one whose output to keep as features"
        )
    bias = None if linear.bias is None else linear.bias.detach().cpu().float()
    return Head.linear(linear.weight.detach().cpu().float(), bias, class_names)


def logits_of(out: object) -> Tensor:
    """Give the logits (n, k) that a classifier returned: themselves, under "logits" in a dict, or as `.logits`."""
    found = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", out)
    if not isinstance(found, Tensor) or found.ndim != 2:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(out).__name__
        raise OutputsError(
            f"model: expected it to return logits of shape (batch, classes), got {got}; alone, in a dict as logits, or "
            "as .logits"
        )
    return found


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    """Give images, labels and ids of a batch: the images alone, a tuple in that order, or a dict with such names."""
    if isinstance(batch, Mapping):
        image = next((name for name in IMAGES if name in batch), None)
        if image is None:
            raise OutputsError(
                "loader: expected batches of images or (images, labels) pairs, got dict without "
                f"{', '.join(IMAGES)}; it has {', '.join(map(str, batch))}"
            )
        label = next((name for name in LABELS if name in batch), None)
        return batch[image], None if label is None else batch[label], batch.get("ids")
    if isinstance(batch, tuple | list):
        images, target, names = (*batch, None, None)[:3]
        return images, target, names
    return batch, None, None


def _as_batch(images: object) -> Tensor:
    try:
        return torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        got = type(images).__name__
        raise OutputsError(f"loader: expected batches of images or (images, labels) pairs, got {got}") from None


def tapped(seen: list[tuple[Tensor, Tensor]], name: str) -> tuple[Tensor, Tensor]:
    """Give what entered and what left a layer that ran once; `OutputsError` where it ran more or less often."""
    if len(seen) != 1:
        raise OutputsError(f"layer: expected {name!r} to run once a batch, it ran {len(seen)} times; name another")
    return seen[0]


@contextmanager
def tap(watched: nn.Module | None) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect what enters a layer and what leaves it in this thread."""
    seen: list[tuple[Tensor, Tensor]] = []
    thread = get_ident()

    def keep(part: nn.Module, args: tuple[Any, ...], out: object) -> None:
        if get_ident() != thread:
            return
        if not isinstance(out, Tensor):
            raise OutputsError(f"layer: expected it to give a tensor, got {type(out).__name__}; name another")
        seen.append((args[0].detach(), out.detach()))

    if watched is None:
        yield seen
        return
    handle = watched.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


@dataclass
class _Held:
    """A module that is held in eval mode: by how many, and what modes its parts had before."""

    modes: dict[nn.Module, bool]
    users: int = 0


_lock = Lock()
_held: WeakKeyDictionary[nn.Module, _Held] = WeakKeyDictionary()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Hold a module in eval mode; of several threads that do so at once the last one puts its modes back."""
    with _lock:
        held = _held.setdefault(module, _Held({part: part.training for part in module.modules()}))
        held.users += 1
        module.eval()
    try:
        yield
    finally:
        with _lock:
            held.users -= 1
            if not held.users:
                del _held[module]
                for part, training in held.modes.items():
                    part.training = training
