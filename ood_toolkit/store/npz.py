"""What a file of arrays may bring: embeddings, features, logits or ready scores, with labels, ids and a head."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.class_names import ClassNames, first_few, is_wordnet_id
from ood_toolkit.outputs.doubts import doubts_of_head, doubts_of_outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.outputs.outputs import SOURCE_LABELS
from ood_toolkit.store.foreign.arrays import listed, read_npz
from ood_toolkit.store.foreign.arrays import texts as names_of
from ood_toolkit.store.foreign.guard import guarded, in_file
from ood_toolkit.store.foreign.tables import read_table

__all__ = ["doubts_of_arrays", "head_of", "outputs_of", "read_import", "read_scores"]

FEATURES = ("embeddings", "features")
PARTS = ("logits", "text", "weight", "bias", "scale", "unit_rows")
OTHER_TABLES = (".npy", ".parquet", ".pq")
CLASSES = ("classes", "class_names", "names")
IDS = ("ids", "files", "paths")
MOST_CLASSES = 1 << 31
"""A label is below this, whatever it counts."""
BANK, WORDS = "bank.", "words."
"""What the arrays of further texts, and their strings, are called before the name."""
KEYS = (
    "embeddings | features | logits, labels, classes | class_names | names, ids | files, text, weight, bias, scale, "
    "unit_rows"
)


def read_import(
    file: Path, text: Path | None = None, head: Path | None = None, texts: Mapping[str, Path] | None = None
) -> dict[str, np.ndarray]:
    """Read and check the arrays of a set; images, texts and a linear head may lie in separate files.

    Gives `features` and/or `logits` (n, ...), `labels` (n,), `ids` (n,), `classes` (k,), and `text` (k, d) or
    `weight` (k, d) with `bias` (k,), and `scale`. Labels that are strings are looked up among the classes. Each of
    `texts` becomes the bank `bank.NAME` (m, d) or (p, k, d), with `words.NAME` where its strings are known.
    """
    with in_file(file), guarded(str(file), "arrays of a set of images"):
        return _import(file, text, head, texts or {})


def not_taken(file: Path) -> list[str]:
    """Name the arrays of an `.npz` file that an import passes over."""
    if file.is_dir() or file.suffix.lower() in OTHER_TABLES:
        return []
    taken = {*FEATURES, *PARTS, *CLASSES, *IDS, "labels"}
    return [name for name in read_npz(file) if name not in taken]


def _import(file: Path, text: Path | None, head: Path | None, banks: Mapping[str, Path]) -> dict[str, np.ndarray]:
    found = read_table(file)
    features = _first(found, FEATURES)
    arrays = {} if features is None else {"features": features}
    arrays |= {key: found[key] for key in PARTS if key in found}
    if not arrays.keys() & {"features", "logits"}:
        if not found and zipfile.is_zipfile(file):
            raise DataError(
                f"{file}: expected an .npz file, got a torch file or other archive; save its arrays with savez"
            )
        raise DataError(f"{file}: expected one of embeddings, features, logits; got {listed(found)} (keys: {KEYS})")
    rows = _rows(arrays)
    named = _names(found, CLASSES)
    truth = found.get("labels")
    if truth is not None and truth.dtype.kind in "SU":
        truth = names_of(truth, "labels")
    one_an_image = named is not None and len(named) == rows and "classes" not in found
    if named is not None and one_an_image and (truth is None or len(set(named.tolist())) < rows):
        truth, named = named, None
    if (ids := _names(found, IDS)) is not None:
        arrays["ids"] = ids
    if text is not None:
        arrays |= _text_head(text, named)
    if head is not None:
        arrays |= _linear_head(head)
    arrays |= _banks(banks)
    classes = arrays.pop("classes", named)
    if classes is not None:
        arrays["classes"] = classes
    if truth is not None:
        if truth.shape != (rows,) or truth.dtype.kind not in "iuU":
            raise DataError(
                f"{file}: labels: expected {rows} whole numbers or class names, one an image, "
                f"got {truth.dtype} of shape {truth.shape}"
            )
        arrays |= _labels(truth, named, arrays.get("classes"), file)
    outputs_of(arrays, head_of(arrays))  # its checks are ours
    return arrays


def _rows(arrays: Mapping[str, np.ndarray]) -> int:
    """Count the images of features or logits; `DataError` for one number, and for none."""
    key = "features" if "features" in arrays else "logits"
    if arrays[key].ndim == 0:
        raise DataError(f"{key}: expected rows (n, ...), an image each, got one number")
    if not len(arrays[key]):
        raise DataError("expected at least one row, an image each, got none")
    return len(arrays[key])


def read_scores(file: Path, name: str, key: str | None, *, lower_is_id: bool) -> dict[str, np.ndarray]:
    """Read ready scores (n,) of a set: the array `key`, else `scores`, NAME, id_NAME or ood_NAME."""
    found = read_table(file)
    wanted = [key] if key else ["scores", name, f"id_{name}", f"ood_{name}"]
    scores = _first(found, wanted)
    if scores is None:
        raise DataError(f"{file}: expected scores under {' | '.join(wanted)}, got {listed(found)}; name one with --key")
    if scores.ndim != 1 or scores.dtype.kind not in "fiu" or not len(scores):
        raise DataError(f"{file}: expected a row of finite scores, got {scores.dtype} of shape {scores.shape}")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        more = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        what = "NaN" if np.isnan(scores[bad[0]]) else str(scores[bad[0]])
        raise DataError(f"{file}: expected finite scores, got {what} at index {bad[0]}{more}; leave those rows out")
    values = scores.astype(np.float64)
    arrays = {"scores": -values if lower_is_id else values}
    with in_file(file):
        ids = _names(found, IDS)
    if ids is not None and len(ids) == len(values):
        arrays["ids"] = ids
    return arrays


def head_of(arrays: Mapping[str, np.ndarray]) -> Head | None:
    """Make the head that the arrays of a set describe: of its texts, or linear; None where there is neither."""
    names = arrays.get("classes")
    if "text" in arrays:
        if names is None:
            raise DataError("text: expected the class names beside it, under classes | class_names | names")
        scale = np.asarray(arrays.get("scale", 100.0))
        if scale.size != 1 or scale.dtype.kind not in "fiu":
            raise DataError(f"scale: expected one number, got {scale.dtype} of shape {scale.shape}")
        banks = {
            key.removeprefix(BANK): (arrays[WORDS + key.removeprefix(BANK)].tolist(), rows)
            if WORDS + key.removeprefix(BANK) in arrays
            else rows
            for key, rows in arrays.items()
            if key.startswith(BANK)
        }
        return Head.zero_shot(arrays["text"], names.tolist(), float(scale.reshape(())), texts=banks)
    if "weight" in arrays:
        listed = None if names is None else names.tolist()
        return Head.linear(arrays["weight"], arrays.get("bias"), listed, _flag(arrays, "unit_rows"))
    return None


def _flag(arrays: Mapping[str, np.ndarray], key: str) -> bool:
    """Read one truth value, False where there is none."""
    value = np.asarray(arrays.get(key, False))
    if value.size != 1 or value.dtype.kind not in "biu" or value.item() not in (0, 1):
        raise DataError(f"{key}: expected one truth value, got {value.dtype} of shape {value.shape}")
    return bool(value.item())


def outputs_of(arrays: Mapping[str, np.ndarray], head: Head | None) -> Outputs:
    """Make outputs of the arrays of a set under a head, with labels of that head's classes, or an OOD set's own."""
    features = arrays.get("features")
    if features is not None and head is not None and features.ndim == 2 and features.shape[1] != head.width:
        raise DataError(
            f"features: expected width {head.width} to fit the texts or weights, got {features.shape[1]}; "
            "they are of another model"
        )
    logits = arrays.get("logits")
    names = None if head is not None or logits is None or logits.ndim != 2 else arrays.get("classes")
    return Outputs(
        features=features,
        logits=logits,
        labels=arrays.get("labels") if head is not None or logits is not None else None,
        ids=arrays.get("ids"),
        extras={name: arrays[name] for name in (SOURCE_LABELS,) if name in arrays},
        head=head if features is not None else None,
        class_names=None if names is None or len(names) != arrays["logits"].shape[1] else names.tolist(),
    )


def doubts_of_arrays(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Say what looks like a mistake in the arrays of a set: of its head, features, logits, labels or scores."""
    if "scores" in arrays:
        scores = arrays["scores"]
        return [f"all {len(scores):,} scores are equal"] if len(scores) > 1 and (scores == scores[0]).all() else []
    head = head_of(arrays)
    x = outputs_of({key: array for key, array in arrays.items() if key != "labels"}, head)
    return [*doubts_of_head(head), *doubts_of_outputs(x), *_doubts_of_labels(arrays)]


def _doubts_of_labels(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Count the labels of -1, and name those that were given as names and are none of the classes."""
    labels, given = arrays.get("labels"), arrays.get("source_names")
    if labels is None:
        return []
    notes, strange = [], labels < 0
    if given is not None:
        lacking = sorted({one for one in given[strange].tolist() if one and not is_wordnet_id(one)})
        strange = strange & (given == "")
        if lacking:
            called = first_few(arrays["classes"].tolist())
            notes.append(f"the labels {first_few(lacking)} are none of its classes {called}: it cannot be an ID set so")
    if count := int(strange.sum()):
        share = f"{100 * count / len(labels):.1f} %"
        notes.append(f"{count:,} of its {len(labels):,} labels are -1 ({share}): the class of these is not known")
    return notes


def _text_head(file: Path, named: np.ndarray | None) -> dict[str, np.ndarray]:
    found = read_table(file)
    text = _first(found, ("text", *FEATURES))
    with in_file(file):
        names = _names(found, CLASSES)
    if text is None:
        raise DataError(f"{file}: expected text embeddings under text | embeddings, got {listed(found)}")
    names = named if names is None else names
    if names is None or len(names) != len(np.atleast_1d(text)):
        got = "none" if names is None else str(len(names))
        raise DataError(f"{file}: expected {len(np.atleast_1d(text))} class names for its texts, got {got}")
    scale = {"scale": found["scale"]} if "scale" in found else {}
    return {"text": text, "classes": names, **scale}


def _banks(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read further texts: embeddings and, where there are as many as rows, the strings."""
    arrays = {}
    for name, file in files.items():
        found = read_table(file)
        with in_file(file):
            rows, words = _first(found, ("text", *FEATURES)), _names(found, ("texts", *CLASSES))
        if rows is None:
            raise DataError(f"{file}: expected embeddings of texts under text | embeddings, got {listed(found)}")
        arrays[BANK + name] = rows
        if rows.ndim < 2 or not rows.shape[-1]:
            raise DataError(f"{file}: expected embeddings of texts, (m, d) or (p, k, d), got shape {rows.shape}")
        if words is not None and len(words) == rows[..., 0].size:
            arrays[WORDS + name] = words
    return arrays


def _linear_head(file: Path) -> dict[str, np.ndarray]:
    found = read_table(file)
    if "weight" not in found:
        raise DataError(f"{file}: expected weight and bias of a linear head, got {listed(found)}")
    with in_file(file):
        names = _names(found, CLASSES)
    held = {k: found[k] for k in ("weight", "bias", "unit_rows") if k in found}
    return held | ({} if names is None else {"classes": names})


def _labels(
    truth: np.ndarray, named: np.ndarray | None, classes: np.ndarray | None, file: Path
) -> dict[str, np.ndarray]:
    """Give labels as places among the head's classes; names that have no place there are kept as `source_names`."""
    if truth.dtype.kind not in "U":
        low, high = int(truth.min()), int(truth.max())
        if low < -1 or high >= (MOST_CLASSES if named is None else len(named)):
            many = "" if named is None else f"{len(named)} "
            row = int(truth.argmin() if low < -1 else truth.argmax())
            raise DataError(
                f"{file}: labels: expected indices of its {many}classes, got {low} ... {high} (row {row}: {truth[row]})"
            )
        if named is None or classes is None or list(named) == list(classes):
            return {"labels": truth}
        truth = np.append(named.astype(str), "")[truth]
        known = ClassNames(classes.tolist())
        absent = [name for name in sorted(set(truth.tolist()) - {""}) if known.place(name, str(file)) < 0]
        if absent and not all(map(is_wordnet_id, absent)):  # ids are looked up where the list of them is
            raise DataError(f"{file}: class {absent[0]!r} has no text or weight; its classes and the head's differ")
    if classes is None:
        return {"source_names": truth}
    known = ClassNames(classes.tolist())
    places = {name: known.place(name, str(file)) if name else -1 for name in set(truth.tolist())}
    labels = np.array([places[name] for name in truth.tolist()], dtype=np.int64)
    return {"labels": labels, "source_names": truth}


def _first(found: Mapping[str, np.ndarray], keys: Sequence[str]) -> np.ndarray | None:
    return next((found[key] for key in keys if key in found), None)


def _names(found: Mapping[str, Any], keys: Sequence[str]) -> np.ndarray | None:
    """Return the first of these arrays as (n,) strings; `DataError` where it is no row of names."""
    key = next((key for key in keys if key in found), None)
    return None if key is None else names_of(found[key], key)
