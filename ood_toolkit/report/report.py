"""`Report`: the rows of a benchmark with its header, in every form that somebody reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ood_toolkit.report import formats, table
from ood_toolkit.report.asked_metrics import added_metrics
from ood_toolkit.report.gallery import Gallery, joined_galleries
from ood_toolkit.report.layout import laid
from ood_toolkit.report.notebook import report_html
from ood_toolkit.report.plot.plots import Plots
from ood_toolkit.report.results import Answers, Row, to_json
from ood_toolkit.report.run_folder import write_run
from ood_toolkit.report.scores import COLUMNS, FLAGS, NUMBERS, parts_of_scores

__all__ = ["Report", "joined"]


@dataclass(frozen=True, eq=False)
class Report:
    """What a benchmark found."""

    rows: list[Row]
    """What each scorer or combiner reached on each OOD set, or why it was skipped or failed."""
    header: Mapping[str, Any]
    """Sets, sizes, ID accuracy, calibration error, where validation came from, protocol, versions."""
    answers: Mapping[tuple[str, ...], Answers] = field(default_factory=dict, repr=False)
    """Scores, predictions and truth of every image, by ID set and set; by model, too, where there are several."""
    gallery: Gallery | None = field(default=None, repr=False)
    """Thumbnails of images that a page shows; None where none were asked for."""

    @property
    def failed(self) -> list[Row]:
        """The rows whose scorer or combiner raised."""
        return [row for row in self.rows if row.status == "failed"]

    @property
    def ran(self) -> bool:
        """Whether any row holds a result."""
        return any(row.status == "ok" for row in self.rows)

    def table(self, width: int | None = 100, color: bool = False, sort: str | None = None) -> str:
        """Give the table as text of at most `width` columns, None for any, with ANSI colours if `color`.

        Up to eight scorers have a row for each OOD set, more of them a line each with the sets across. `sort` orders
        them by a metric's mean, the best first, by `name` or `seconds`, or leaves them (`none`); matrices are sorted by
        AUROC otherwise.
        """
        return table.render(laid(self.header, self.rows, sort), width, color)

    def with_metrics(self, *names: str) -> Report:
        """Give the same report with further metrics of OOD detection in its rows, tables and other forms.

        They are computed from the scores of every image: `fpr@0.9`, which is `fpr90_id`, and `fpr90_ood` at any level,
        `oscr`, each metric of the native protocol, and any of these but `oscr` behind `macro_`, the mean over the
        classes of an OOD set. `docs/metrics.md` defines them. Raises `MetricError` for one of `names` that is unknown.
        """
        rows, header = added_metrics(self, names) if names else (self.rows, self.header)
        return replace(self, rows=rows, header=header)

    def to_json(self) -> str:
        """Give header and rows as JSON, the schema of `result.json`."""
        return to_json(self.header, self.rows)

    def to_csv(self) -> str:
        """Give the rows as CSV, one column a field and metric, full precision."""
        return formats.csv_text(self.header, self.rows)

    def to_markdown(self, sort: str | None = None) -> str:
        """Give the table as Markdown; `sort` as in `table`."""
        return formats.markdown(laid(self.header, self.rows, sort))

    def to_latex(self, sort: str | None = None) -> str:
        """Give the table as LaTeX with booktabs rules; `sort` as in `table`."""
        return formats.latex(laid(self.header, self.rows, sort))

    def to_pandas(self) -> Any:
        """Give the rows as a pandas data frame; `ImportError` without the extra `ood-toolkit[pandas]`."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas needs pandas; pip install 'ood-toolkit[pandas]'") from None
        return pandas.DataFrame([row.flat() for row in self.rows])

    def scores(self) -> Any:
        """Give the scores of every image as a pandas data frame, a row for each image and scorer.

        Columns: model, of, part, set, image, scorer, score, accepted, prediction, label, right, confidence, stream; see
        `docs/result-schema.md`. `ImportError` without the extra `ood-toolkit[pandas]`.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("scores needs pandas; pip install 'ood-toolkit[pandas]'") from None
        kinds = dict.fromkeys(COLUMNS, "string") | dict.fromkeys(NUMBERS, "float64") | dict.fromkeys(FLAGS, "boolean")
        parts = [pandas.DataFrame(part).astype(kinds) for part in parts_of_scores(self.answers.items())]
        return pandas.concat(parts or [pandas.DataFrame(columns=list(COLUMNS)).astype(kinds)], ignore_index=True)

    def _repr_html_(self) -> str:
        return report_html(laid(self.header, self.rows))

    @property
    def plot(self) -> Plots:
        """Plots for papers, such as `report.plot.roc()`; they need the extra `ood-toolkit[plots]`."""
        return Plots(self)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the run folder: `result.json`, what every scorer said of every image, and thumbnails.

        `DataError` where `folder` holds anything already.
        """
        write_run(folder, self.header, self.rows, self.answers, self.gallery)


def joined(reports: Sequence[Report]) -> Report:
    """Join the reports of several models on the same sets to one; a single one is given back as it is."""
    if len(reports) == 1:
        return reports[0]
    shared = {
        key: value
        for key, value in reports[0].header.items()
        if key != "model" and all(report.header.get(key) == value for report in reports)
    }
    models = [{k: v for k, v in report.header.items() if k not in shared} for report in reports]
    answers = {(str(report.header["model"]), *key): said for report in reports for key, said in report.answers.items()}
    kept = [report.gallery for report in reports if report.gallery is not None]
    rows = [row for report in reports for row in report.rows]
    return Report(rows, {**shared, "models": models}, answers, joined_galleries(kept))
