"""What chance has to do with results: paired tests of scorers and of runs, spread over runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.errors import DataError, MetricError
from ood_toolkit.report.evaluation import About, mean_rows, ood_rows
from ood_toolkit.report.images_of_rows import Case, aligned, case_of, cases_of
from ood_toolkit.report.intervals import CONFIDENCE, Progress, silent, with_intervals, without_intervals
from ood_toolkit.report.order import block_of
from ood_toolkit.report.published import matched_again
from ood_toolkit.report.report import Report
from ood_toolkit.report.results import Row
from ood_toolkit.report.some_scorers import check_known

__all__ = [
    "FIRST",
    "NOT_TESTED",
    "compared",
    "compared_runs",
    "enough_replicates",
    "measured",
    "spread",
    "with_tests",
]

NOT_TESTED = "not tested: "
"""How the notes on scorers begin that no test was made for."""
FIRST, BEST = "first", "best"
"""Which scorer the others are tested against: the first of the run, or the one with the largest AUROC on the pair."""
BEST_NOTE = (
    "best is the scorer of the largest AUROC on each ID and OOD set; it was chosen on the same images, so its lead is "
    "a little too large and its tests a little too sure"
)
LEVEL, LEAST_REPLICATES, FLOOR_SHARE = 0.05, 1000, 0.8
"""Where a difference counts as shown; the replicates that there are at least; and which share of the level the least
p-value that they can give may take after Holm's correction."""
LAPSED = ("intervals", "paired", "metrics")
"""What a header says of metrics; it does not hold for metrics computed by other rules."""
_NATIVE = metrics.PROTOCOLS["native"]
_FPR95 = replace(_NATIVE, measures={"fpr95_id": _NATIVE.measures["fpr95_id"]})


def compared(
    report: Report,
    ci: int = 0,
    paired: bool = False,
    seed: int = 0,
    against: str = FIRST,
    progress: Progress = silent,
) -> Report:
    """Add intervals from `ci` resamples (True: 1000) where that is not 0, and paired tests where they are asked for."""
    report = with_intervals(report, 1000 if ci is True else ci, seed, progress) if ci else report
    return with_tests(report, against) if paired else report


def with_tests(report: Report, against: str = FIRST) -> Report:
    """Add to the header, under `paired`, DeLong's test of each scorer's AUROC against one scorer's on the same images.

    `against` is `first`, `best` or the spec of a scorer. The p-values are corrected after Holm over all tests of the
    report. With `best` the reference was chosen by the same images, which makes the tests a little too sure; a note
    says so, and which scorers were not tested.
    """
    tests: list[dict[str, Any]] = []
    notes: list[str] = []
    cases = cases_of(report)
    for (id_name, ood), held in _by_pair(cases).items():
        reference = _reference(held, against)
        for case in held:
            if reference is None or case is reference:
                continue
            try:
                tests.append({"id": id_name, "ood": ood, **_test(case, reference)})
            except (MetricError, DataError) as error:
                notes.append(f"{case.row.scorer} on {ood}: no test against {reference.row.scorer}: {error}")
    if against not in (FIRST, BEST) and not any(row.scorer == against for row in report.rows):
        check_known([against], _specs(report.rows), "this run")
    notes += _untested({"": report}, {"": cases})
    if not tests and not notes:
        notes.append("--paired: there is nothing to test, the run has one scorer; name more after --scorers")
    if tests and against == BEST:
        notes.append(BEST_NOTE)
    told = list(dict.fromkeys([*report.header.get("notes", []), *notes]))
    more = {"notes": told} if told else {}
    return replace(report, header={**report.header, **more, "paired": _corrected(tests, ["p"])})


def _untested(runs: Mapping[str, Report], cases: Mapping[str, Sequence[Case]]) -> list[str]:
    """Name the scorers of each run that have no scores to test, with the reason."""
    found: dict[str, dict[str, None]] = {}
    for name, report in runs.items():
        tested = {case.row.scorer for case in cases[name]}
        for row in report.rows:
            if row.kind == "ood" and row.status != "ok" and row.scorer not in tested:
                why = f"{f' of {name}' if name else ''}, {row.status}{f': {row.notes[0]}' if row.notes else ''}"
                found.setdefault(why, {})[row.scorer] = None
    return [f"{NOT_TESTED}{', '.join(specs)}{why}" for why, specs in found.items()]


def measured(report: Report, protocol: str) -> Report:
    """Compute the rows of OOD detection again from the scores of every image, under any protocol."""
    metrics.find_protocol(protocol)
    groups = report.header.get("groups")
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in report.rows:
        if row.kind != "misclassification":
            blocks.setdefault(block_of(row), []).append(row)
    rows: list[Row] = []
    for row in report.rows:
        if row.kind == "misclassification":
            rows.append(without_intervals(row))
        elif row is blocks[block_of(row)][0]:
            rows += _measured_block(report, blocks[block_of(row)], groups or {}, protocol)
    header = {key: value for key, value in report.header.items() if key not in LAPSED}
    if "published" in header:
        header["published"], left_out = matched_again(header["published"], rows)
        header["notes"] = [*header.get("notes", []), *left_out]
    if groups is None and any(row.kind == "mean" and row.ood != "all" for row in report.rows):
        lost = "the run does not say which OOD sets its groups hold; their means are left out"
        header["notes"] = [*header.get("notes", []), lost]
    again = replace(report, rows=rows, header={**header, "protocol": protocol})
    return again.with_metrics(*report.header.get("metrics", ()))


def compared_runs(
    runs: Mapping[str, Report],
    scorers: Sequence[str] = (),
    against: str = "",
    replicates: int | None = 1000,
    seed: int = 0,
    notes: list[str] | None = None,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Test AUROC and FPR95(ID) of every scorer of the later runs against the same scorer of the first, paired by image.

    With `against`, a scorer of the first run, everything else of all runs, the first included, is tested against it;
    `best` is whatever has the largest AUROC of all runs on an ID and OOD set. `scorers` restricts what is tested. AUROC
    is compared by DeLong's test, FPR95(ID) by the paired bootstrap, and each metric's p-values are corrected after Holm
    over all tests. With `replicates` None there are as many as that correction needs to reach 0.05. `notes` is given
    what is to be said: scorers that were not tested, and p-values that cannot be small enough. Raises `DataError`
    where runs hold different images, or nothing that can be compared.
    """
    cases = {name: [replace(case, run=name) for case in cases_of(report)] for name, report in runs.items()}
    first = next(iter(cases))
    known = list(dict.fromkeys(case.row.scorer for held in cases.values() for case in held))
    check_known([*scorers, *([against] if against not in ("", BEST) else [])], known, "these runs")
    pairs = _run_pairs(cases, first, scorers, against)
    if not pairs:
        raise DataError(
            f"nothing to compare: {', '.join(runs)} share no scorer on the same ID and OOD set; name the scorer of "
            "the first run that others are tested against with --against"
        )
    drawn = enough_replicates(len(pairs)) if replicates is None else replicates
    tests = []
    for place, (case, reference) in enumerate(pairs):
        progress("testing", place, len(pairs), "pairs")
        found = _test(case, reference) | _fpr95_test(case, reference, drawn, seed)
        tests.append({"id": case.row.id, "ood": case.row.ood, **found})
    if notes is not None:
        notes += _run_notes(runs, cases, pairs, scorers, against, drawn)
    sizes = [{"n_id": len(case.test), "n_ood": len(case.ood), "replicates": drawn} for case, _ in pairs]
    return [test | size for test, size in zip(_corrected(tests, ["p", "fpr95_id_p"]), sizes, strict=True)]


def enough_replicates(tests: int) -> int:
    """Give the replicates of a bootstrap with which so many tests can reach 0.05 after Holm's correction.

    The least p-value of R replicates is 2 / (R + 1), and of t tests the correction multiplies it by t.
    """
    return max(LEAST_REPLICATES, math.ceil(2 * tests / (FLOOR_SHARE * LEVEL)) - 1)


def _run_pairs(
    cases: Mapping[str, Sequence[Case]], first: str, scorers: Sequence[str], against: str
) -> list[tuple[Case, Case]]:
    """Find what is tested against what."""
    pairs = []
    for held in _by_pair([case for listed in cases.values() for case in listed]).values():
        wanted = [case for case in held if not scorers or case.row.scorer in scorers]
        best = _reference(wanted, BEST) if against == BEST and wanted else None
        for case in wanted:
            reference = best if against == BEST else _reference_run(case, held, first, against)
            if reference is not None and reference is not case:
                pairs.append((case, reference))
    return pairs


def _run_notes(
    runs: Mapping[str, Report],
    cases: Mapping[str, Sequence[Case]],
    pairs: Sequence[tuple[Case, Case]],
    scorers: Sequence[str],
    against: str,
    replicates: int,
) -> list[str]:
    """Say what was not tested and why, and what the tests cannot show."""
    notes = [BEST_NOTE] if against == BEST else []
    notes += [note for note in _untested(runs, cases) if not scorers or any(spec in note for spec in scorers)]
    seen = {(case.run, case.row.scorer) for pair in pairs for case in pair}
    for run, held in cases.items():
        alone = dict.fromkeys(case.row.scorer for case in held if (run, case.row.scorer) not in seen)
        left = [spec for spec in alone if not scorers or spec in scorers]
        if left:
            notes.append(f"{NOT_TESTED}{', '.join(left)} of {run}, which no other run has on the same sets")
    floor = len(pairs) * 2 / (replicates + 1)
    if floor > LEVEL:
        notes.append(
            f"p of FPR95(ID) cannot be less than {min(floor, 1.0):.3f} after Holm's correction, with {replicates} "
            f"replicates for {len(pairs)} tests; --ci-replicates {enough_replicates(len(pairs))} reaches {LEVEL:g}"
        )
    return notes


def spread(runs: Mapping[str, Report], notes: list[str] | None = None) -> list[dict[str, Any]]:
    """Give mean and sample standard deviation over runs of every metric, for each row that all runs have.

    For runs that repeat one thing with other seeds or checkpoints: images, and where a run has one model its name, may
    differ. The deviation has the number of runs less one in its denominator. `notes` is given the scorers that not all
    runs have. Raises `DataError` for fewer than two runs, other protocols, or no row in common.
    """
    if len(runs) < 2:
        raise DataError(f"spread: expected at least two runs, got {len(runs)}")
    protocols = {name: str(report.header.get("protocol")) for name, report in runs.items()}
    if len(set(protocols.values())) > 1:
        told = ", ".join(f"{name} {protocol}" for name, protocol in protocols.items())
        raise DataError(f"spread: expected runs of one protocol, got {told}; choose one with --protocol")
    tables = [{_repeated(report, row): row for row in report.rows if row.status == "ok"} for report in runs.values()]
    found = []
    for key, row in tables[0].items():
        rows = [table[key] for table in tables if key in table]
        if len(rows) < len(runs):
            continue
        about = {k: getattr(row, k) for k in ("kind", "id", "ood", "scorer", "decider")}
        about |= {"model": row.model} if "models" in runs[next(iter(runs))].header else {}
        shared = [m for m in row.metrics if all(m in r.metrics for r in rows) and not m.endswith(("_low", "_high"))]
        values = {m: np.array([r.metrics[m] for r in rows]) for m in shared}
        means = {m: float(v.mean()) for m, v in values.items()}
        deviations = {m: float(v.std(ddof=1)) for m, v in values.items()}
        found.append({**about, "runs": len(rows), "mean": means, "std": deviations})
    if not found:
        raise DataError(f"spread: {', '.join(runs)} have no row in common")
    if notes is not None:
        shown = {row["scorer"] for row in found}
        left = dict.fromkeys(row.scorer for report in runs.values() for row in report.rows if row.scorer not in shown)
        notes += [f"left out, as not all runs have a result of it: {spec}" for spec in left]
    return found


def _by_pair(cases: Iterable[Case]) -> dict[tuple[str, str], list[Case]]:
    found: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        found.setdefault((case.row.id, case.row.ood), []).append(case)
    return found


def _reference(cases: Sequence[Case], against: str) -> Case | None:
    if against == BEST:
        return max(cases, key=lambda case: metrics.auroc(*case.scores))
    return cases[0] if against == FIRST else next((case for case in cases if case.row.scorer == against), None)


def _reference_run(case: Case, held: Sequence[Case], first: str, against: str) -> Case | None:
    """Find what a case is tested against among those on the same sets: the named scorer, or itself in the first run."""
    for other in held:
        if other.run != first or other is case:
            continue
        if other.row.scorer == against if against else (case.run != first and _like(case, other, held)):
            return other
    return None


def _like(case: Case, other: Case, held: Sequence[Case]) -> bool:
    """Tell whether two cases of two runs are one thing; the model counts where a run has several."""
    several = len({one.row.model for one in held if one.run == other.run}) > 1
    same = (case.row.scorer, case.row.decider) == (other.row.scorer, other.row.decider)
    return same and (not several or case.row.model == other.row.model)


def _test(case: Case, reference: Case) -> dict[str, Any]:
    found = metrics.delong_test(*case.scores, *aligned(reference, case), CONFIDENCE)
    told = {**case.name, "against": reference.name, "auroc": found.first, "against_auroc": found.second}
    return {**told, "difference": found.value, "low": found.low, "high": found.high, "p": found.p}


def _fpr95_test(case: Case, reference: Case, replicates: int, seed: int) -> dict[str, float]:
    scores = (*case.scores, *aligned(reference, case))
    found = metrics.paired_bootstrap(*scores, _FPR95, replicates, seed, CONFIDENCE)["fpr95_id"]
    values = {"": found.first, "_against": found.second, "_difference": found.value}
    return {f"fpr95_id{k}": v for k, v in (values | {"_low": found.low, "_high": found.high, "_p": found.p}).items()}


def _corrected(tests: list[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Add Holm's p-values beside the plain ones."""
    for key in keys if tests else ():
        for test, p in zip(tests, metrics.holm([test[key] for test in tests]), strict=True):
            test[f"{key}_holm"] = float(p)
    return tests


def _measured_block(report: Report, block: list[Row], groups: Mapping[str, Any], protocol: str) -> list[Row]:
    """Compute the rows of one scorer on one ID set again, and their means; what is not ok stays as it is."""
    made = []
    for row in block:
        case = case_of(report, row)
        if case is not None:
            about = About(row.scorer, row.id, row.decider, row.notes, row.seconds)
            made += ood_rows(about, case.test, {row.ood: case.ood}, protocol)
        elif row.kind == "ood":
            made.append(row)
    return [replace(row, model=block[0].model) for row in (*made, *mean_rows(made, groups))]


def _repeated(report: Report, row: Row) -> tuple[str, ...]:
    """Tell what one row of several runs has in common."""
    return row.kind, row.id, row.ood, row.scorer, row.decider, row.model if "models" in report.header else ""


def _specs(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.scorer for row in rows))
