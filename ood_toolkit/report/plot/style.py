"""How plots look: a column's width, marks that differ in grey too, and files that hold fonts and no dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from ood_toolkit.errors import DataError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.kinds import Kind, beginning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLUMN", "ID", "INK", "MOST", "OOD", "PALE", "SERIES", "Series", "check_file", "close", "draw_into_files",
    "drawing", "form_of", "save",
]  # fmt: skip

COLUMN = 3.3
"""Width of a plot in inches where nothing else is asked for: a column of a page with two."""
DPI = 300
FORMATS: Mapping[str, Mapping[str, Any]] = {
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}
"""Suffixes of files, and what of their metadata would change from one day or version to the next."""
KINDS: Mapping[str, Kind] = {
    ".pdf": Kind("PDF", beginning(b"%PDF-")),
    ".svg": Kind("SVG", beginning(b"<svg", within=1000)),
    ".png": Kind("PNG", beginning(b"\x89PNG\r\n\x1a\n")),
}
RULES: Mapping[str, Any] = {
    "font.family": ["DejaVu Sans"], "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "legend.fontsize": 7,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "lines.linewidth": 1.1,
    "lines.markersize": 4, "hatch.linewidth": 0.5, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "figure.constrained_layout.use": True, "axes.unicode_minus": True,
    "axes.prop_cycle": "cycler('color', ['black'])", "path.simplify": True,
}  # fmt: skip
KEPT: Mapping[str, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "oodkit"}
"""What is set while a file is written: fonts as they are, text as text, names that do not change."""


@dataclass(frozen=True)
class Series:
    """How one of several lines looks; no two are alike in colour, dash or marker."""

    color: str
    dash: Any
    marker: str


SERIES = (
    Series("#000000", "solid", "o"),
    Series("#0072B2", (0, (5, 1.5)), "s"),
    Series("#D55E00", (0, (1, 1)), "^"),
    Series("#009E73", (0, (5, 1.2, 1, 1.2)), "D"),
    Series("#CC79A7", (0, (3, 1, 1, 1, 1, 1)), "v"),
    Series("#56B4E9", (0, (8, 2)), "X"),
    Series("#E69F00", (0, (2, 2)), "P"),
    Series("#7F7F7F", (0, (8, 1, 1, 1)), "<"),
)
"""Colours after Okabe and Ito, which colour-blind readers tell apart; the lightness differs too."""
MOST = len(SERIES)
INK, PALE = "black", "#999999"
ID, OOD = "#0072B2", "#D55E00"
"""Colours of in-distribution and of OOD images, wherever both are drawn."""


@contextmanager
def drawing(ax: Axes | None, height: float = 2.4, spare: float = 2.0) -> Iterator[Axes]:
    """Give the axes to draw in: those that were handed over, else new ones in a figure of a column's width.

    It is as many inches high, and a legend above the axes makes it higher; it is laid out with so much to `spare`.
    `DataError` says how to get matplotlib where it is not installed.
    """
    check_matplotlib()
    from matplotlib import pyplot, rc_context

    if ax is not None:
        with _boxes_for_signs():
            yield ax
        return
    rules: Any = dict(RULES)
    with rc_context(rules), _boxes_for_signs():
        figure = pyplot.figure(figsize=(COLUMN, height + spare))
        try:
            made = figure.add_subplot()
            yield made
            figure.set_figheight(height + _above(made))
        except BaseException:
            pyplot.close(figure)
            raise


def _above(ax: Axes) -> float:
    """Give the height in inches of a legend above the axes, which is not to be taken from them."""
    figure: Any = ax.get_figure()
    held = ax.get_legend()
    if held is None:
        return 0.0
    figure.draw_without_rendering()
    box, frame = held.get_window_extent(), ax.get_window_extent()
    return float(box.height / figure.dpi) if box.y0 >= frame.y1 - 1 else 0.0


@contextmanager
def _boxes_for_signs() -> Iterator[None]:
    """Draw signs that the font lacks as boxes, as readers know them, and say nothing of each."""
    with catch_warnings():
        filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def check_file(file: Path) -> str:
    """Give the suffix of a file that can be written; `DataError` for any other."""
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{file}: expected a name that ends in {', '.join(FORMATS)}, got {suffix or 'no ending'}")
    return suffix


def form_of(file: Path) -> Kind:
    """Give the kind of file that a plot is written as."""
    return KINDS[check_file(file)]


def check_matplotlib() -> None:
    """Raise `DataError` where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise DataError("plots need matplotlib, which is not installed; pip install 'ood-toolkit[plots]'") from None


def draw_into_files() -> None:
    """Let matplotlib draw into files alone, whatever screen there is."""
    check_matplotlib()
    import matplotlib

    matplotlib.use("agg")


def close(ax: Axes) -> None:
    """Let go of the figure of axes."""
    from matplotlib import pyplot

    figure: Any = ax.get_figure()
    pyplot.close(figure)


def save(ax: Axes, file: Path, width: float | None = None) -> None:
    """Write the figure of axes as PDF, SVG or PNG, whole or not at all; the same plot gives the same bytes.

    `width` is in inches, where another one than that of the figure is wanted.
    """
    from matplotlib import rc_context

    suffix = check_file(file)
    figure: Any = ax.figure
    while hasattr(figure, "figure") and figure.figure is not figure:  # out of subfigures
        figure = figure.figure
    if width is not None:
        figure.set_figwidth(width)
    rules: Any = dict(KEPT)
    with rc_context(rules), _boxes_for_signs(), replaced_file(file) as partial, partial.open("wb") as stream:
        more = {"pil_kwargs": {"optimize": True}} if suffix == ".png" else {}
        figure.savefig(stream, format=suffix[1:], dpi=DPI, metadata=dict(FORMATS[suffix]), **more)
