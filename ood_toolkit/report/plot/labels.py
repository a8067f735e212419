"""Texts in plots: names from data as they are, without markup; legends; labels beside points that hide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.folding import folded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.text import Text

__all__ = ["hides_lines", "label_points", "legend", "lines_of", "name_axes", "ticks", "together", "written"]

WIDEST, HIGHEST, NAMES, SHORT = 44, 32, 32, 16
"""Characters of a line across, of one upwards, of a name in a legend and at an axis; what is longer is folded."""
HANDLE, BETWEEN = 2.4, 1.2
"""Width of a sample in a legend, and between its columns, in the size of its letters."""
AROUND = (
    (-4, 3, "right", "bottom"), (0, 5, "center", "bottom"), (4, 3, "left", "bottom"), (4, -3, "left", "top"),
    (-4, -3, "right", "top"), (0, -5, "center", "top"), (6, 0, "left", "center"), (-6, 0, "right", "center"),
)  # fmt: skip
"""Where a label may stand, as points to the right and up from what it names; the better ones first."""


def written(text: Text, said: object, widest: int | None = None) -> Text:
    """Set a text that may come from data: no formulas, no commands, folded between words where it is wide."""
    lines = [plain(said)] if widest is None else folded(plain(said), widest)
    text.set_text("\n".join(lines))
    text.set_parse_math(False)
    return text


def name_axes(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes and what is shown."""
    written(ax.xaxis.label, x, WIDEST)
    written(ax.yaxis.label, y, HIGHEST)
    if title:
        written(ax.set_title("", loc="left"), title, WIDEST)


def ticks(ax: Axes, names: Sequence[str]) -> None:
    """Name the places 0, 1, ... of the vertical axis."""
    ax.set_yticks(range(len(names)), ["\n".join(lines_of(name)) for name in names], parse_math=False)


def lines_of(name: str) -> list[str]:
    """Fold a name to the lines that it has at an axis."""
    return folded(plain(name), SHORT)


def together(text: str) -> str:
    """Give a text that is not folded."""
    return text.replace(" ", "\xa0")


def legend(ax: Axes, handles: Sequence[Any], names: Sequence[str], title: str = "", *, above: bool = False) -> None:
    """Add a legend with these names: in the lower right corner, or `above` the axes, where it covers nothing.

    Above it has two columns where those are not wider than the axes.
    """
    if not above:
        _legend(ax, handles, names, title, loc="lower right")
        return
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    made = _legend(ax, handles, names, title, **place)
    _lay_out(ax)
    wide = [text.get_window_extent().width for text in made.get_texts()]
    half = (len(wide) + 1) // 2
    figure: Any = ax.get_figure()
    em = float(made.get_texts()[0].get_fontsize()) * figure.dpi / 72
    beside = max(wide[:half]) + max(wide[half:], default=0) + 2 * (HANDLE + 0.8) * em + BETWEEN * em
    if len(wide) > 2 and beside <= ax.get_window_extent().width:
        _legend(ax, handles, names, title, ncols=2, **place)


def hides_lines(ax: Axes) -> bool:
    """Tell whether the legend stands where a line runs."""
    _lay_out(ax)
    held = ax.get_legend()
    if held is None:
        return False
    box = held.get_window_extent()
    return any(line.get_transform().transform_path(line.get_path()).intersects_bbox(box, False) for line in ax.lines)


def _legend(ax: Axes, handles: Sequence[Any], names: Sequence[str], title: str, **more: Any) -> Legend:
    made = ax.legend(
        list(handles), [str(place) for place in range(len(names))], handlelength=HANDLE, labelspacing=0.3,
        columnspacing=BETWEEN, alignment="left", title=title or None, title_fontsize="small", **more,
    )  # fmt: skip
    for text, name in zip(made.get_texts(), names, strict=True):
        written(text, name, NAMES)
    written(made.get_title(), title, WIDEST)
    return made


def _lay_out(ax: Axes) -> None:
    """Give everything in the figure its place, so that it can be measured."""
    figure: Any = ax.get_figure()
    figure.draw_without_rendering()


def label_points(ax: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], taken: Any = ()) -> list[Text]:
    """Write a name beside each point, (x, y) in data units, where it hides neither a name nor a point.

    `taken` are further points to keep free. A name for which there is no such place is left out.
    """
    _lay_out(ax)
    frame, boxes = ax.get_window_extent(), list[Any]()
    made: list[Text] = []
    crowd: Any = ax.transData.transform([*points, *taken]) if len(points) else []
    for point, name in zip(points, names, strict=True):
        for right, up, across, along in AROUND:
            text = ax.annotate("", point, (right, up), textcoords="offset points", ha=across, va=along, fontsize=6.5)
            written(text, name)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            hides = any(box.contains(x, y) for x, y in crowd)
            if inside and not hides and not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                made.append(text)
                break
            text.remove()
    return made
