"""Run any torch classifier once over a loader and keep its logits and penultimate features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.head import Head

__all__ = ["find_layer", "logits_of", "run_classifier", "tap", "tapped"]


def run_classifier(module: nn.Module, loader: Any, layer: str | None) -> dict[str, Any]:
    """Give the keyword arguments of `Outputs`: logits, labels, and features with their head where there is one."""
    name, watched = find_layer(module, layer)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    logits, features, labels = [], [], []
    with _eval_mode(module), tap(watched) as seen, torch.inference_mode():
        for batch in loader:
            images, target = (*batch, None)[:2] if isinstance(batch, tuple | list) else (batch, None)
            seen.clear()
            logits.append(logits_of(module(_as_batch(images).to(device))).cpu())
            heads = isinstance(watched, nn.Linear) and (layer is None or watched.out_features == logits[-1].shape[1])
            if watched is not None:
                entered, left = tapped(seen, name)
                features.append((entered if heads else left).cpu().flatten(1))
            if target is not None:
                labels.append(torch.as_tensor(target))
    if not logits:
        raise OutputsError("loader: expected at least one batch, got none")
    found: dict[str, Any] = {"logits": torch.cat(logits), "labels": torch.cat(labels) if labels else None}
    if watched is not None:
        found["features"] = torch.cat(features)
    if isinstance(watched, nn.Linear) and heads:
        found["head"] = _head(watched, found["logits"].shape[1], name)
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


def _head(linear: nn.Linear, classes: int, name: str) -> Head:
    if linear.out_features != classes:
        raise OutputsError(
            f"layer: {name or 'the module'} gives {linear.out_features} numbers but the model {classes} logits; "
            "name the layer that gives the logits, or one whose output to keep as features"
        )
    return Head.linear(linear.weight.detach().cpu().float(), None if linear.bias is None else linear.bias.cpu().float())


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


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
