"""`Problem`: a made-up OOD problem for the conformance kit, and the ways it is turned about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head, normalise

__all__ = ["Problem", "ProblemMaker", "make_problem"]

HUGE = 1e4
"""How many times larger than usual huge logits are."""
SHARE = (0.65, 0.45)
"""Least share of an image's own class in its direction: when scored, and in val and train, where some err."""


LINEAR = frozenset({"linear_head", "head", "nonnegative_features"})
"""Needs that a linear head on non-negative features meets."""


AWAY = ("outliers", "empty", "candidates", "noise", "agents")
"""Banks that are of no class."""


@dataclass(frozen=True, eq=False)
class Problem:
    """An OOD problem that is easy for any honest score; nothing of it that is OOD is ever given to `fit`."""

    x: Outputs
    """What is scored: ID images and OOD images, without labels."""
    ood: Tensor
    """(n,) bool: which rows of `x` are OOD."""
    edges: Outputs
    """Rows that must score finite: equal logits, a tie, a class text, a training image, a tiny length."""
    val: Outputs | None
    """ID validation images for `fit`; None where the scorer needs none."""
    train: Outputs | None
    """ID training images for `fit`; None where the scorer needs none."""

    def changed(self, change: Callable[[Outputs], Outputs]) -> Problem:
        """Give the same problem with every `Outputs` changed by `change`."""
        val, train = (None if split is None else change(split) for split in (self.val, self.train))
        return Problem(change(self.x), self.ood, change(self.edges), val, train)


ProblemMaker: TypeAlias = Callable[[frozenset[str], int, int], Problem]
"""Makes a problem of (needs, classes, seed); `make_problem` is one."""


def make_problem(needs: frozenset[str] = frozenset(), classes: int = 5, seed: int = 0) -> Problem:
    """Make ID images near the directions of their classes, and OOD images along two spare directions.

    The head is linear, on non-negative features, where `needs` says so, and else zero-shot with scale 20. ID
    features are longer, OOD logits low and nearly uniform; some images of val and train lie nearer to a class
    that is not theirs. Every `extra:<name>` is (n,), higher on ID. `text:no` is (k, d) and lies where OOD
    does, as does any bank with "neg" in its name, (12, d), or called outliers, empty, candidates, noise or agents; any
    other is (3, k, d), variants of the texts.
    Drawn with `seed` from a generator of its own: the global ones stay as they are.
    """
    draw = torch.Generator().manual_seed(1000 * seed + classes)
    patterns = _patterns(classes + 2, draw)  # (k + 2, d), the last two spare
    linear = not needs.isdisjoint(LINEAR) and "zero_shot" not in needs
    head = _linear(patterns[:-2], draw) if linear else _zero_shot(patterns, needs, draw)
    extras = sorted(word.removeprefix("extra:") for word in needs if word.startswith("extra:"))

    def outputs(features: Tensor, idness: Tensor, labels: Tensor | None = None) -> Outputs:
        drawn = {name: 1.5 * idness + torch.randn(len(features), generator=draw) for name in extras}
        return Outputs(features.abs() if linear else features, labels=labels, extras=drawn, head=head)

    def split(rows: int) -> Outputs:
        features, labels = _images(patterns[:-2], rows, SHARE[1], 10, draw)
        return outputs(features, torch.ones(rows), labels)

    inside, _ = _images(patterns[:-2], 60, SHARE[0], 10, draw)
    outside, _ = _images(patterns[-2:], 60, SHARE[0], 5, draw)
    ood = torch.arange(120) >= 60
    val, train = split(300), split(500)
    known = cast(Tensor, train.features)[0]
    edges = torch.stack([10 * patterns[-1], patterns[0] + patterns[1], patterns[0], known, 1e-6 * patterns[0]])
    x = outputs(torch.cat([inside, outside]), 1.0 - 2.0 * ood)
    return Problem(x, ood, outputs(edges, torch.zeros(len(edges))), val, train)


def shuffled(classes: int, seed: int) -> Tensor:
    """Draw an order (classes,) in which no class keeps its place or, with four or more of them, a neighbour of it."""
    draw, places = torch.Generator().manual_seed(seed), torch.arange(classes)
    while True:
        order = torch.randperm(classes, generator=draw)
        apart = (order - order.roll(1)) % classes  # 1 or -1 where neighbours stay neighbours
        near = bool(((apart == 1) | (apart == classes - 1)).all()) and classes > 3
        if classes < 2 or (not bool((order == places).any()) and not near):
            return order


def permuted(x: Outputs, seed: int = 0) -> Outputs:
    """Give the same images with the classes in another order, drawn, in which none keeps its place."""
    order = shuffled(x.classes, seed)
    labels = None if x.labels is None else torch.cat([order.argsort(), torch.tensor([-1])])[x.labels]
    if x.head is None:
        return Outputs(x.features, x.logits[:, order] if x.classes else None, labels, _ids(x), x.extras)
    names = tuple(x.head.class_names[i] for i in order)
    head = dataclasses.replace(x.head, weight=x.head.weight[order], bias=x.head.bias[order], class_names=names)
    banks = {name: bank.embeddings for name, bank in x.head.banks.items()}
    per_class = {name: rows[..., order, :] for name, rows in banks.items() if name == "no" or rows.ndim == 3}
    return Outputs(x.features, None, labels, _ids(x), x.extras, head.with_banks(per_class))


def huge(x: Outputs) -> Outputs:
    """Give images with enormous logits: by the scale of a zero-shot head, otherwise by enormous features."""
    if x.head is not None and x.head.kind == "zero_shot":
        head = dataclasses.replace(x.head, scale=x.head.scale * HUGE)
        return Outputs(x.features, None, x.labels, _ids(x), x.extras, head)
    features = None if x.features is None else x.features * HUGE
    logits = x.logits * HUGE if x.head is None and x.classes else None
    return Outputs(features, logits, x.labels, _ids(x), x.extras, x.head)


def rescaled(x: Outputs, factor: float) -> Outputs:
    """Give the same images with logits so many times as large; features and cosines stay as they are."""
    if x.head is None:
        ready = x.logits * factor if x.classes else None
        return Outputs(x.features, ready, x.labels, _ids(x), x.extras)
    if x.head.kind == "zero_shot":
        head = dataclasses.replace(x.head, scale=x.head.scale * factor, bias=x.head.bias * factor)
    else:
        head = dataclasses.replace(x.head, weight=x.head.weight * factor, bias=x.head.bias * factor)
    return Outputs(x.features, None, x.labels, _ids(x), x.extras, head)


def bare(problem: Problem, needs: frozenset[str]) -> list[Problem]:
    """Give the problem with what `needs` names and no more; where that is no array, with each kind."""
    words = frozenset(word for word in needs if not word.startswith(("val", "train")))
    named = any(not word.startswith("extra:") for word in words)

    def part(split: Outputs | None, name: str, asked: frozenset[str]) -> Outputs | None:
        wanted = {name, f"{name}_labels"} & needs
        return None if split is None or not wanted else _only(split, asked, labels=f"{name}_labels" in needs)

    return [
        Problem(
            _only(problem.x, asked),
            problem.ood,
            _only(problem.edges, asked),
            part(problem.val, "val", asked),
            part(problem.train, "train", asked),
        )
        for asked in ([words] if named else [words | {"features"}, words | {"logits"}])
    ]


def _only(x: Outputs, words: frozenset[str], *, labels: bool = False) -> Outputs:
    head = None
    if x.head is not None and any(word.startswith(("zero_shot", "linear_head", "head", "text:")) for word in words):
        banks = {name: bank for name, bank in x.head.banks.items() if f"text:{name}" in words}
        head = dataclasses.replace(x.head, banks=banks)
    # Labels index classes, so that a labelled split has logits even where only features were asked for.
    ready = head is None and ("logits" in words or labels)
    features = x.features if head is not None or words & {"features", "nonnegative_features"} else None
    extras = {name: array for name, array in x.extras.items() if f"extra:{name}" in words}
    return Outputs(features, x.logits if ready else None, x.labels if labels else None, None, extras, head)


def _patterns(many: int, draw: torch.Generator) -> Tensor:
    """Draw orthogonal unit rows (many, 4 many) without negative numbers, each on four columns of its own."""
    blocks = torch.eye(many).repeat_interleave(4, dim=1) * (0.5 + torch.rand(many, 4 * many, generator=draw))
    return normalise(blocks)


def _images(patterns: Tensor, rows: int, least: float, length: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw images (rows, d), each between the patterns of its class and another, and their classes."""
    kinds = len(patterns)
    label = torch.arange(rows) % kinds
    other = (label + 1 + torch.randint(kinds - 1, (rows,), generator=draw)) % kinds
    share = least + (1 - least) * torch.rand(rows, 1, generator=draw)
    noise = 0.008 * length * torch.randn(rows, patterns.shape[1], generator=draw)
    direction = share * patterns[label] + (1 - share) * patterns[other] + noise
    return length * (0.9 + 0.2 * torch.rand(rows, 1, generator=draw)) * direction, label


def _linear(weight: Tensor, draw: torch.Generator) -> Head:
    return Head.linear(weight, 0.2 * torch.randn(len(weight), generator=draw))


def _zero_shot(patterns: Tensor, needs: frozenset[str], draw: torch.Generator) -> Head:
    texts, spare = patterns[:-2], patterns[-2:]
    asked = {word.removeprefix("text:") for word in needs if word.startswith("text:")}
    banks = {}
    for name in sorted({"no", "negatives"} | asked):
        if name == "no":
            rows = spare.sum(dim=0) + 0.1 * texts + 0.02 * torch.randn(texts.shape, generator=draw)
        elif "neg" in name or name in AWAY:
            rows = spare.repeat(6, 1) + 0.1 * torch.randn(12, texts.shape[1], generator=draw)
        else:
            rows = texts + 0.1 * torch.randn(3, *texts.shape, generator=draw)
        banks[name] = rows
    names = [f"class {i}" for i in range(len(texts))]
    return Head.zero_shot(texts, names, scale=20.0, texts=banks)


def _ids(x: Outputs) -> Sequence[str] | None:
    return None if x.ids is None else [str(name) for name in x.ids]
