"""`Gap`: how far apart images and texts lie in the space that they share, and what that space is like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, TrainingError

__all__ = ["Gap", "check_plots", "gap_of", "plot_gaps"]

LARGEST = 4096
"""Rows that uniformity is taken of: it looks at all pairs of them."""
DPI = 120


@dataclass(frozen=True)
class Gap:
    """What n matched pairs of unit rows say of two towers."""

    gap: float
    """|| mean image - mean text ||, 0 to 2: the modality gap of Liang et al., NeurIPS 2022, arXiv 2203.02053."""
    alignment: float
    """Mean cosine of an image and its own text, -1 to 1. Wang and Isola, ICML 2020, arXiv 2005.10242, take the mean
    squared distance, which is 2 - 2 * alignment."""
    image_uniformity: float
    """log mean exp(-2 ||x - y||^2) over pairs of images, -8 to 0 (the same paper): lower is more evenly spread."""
    text_uniformity: float
    """The same over pairs of different texts."""

    def about(self) -> dict[str, float]:
        """Give all figures by name."""
        return asdict(self)


def gap_of(images: Tensor, texts: Tensor, of: Tensor | Sequence[int]) -> Gap:
    """Measure images (n, d) against the texts (m, d), of which row `of[i]` is that of image i; rows of any length.

    All is computed of unit rows in float64. `OutputsError` where the shapes do not fit, or with no image at all. The
    uniformity of fewer than two rows is nan.
    """
    places = torch.as_tensor(of, dtype=torch.long)
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or len(places) != len(images):
        raise OutputsError(
            f"gap: expected images (n, d), texts (m, d) and n places, got {tuple(images.shape)}, "
            f"{tuple(texts.shape)} and {len(places)}"
        )
    if not len(images):
        raise OutputsError("gap: expected at least one pair, got none")
    u = torch.nn.functional.normalize(images.detach().double().cpu(), dim=-1)
    w = torch.nn.functional.normalize(texts.detach().double().cpu(), dim=-1)
    matched = w[places]
    return Gap(
        gap=float((u.mean(0) - matched.mean(0)).norm()),
        alignment=float((u * matched).sum(1).mean()),
        image_uniformity=_uniformity(u),
        text_uniformity=_uniformity(w[sorted(set(places.tolist()))]),
    )


def _uniformity(rows: Tensor) -> float:
    if len(rows) < 2:
        return float("nan")
    rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), LARGEST)).long()]
    return float(torch.pdist(rows).square().mul(-2).exp().mean().log())


def check_plots() -> None:
    """Raise `TrainingError` where what draws is not installed; to be called before hours of training."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise TrainingError("--plot: needs matplotlib, which is not installed; pip install 'ood-toolkit[plots]'")


def plot_gaps(runs: Mapping[float, Sequence[Mapping[str, Any]]], place: Path) -> None:
    """Draw gap and alignment of several lambdas, epoch by epoch and at the end, as a PNG file that appears whole.

    Each run is what its epochs ended with, the first of them, epoch 0, being how it was before.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ood_toolkit.store.files import replaced_file

    shown = {"gap": "modality gap", "alignment": "alignment (mean cosine of matched pairs)"}
    rows = 2 if len(runs) > 1 else 1
    figure = Figure(figsize=(10, 3.6 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(shown), squeeze=False)
    for column, (name, label) in enumerate(shown.items()):
        _by_epoch(axes[0][column], runs, name, label)
        if rows == 2:
            _by_weight(axes[1][column], runs, name, label)
    axes[0][0].legend(fontsize="small")
    with replaced_file(place) as partial, partial.open("wb") as file:
        figure.savefig(file, format="png", dpi=DPI)


def _by_epoch(axes: Any, runs: Mapping[float, Sequence[Mapping[str, Any]]], name: str, label: str) -> None:
    for weight, epochs in sorted(runs.items()):
        axes.plot(
            [one["epoch"] for one in epochs],
            [one[name] for one in epochs],
            label=f"λ = {weight:g}" + (" (FLYP)" if weight == 0 else ""),
            linewidth=1.5,
        )
    axes.set(xlabel="epoch (0: before)", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)


def _by_weight(axes: Any, runs: Mapping[float, Sequence[Mapping[str, Any]]], name: str, label: str) -> None:
    weights = sorted(runs)
    axes.plot(range(len(weights)), [runs[weight][-1][name] for weight in weights], marker="o", label="after training")
    before = runs[weights[0]][0][name]
    axes.axhline(before, color="grey", linestyle="--", linewidth=1, label="before")
    axes.set(xlabel="λ", ylabel=label)
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
