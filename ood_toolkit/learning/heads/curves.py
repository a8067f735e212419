"""The course of a training run as a picture: loss, accuracy, and the threshold of each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.learning.heads.train import HeadEpoch

__all__ = ["NAMED", "plot_head"]

NAMED = 10
"""Classes up to which each curve of thresholds has its name in the legend."""
DPI = 120


def plot_head(history: Sequence[HeadEpoch], class_names: Sequence[str], place: Path) -> None:
    """Draw loss, accuracy and class-wise thresholds, epoch by epoch, as a PNG file; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, thresholds = figure.subplots(1, 3)
    epochs = [one.epoch for one in history]
    for axes, name, label in ((loss, "loss", "mean cross-entropy"), (accuracy, "accuracy", "accuracy")):
        train = "loss" if name == "loss" else "train_accuracy"
        axes.plot(epochs, [getattr(one, train) for one in history], label="training")
        axes.plot(epochs, [getattr(one, f"val_{name}") for one in history], label="validation")
        axes.set(xlabel="epoch (0: before)", ylabel=label)
    cuts = np.array([one.thresholds for one in history])  # (epochs, k)
    cuts[~np.isfinite(cuts)] = np.nan
    few = len(class_names) <= NAMED
    for column, name in enumerate(class_names):
        thresholds.plot(epochs, cuts[:, column], linewidth=1.0, label=name if few else None)
    if not few:
        thresholds.plot(epochs, np.nanmean(cuts, axis=1), color="black", linewidth=2.0, label="mean of the classes")
    thresholds.set(xlabel="epoch (0: before)", ylabel="confidence threshold", ylim=(0, 1))
    for axes in (loss, accuracy, thresholds):
        _finish(axes)
    figure.savefig(place, format="png", dpi=DPI)


def _finish(axes: Any) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
