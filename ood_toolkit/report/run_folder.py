"""Run folders, written and read back: what a benchmark found, with every image's scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import DataError, refusal
from ood_toolkit.report.gallery import FOLDER, Gallery, read_gallery, write_gallery
from ood_toolkit.report.results import SCHEMA, Answers, Row, name_on_disk, to_json
from ood_toolkit.report.run_header import check_header, csid_names, id_names, parts_of
from ood_toolkit.report.shapes import is_number
from ood_toolkit.store.files import replaced_folder
from ood_toolkit.store.foreign.arrays import listed, read_npz
from ood_toolkit.store.foreign.guard import quoted
from ood_toolkit.store.foreign.objects import json_kind, read_json

__all__ = ["Run", "answers_of_run", "check_new_folder", "read_run", "write_run"]

ROW_TYPES: Mapping[str, tuple[type, ...]] = {
    "kind": (str,), "scorer": (str,), "id": (str,), "ood": (str,), "decider": (str,), "model": (str,),
    "status": (str,), "notes": (list,), "n_id": (int,), "n_ood": (int,), "seconds": (int, float), "metrics": (dict,),
}  # fmt: skip
KINDS, STATES = ("ood", "mean", "misclassification"), ("ok", "skipped", "failed")


@dataclass(frozen=True, eq=False)
class Run:
    """What a run folder holds."""

    name: str
    """The folder's path, as it was given."""
    header: Mapping[str, Any]
    """As in `Report.header`."""
    rows: list[Row]
    """As in `Report.rows`."""
    answers: Mapping[tuple[str, ...], Answers]
    """As in `Report.answers`."""
    gallery: Gallery | None = None
    """As in `Report.gallery`."""


def check_new_folder(folder: str | os.PathLike[str]) -> Path:
    """Refuse a run folder that already holds something."""
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"{path}: expected a new or empty folder, it holds something already; name another")
    return path


def write_run(
    folder: str | os.PathLike[str],
    header: Mapping[str, Any],
    rows: list[Row],
    answers: Mapping[tuple[str, ...], Answers],
    gallery: Gallery | None = None,
) -> None:
    """Write a run folder, whole or not at all: `result.json`, `scores/[<model>/]<id>/<set>.npz`, and thumbnails."""
    with replaced_folder(check_new_folder(folder), keep=False) as partial:
        (partial / "result.json").write_text(to_json(header, rows))
        for (*folders, set_name), said in answers.items():
            file = Path(partial, "scores", *map(name_on_disk, folders), f"{name_on_disk(set_name)}.npz")
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, **_columns(said))
        if gallery is not None:
            write_gallery(partial / FOLDER, gallery)


def _columns(said: Answers) -> dict[str, Any]:
    optional = {
        "prediction": None if said.prediction is None else said.prediction.astype(str),
        "confidence": said.confidence,
        "right": said.right,
        "label": None if said.truth is None else said.truth.astype(str),
        "source": None if said.source is None else said.source.astype(str),
    }
    scores = {
        "scorers": np.array(list(said.scores), dtype=str),
        "scores": np.array(list(said.scores.values())),
    }
    pairs = [(spec, ood, held) for ood, by_spec in said.streamed.items() for spec, held in by_spec.items()]
    if pairs:
        scores["stream_scorers"] = np.array([spec for spec, _, _ in pairs], dtype=str)
        scores["stream_ood"] = np.array([ood for _, ood, _ in pairs], dtype=str)
        scores["stream_scores"] = np.array([held for _, _, held in pairs])
    if said.accepted:
        undecided = np.zeros(len(said), dtype=bool)  # of ready scores, which have no cut either
        scores["accepted"] = np.array([said.accepted.get(spec, undecided) for spec in said.scores])
    if said.cuts:
        scores["cuts"] = np.array([said.cuts.get(spec, np.nan) for spec in said.scores])
    if said.classes is not None and said.class_cuts:
        scores["classes"] = said.classes.astype(str)
        scores["class_cut_scorers"] = np.array(list(said.class_cuts), dtype=str)
        scores["class_cuts"] = np.array(list(said.class_cuts.values()))
    return {"ids": said.ids.astype(str)} | {k: v for k, v in optional.items() if v is not None} | scores


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder that `write_run` wrote.

    Only files that `result.json` speaks of are opened, under names made here, and nothing is unpickled. Raises
    `DataError` with one line for what is missing, unreadable or contradicts itself.
    """
    header, rows = _result(Path(folder) / "result.json")
    path = Path(folder)
    answers = dict(_each_set(path, header, rows))
    return Run(os.fspath(folder), header, rows, answers, read_gallery(path / FOLDER))


def answers_of_run(folder: str | os.PathLike[str]) -> Iterator[tuple[tuple[str, ...], Answers]]:
    """Read what was said of every image, one set after the other; keys, files and errors are as for `read_run`."""
    header, rows = _result(Path(folder) / "result.json")
    return _each_set(Path(folder), header, rows)


def _each_set(path: Path, header: Mapping[str, Any], rows: list[Row]) -> Iterator[tuple[tuple[str, ...], Answers]]:
    for key in _keys(header, rows):
        file = Path(path, "scores", *map(name_on_disk, key[:-1]), f"{name_on_disk(key[-1])}.npz")
        if _is_there(file):
            yield key, _answers(file)


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:  # a name that no file can have
        raise DataError(f"{file.parent}: expected names that files can have, got {_first_line(error)}") from None


def _keys(header: Mapping[str, Any], rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Name all answers that a run may hold, each once."""
    seen = set()
    for begin, part in parts_of(header):
        names, ood = id_names(part), [f"ood:{name}" for name in part["ood"]]
        for name in names:
            others = [f"{kind}:{other}" for other in names if other != name for kind in ("test", "val")]
            shifted = [f"csid:{other}" for other in csid_names(part)]
            seen |= {(*begin, name, key) for key in ("test", "val", *ood, *shifted, *others)}
        for row in rows:
            if row.decider and row.decider not in names and (not begin or row.model == begin[0]):
                seen |= {(*begin, f"{row.decider}+{row.scorer}", key) for key in ("test", *ood)}
    yield from sorted(seen)


def _result(file: Path) -> tuple[dict[str, Any], list[Row]]:
    if not _is_there(file):
        raise DataError(
            f"{file.parent}: expected a run folder, which holds result.json; `oodkit bench --output` writes one"
        )
    found = read_json(file)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        got = repr(found.get("schema")) if isinstance(found, dict) else json_kind(type(found))
        raise DataError(f"{file}: expected a result of schema {SCHEMA}, got {got}; read it with its own version")
    listed = found.pop("rows", None)
    found.pop("schema")
    if not isinstance(listed, list):
        raise DataError(f"{file}: rows: expected a list, got {json_kind(type(listed))}")
    check_header(file, found)
    return found, [_row(file, place, one) for place, one in enumerate(listed)]


def _got(value: object) -> str:
    """Write a number, and name another value by its kind."""
    return quoted(value, 40) if type(value) in (int, float) else json_kind(type(value))


def _row(file: Path, place: int, found: Any) -> Row:
    where = f"{file}: row {place}"
    if not isinstance(found, dict) or not {"kind", "scorer", "id"} <= found.keys():
        raise DataError(f"{where}: expected an object with kind, scorer and id")
    known = {key: value for key, value in found.items() if key in ROW_TYPES}
    for key, value in known.items():
        number = isinstance(value, int | float) and not is_number(value)
        if not isinstance(value, ROW_TYPES[key]) or isinstance(value, bool) or number:
            wanted = "a whole number" if ROW_TYPES[key] == (int,) else json_kind(ROW_TYPES[key][0])
            raise DataError(f"{where}: {key}: expected {wanted}, got {_got(value)}")
    if known["kind"] not in KINDS or known.get("status", "ok") not in STATES:
        raise DataError(f"{where}: unknown kind {known['kind']!r} or status {known.get('status')!r}")
    metrics = known.get("metrics", {})
    for key, value in metrics.items():
        if value is not None and not is_number(value):
            raise DataError(f"{where}: {key}: expected a number, got {_got(value)}")
    numbers = {key: float("nan") if value is None else float(value) for key, value in metrics.items()}
    return Row(**{**known, "notes": tuple(map(str, known.get("notes", ()))), "metrics": numbers})


def _answers(file: Path) -> Answers:
    arrays = read_npz(file)
    ids = _column(file, arrays, "ids", "U")
    if ids is None:
        raise DataError(f"{file}: expected the ids of its images under ids, got {listed(arrays)}")
    n = len(ids)
    said = Answers(ids, prediction=_column(file, arrays, "prediction", "U", n))
    said.confidence, said.right = _column(file, arrays, "confidence", "f", n), _column(file, arrays, "right", "b", n)
    said.truth, said.source = _column(file, arrays, "label", "U", n), _column(file, arrays, "source", "U", n)
    specs = _names(file, arrays, "scorers")
    said.scores = dict(zip(specs, _table(file, arrays, "scores", "f", len(specs), n), strict=True))
    if "accepted" in arrays:
        said.accepted = dict(zip(specs, _table(file, arrays, "accepted", "b", len(specs), n), strict=True))
    _read_cuts(file, arrays, said, specs)
    pairs = list(zip(_names(file, arrays, "stream_ood"), _names(file, arrays, "stream_scorers"), strict=False))
    table = _table(file, arrays, "stream_scores", "f", len(pairs), n)
    for (ood, spec), scores in zip(pairs, table, strict=True):
        said.streamed.setdefault(ood, {})[spec] = scores
    return said


def _read_cuts(file: Path, arrays: Mapping[str, Any], said: Answers, specs: list[str]) -> None:
    """Take in the thresholds, which runs of before they were written lack."""
    cuts = _column(file, arrays, "cuts", "f", len(specs), "a scorer")
    if cuts is not None:
        said.cuts = {spec: float(cut) for spec, cut in zip(specs, cuts, strict=True) if not np.isnan(cut)}
        said.accepted = {spec: held for spec, held in said.accepted.items() if spec in said.cuts}
    said.classes, by_class = (
        _column(file, arrays, "classes", "U", of="a class"),
        _names(file, arrays, "class_cut_scorers"),
    )
    if said.classes is not None:
        table = _table(file, arrays, "class_cuts", "f", len(by_class), len(said.classes))
        said.class_cuts = dict(zip(by_class, table, strict=True))


def _column(
    file: Path, arrays: Mapping[str, Any], name: str, kind: str, n: int | None = None, of: str = "an image"
) -> np.ndarray | None:
    """Give an array of one value an image, or of something else, None where there is none."""
    if name not in arrays:
        return None
    array = arrays[name]
    right = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind == kind
    if not right or n not in (None, len(array)):
        raise DataError(f"{file}: {name}: expected one value {of}, got {_shape(array)}")
    return array


def _names(file: Path, arrays: Mapping[str, Any], name: str) -> list[str]:
    array = arrays.get(name, np.zeros(0, dtype=str))
    if not isinstance(array, np.ndarray) or array.ndim != 1 or (len(array) and array.dtype.kind != "U"):
        raise DataError(f"{file}: {name}: expected a list of names, got {_shape(array)}")
    return [str(one) for one in array]


def _table(file: Path, arrays: Mapping[str, Any], name: str, kind: str, rows: int, n: int) -> np.ndarray:
    """Give an array (rows, n); any empty one where no row is wanted."""
    array = arrays.get(name)
    if rows == 0:
        return np.zeros((0, n))
    if not isinstance(array, np.ndarray) or array.shape != (rows, n) or array.dtype.kind != kind:
        raise DataError(f"{file}: {name}: expected {rows} rows of {n} values, got {_shape(array)}")
    return array


def _shape(array: Any) -> str:
    return f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "no array"


def _first_line(error: BaseException) -> str:
    if isinstance(error, OSError) and (why := refusal(error)):
        return why
    return (str(error).splitlines() or [""])[0] or type(error).__name__
