"""A run with all that can be drawn, and figures that are closed after each test."""

import warnings

import numpy as np
import pytest

from ood_toolkit import Outputs, bench

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


CLASSES = ("ant", "bee", "cat", "dog", "elk")


def logits(n, seed, height):
    """Draw logits of images that are of a class by so much, with their labels."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, len(CLASSES), n)
    return draw.normal(size=(n, len(CLASSES))) + height * np.eye(len(CLASSES))[labels], labels


@pytest.fixture
def sets():
    """Give ID test, ID validation and two OOD sets; some predictions are wrong."""
    test, val = (Outputs.from_logits(*logits(n, seed, 2.5), CLASSES) for n, seed in ((80, 1), (90, 2)))
    near, far = (logits(n, seed, height)[0] for n, seed, height in ((70, 3, 1.5), (50, 4, 0)))
    return test, val, {"near": Outputs.from_logits(near, None, CLASSES), "far": Outputs.from_logits(far, None, CLASSES)}


@pytest.fixture
def report(sets):
    test, val, ood = sets
    return bench("msp,energy,classwise,entropy", test, ood, val=val, id_name="known", about={"model": "toy"})


def texts_of(ax):
    """Give all that is written in a figure and is not empty."""
    from matplotlib.text import Text

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # Korean is drawn as boxes
        ax.figure.canvas.draw()
    axes = [ax, *ax.child_axes]
    labels = {label for one in axes for axis in (one.xaxis, one.yaxis) for label in axis.get_ticklabels(which="both")}
    drawn = {tick.label1 for one in axes for axis in (one.xaxis, one.yaxis) for tick in axis._update_ticks()}
    drawn |= {tick.label2 for one in axes for axis in (one.xaxis, one.yaxis) for tick in axis._update_ticks()}
    found = [one for one in ax.figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
    return [one for one in found if one not in labels or one in drawn]


@pytest.fixture
def shown():
    return texts_of
