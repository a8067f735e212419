"""Guards: what plugins hand over is checked where it comes in, and an error names the plugin."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.model import Model, ModelEntry
from ood_toolkit.errors import DataError, ModelError, OodkitError, PluginError, ScorerError, kind_of, one_line

__all__ = ["check_loaded", "check_needs_words", "check_pictures", "guarded_dataset", "guarded_model"]

REQUIRED = ("name", "fingerprint", "preprocessing")
"""Attributes of a model that have no default."""


def check_needs_words(needs: object, who: str) -> None:
    """Refuse needs that are no set of words; a string would be taken for its letters."""
    if isinstance(needs, str):
        raise ScorerError(
            f"{who}: needs: expected a set of words, got the text {needs!r}; write frozenset({{{needs!r}}})"
        )
    if not isinstance(needs, set | frozenset) or not all(isinstance(word, str) for word in needs):
        raise ScorerError(f"{who}: needs: expected a frozenset of words, got {needs!r}")


def check_pictures(pictures: object, split: str, classes: tuple[str, ...] = ()) -> Pictures:
    """Refuse what is no `Pictures` with one distinct id, and one label if any, for each picture; `DataError`."""
    if not isinstance(pictures, Pictures):
        raise DataError(f"open({split!r}): expected Pictures, got {kind_of(pictures)}")
    count = len(pictures.items)
    if count == 0:
        raise DataError(f"open({split!r}): expected at least one picture, got none")
    if len(pictures.ids) != count:
        raise DataError(f"open({split!r}): got {len(pictures.ids)} ids for {count} pictures; give each its own")
    strange = [one for one in pictures.ids if not isinstance(one, str) or not one]
    if strange:
        raise DataError(f"open({split!r}): expected ids that are texts, got {strange[0]!r}")
    if len(set(pictures.ids)) != count:
        seen: set[str] = set()
        twice = next(one for one in pictures.ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        more = count - len(set(pictures.ids))
        raise DataError(
            f"open({split!r}): id {twice!r} is there twice ({more} of {count} repeat one); give distinct ids"
        )
    if pictures.labels is not None:
        _check_labels(np.asarray(pictures.labels), count, len(pictures.classes or classes), split)
    return pictures


def _check_labels(labels: np.ndarray, count: int, classes: int, split: str) -> None:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        got = f"{labels.dtype} of shape {labels.shape}"
        raise DataError(f"open({split!r}): labels: expected {count} whole numbers, one a picture, got {got}")
    if labels.min() < -1 or labels.max() >= classes:
        raise DataError(
            f"open({split!r}): labels: expected -1 to {classes - 1} for {classes} classes, got {labels.min()} to "
            f"{labels.max()}"
        )


def check_loaded(model: object) -> Model:
    """Refuse what is no `Model`, or lacks an attribute that its features are stored by; `ModelError`."""
    if not isinstance(model, Model):
        raise ModelError(f"load: expected a Model, got {kind_of(model)}")
    for name in REQUIRED:
        if getattr(model, name, None) in (None, ""):
            raise ModelError(f"load: {type(model).__name__} lacks the attribute {name}; its features are stored by it")
    return model


class Guarded:
    """A plugin's function with what it gives checked and its errors named; equal to the function itself."""

    def __init__(self, inner: Callable[..., Any], who: str, check: Callable[..., Any]) -> None:
        self.__wrapped__ = inner
        self.who, self.check = who, check

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function and check what it gives."""
        module = getattr(self.__wrapped__, "__module__", None) or ""
        return _called(lambda: self.check(self.__wrapped__(*arguments, **options), *arguments), self.who, module)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == (other.__wrapped__ if isinstance(other, Guarded) else other))

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


def guarded_dataset(dataset: DataSet, plugin: str) -> DataSet:
    """Give the data set with an `open` whose result is checked, and whose errors name the plugin."""

    def check(pictures: object, split: str, *_: object) -> Pictures:
        return check_pictures(pictures, split, dataset.classes)

    who = f"plugin {plugin!r}: data set {dataset.name!r}"
    return replace(dataset, open=Guarded(dataset.open, who, check))


def guarded_model(entry: ModelEntry, plugin: str) -> ModelEntry:
    """Give the entry with a `load` whose result is checked, and whose errors name the plugin."""

    def check(model: object, *_: object) -> Model:
        if isinstance(model, Model) and getattr(model, "name", None) is None:
            model.name = entry.name
        return check_loaded(model)

    who = f"plugin {plugin!r}: model {entry.name!r}"
    files = None if entry.files is None else Guarded(entry.files, who, _check_files)
    return replace(entry, load=Guarded(entry.load, who, check), files=files)


def _check_files(files: object, *_: object) -> Sequence[os.PathLike[str]] | None:
    """Refuse what names no files; `ModelError`."""
    if files is None:
        return None
    if isinstance(files, str) or not isinstance(files, Sequence) or not all(hasattr(f, "__fspath__") for f in files):
        raise ModelError(f"files: expected paths of files, or None, got {kind_of(files)}")
    return files


def _called(call: Callable[[], Any], who: str, module: str) -> Any:
    """Call into a plugin's module; what it raises names the plugin, and keeps its type where that is one of ours."""
    try:
        return call()
    except OodkitError as error:
        _renamed(error, who)
    except Exception as error:
        raise PluginError(f"{who}: {one_line(error, module)}") from error


def _renamed(error: OodkitError, who: str) -> NoReturn:
    """Raise an error of ours again with the plugin in front, its attributes kept."""
    if not str(error).startswith("plugin "):
        error.args = (f"{who}: {error}", *error.args[1:])
    raise error
