"""`Gate`: a model with a detector behind it: pictures in, decisions out."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ood_toolkit.api.model import Model
from ood_toolkit.api.registry import get_registry
from ood_toolkit.detectors.decisions import Decisions, empty, merged
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.identity import check_same_model
from ood_toolkit.detectors.pictures import Item, items_of, prepared
from ood_toolkit.errors import DataError, DetectorError, ModelError, OodkitError, one_line, refusal
from ood_toolkit.models.names import find_model
from ood_toolkit.outputs.classifier import find_layer, logits_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Gate"]

KINDS = ("pre_projection", "local")
AHEAD = 2
"""Batches that are read and decoded while the network is busy with one."""
Prepared = Tensor | str
"""A picture as the network takes it, (c, h, w), or why it cannot be read."""


class Gate:
    """A model and a detector as one warm object, which threads may share: it holds no lock and keeps nothing of a call.

    `model` is one of ours or any torch classifier that returns logits, a dict with `logits`, or an object with
    `.logits`; it is put in eval mode and stays so. For a torch module `preprocess` turns a PIL image, in RGB and
    upright, into its input (c, h, w).
    """

    def __init__(
        self,
        model: Model | nn.Module,
        detector: Detector,
        *,
        preprocess: Callable[[Image], Tensor] | None = None,
        batch: int = 32,
        workers: int | None = None,
        device: str = "cpu",
    ) -> None:
        """Check once that the model is the one whose outputs the detector was fitted on; `DetectorError` if not.

        `batch` images go through the network together, `workers` threads decode, by default one a core; `device` is
        where the network runs.
        """
        if batch < 1:
            raise DetectorError(f"batch: expected at least 1, got {batch}")
        if isinstance(model, Model):
            check_same_model(detector.encoder, model, detector.scorer.spec)
            if preprocess is not None:
                raise DetectorError(f"{model.name}: has its own preprocessing; leave preprocess out")
            self.network: _Network = _OfModel(model, detector)
        elif isinstance(model, nn.Module):
            self.network = _OfModule(model, detector, preprocess)
        else:
            raise DetectorError(f"model: expected a Model or a torch module, got {type(model).__name__}")
        self.model, self.detector, self.batch = model, detector, batch
        self.workers = workers or os.cpu_count() or 1
        self.device = "cpu"
        if device != "cpu":
            self.to(device)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, download: bool = False, device: str = "cpu", **how: Any) -> Gate:
        """Load the detector in `path` and the model that it names; other weights than the file's are refused.

        `download` lets weights be fetched that are not here; `device` and `how` are as for `Gate`. `DetectorError`
        where the file names no model, as for imported arrays: load it and make a `Gate` of both; `ModelError` where the
        weights cannot be read.
        """
        detector = Detector.load(path)
        name, hint = detector.encoder.get("model"), f"Gate(model, Detector.load({str(path)!r}))"
        if name is None:
            raise DetectorError(f"{path}: names no model; load it and make {hint}")
        try:
            choice = find_model(str(name), get_registry(), download=download)
        except ModelError as error:
            if "weights" not in detector.encoder:
                raise DetectorError(f"{path}: fitted on arrays of {name!r}; load that model and make {hint}") from None
            raise DetectorError(f"{path}: {error}") from None
        return cls(choice.load(), detector, device=device, **how)

    def __repr__(self) -> str:
        name = self.model.name if isinstance(self.model, Model) else type(self.model).__name__
        return f"Gate({name}, {self.detector!r})"

    def to(self, device: str) -> Gate:
        """Move model and detector to a device, and give this gate."""
        self.model.to(device)
        self.detector = self.detector.to(device)
        self.network.detector, self.device = self.detector, device
        return self

    def decide(self, pictures: Any) -> Decisions:
        """Decide on one picture or many: PIL images, paths, bytes, arrays, tensors, a loader, an iterator of these.

        Tensors (c, h, w) and batches of them are taken as preprocessed. A picture that cannot be read is rejected with
        the reason; no pictures give no decisions. Only columns of numbers are kept in memory, not pictures.
        `DetectorError` for what is no picture at all, and where the model's outputs do not fit.
        """
        return Decisions.joined(self.stream(pictures)) if not _is_none(pictures) else empty(self._names)

    __call__ = decide

    def stream(self, pictures: Any) -> Iterator[Decisions]:
        """Decide on pictures as `decide`, one batch after the other, in constant memory; `DetectorError` as there."""
        done, items = 0, items_of(pictures)
        first = list(islice(items, 2))
        if len(first) < 2:  # one picture waits for no thread
            loaded: Iterator[list[tuple[Item, Prepared]]] = iter([[(one, self.prepare(one)) for one in first]])
        else:
            loaded = self._loaded(_chained(first, items))
        for batch in loaded:
            if batch:
                yield self._decided(batch, done)
                done += len(batch)

    def prepare(self, item: Item) -> Prepared:
        """Read and decode one item; a picture that cannot be read gives the reason in the place of a tensor.

        `DetectorError` where the model has no preprocessing and the item is no tensor.
        """
        try:
            return prepared(item, self.network.preprocess, self.network.size)
        except DetectorError:
            raise
        except DataError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {refusal(error) or one_line(error)}"
        except MemoryError:
            return "takes more memory than there is"

    def decide_prepared(self, batch: Sequence[tuple[Item, Prepared]], first: int = 0) -> Decisions:
        """Decide on pictures that `prepare` made ready, all in one batch; `first` is the number of the first."""
        return self._decided(list(batch), first) if batch else empty(self._names)

    def pool(self) -> ThreadPoolExecutor:
        """Make the threads in which pictures are prepared."""
        alone = (torch.get_num_threads(),)
        return ThreadPoolExecutor(self.workers, "gate", initializer=_one_thread_each, initargs=alone)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.detector.class_names or ()

    def _loaded(self, items: Iterable[Item]) -> Iterator[list[tuple[Item, Prepared]]]:
        """Read and decode in threads, a few batches ahead of the network."""
        waiting: deque[list[tuple[Item, Future[Prepared]]]] = deque()
        iterator = iter(items)
        with self.pool() as pool:
            try:
                while batch := [(one, pool.submit(self.prepare, one)) for one in islice(iterator, self.batch)]:
                    waiting.append(batch)
                    if len(waiting) > AHEAD:
                        yield [(one, future.result()) for one, future in waiting.popleft()]
                while waiting:
                    yield [(one, future.result()) for one, future in waiting.popleft()]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _decided(self, batch: list[tuple[Item, Prepared]], first: int) -> Decisions:
        """Decide on one batch, in which inputs of one shape go through the network together."""
        named = any(item.name for item, _ in batch)
        ids = np.array([item.name or str(first + row) for row, (item, _) in enumerate(batch)]) if named else None
        reasons = {row: found for row, (_, found) in enumerate(batch) if isinstance(found, str)}
        shapes: dict[Any, list[int]] = {}
        for row, (_, found) in enumerate(batch):
            if isinstance(found, Tensor):
                shapes.setdefault((found.shape, found.dtype), []).append(row)
        parts: list[Decisions] = []
        good: list[int] = []
        for rows in shapes.values():
            for some, said in self._run(rows, [batch[row][1] for row in rows]):
                if isinstance(said, str):
                    reasons |= dict.fromkeys(some, said)
                else:
                    parts.append(said)
                    good += some
        scored = Decisions.joined(parts) if parts else empty(self._names)
        if not reasons and good == list(range(len(batch))):
            return replace(scored, given_ids=ids, first=first)
        return replace(merged(scored, good, reasons, ids), first=first)

    def _run(self, rows: list[int], inputs: list[Any]) -> Iterator[tuple[list[int], Decisions | str]]:
        """Run the network; where it cannot take a batch, one input after the other, to tell which it is."""
        try:
            yield rows, self.network.decide(torch.stack(inputs).to(self.device))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            if isinstance(error, OodkitError):
                raise
            if len(rows) == 1:
                yield rows, f"not scored: the model cannot take it: {one_line(error)[:200]}"
                return
            for row, one in zip(rows, inputs, strict=True):
                yield from self._run([row], [one])


class _Network(ABC):
    """What a gate does with a batch of inputs."""

    preprocess: Callable[[Image], Tensor] | None = None
    size: int | None = None
    """Shorter side that pictures are resized to, where it is known: a large JPEG is decoded smaller."""
    detector: Detector

    @abstractmethod
    def decide(self, batch: Tensor) -> Decisions:
        """Decide on a batch that was preprocessed."""


class _OfModel(_Network):
    """A model of ours: its image tower, then the detector's head."""

    def __init__(self, model: Model, detector: Detector) -> None:
        self.model, self.detector = model, detector
        self.preprocess, self.size = model.preprocess, model.image_size or None
        self.kinds = ("features", *(kind for kind in KINDS if f"extra:{kind}" in detector.scorer.needs))

    def decide(self, batch: Tensor) -> Decisions:
        with torch.inference_mode():
            given: Mapping[str, Tensor] = self.model.encode(batch, self.kinds, self.detector.head)
        extras = {kind: given[kind].float() for kind in self.kinds[1:]}
        return self.detector.decide_rows(given["features"].float(), extras)


class _OfModule(_Network):
    """A torch classifier: its logits, or what enters its last linear layer and then the detector's head."""

    def __init__(self, module: nn.Module, detector: Detector, preprocess: Callable[[Image], Tensor] | None) -> None:
        self.module, self.detector, self.preprocess = module.eval(), detector, preprocess
        self.wants_features = bool(detector.scorer.needs & {"features", "head", "linear_head", "nonnegative_features"})
        extras = [need for need in detector.scorer.needs if need.startswith("extra:")]
        if extras:
            raise DetectorError(f"{detector.scorer.spec}: needs {extras[0]}, which a torch module does not give")
        self.seen = threading.local()
        name, layer = find_layer(module)
        self._check_head(name, layer)
        if self.wants_features:
            if not isinstance(layer, nn.Linear):
                raise DetectorError(f"{detector.scorer.spec}: needs features, and the module has no linear layer")
            weakref.finalize(self, layer.register_forward_hook(_keeping(self.seen)).remove)

    def _check_head(self, name: str, layer: nn.Module | None) -> None:
        head = self.detector.head
        if head is None or not isinstance(layer, nn.Linear) or layer.out_features != head.classes:
            return
        if not torch.equal(layer.weight.detach().cpu().float(), head.weight.cpu().float()):
            raise DetectorError(
                f"{self.detector.scorer.spec}: fitted with another head than layer {name!r} of this module: it is of "
                "another model"
            )

    def decide(self, batch: Tensor) -> Decisions:
        self.seen.features = None
        with torch.inference_mode():
            logits = logits_of(self.module(batch))
        if not self.wants_features:
            return self.detector.decide_rows(logits.float(), is_features=False)
        features: Tensor | None = self.seen.features
        self.seen.features = None
        if features is None:
            raise DetectorError(f"{self.detector.scorer.spec}: the module's last linear layer did not run")
        return self.detector.decide_rows(features.flatten(1).float())


def _keeping(seen: threading.local) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
    """Give a hook that keeps what enters a layer, for the thread that it runs in."""

    def keep(layer: nn.Module, given: tuple[Any, ...], out: object) -> None:
        seen.features = given[0].detach()

    return keep


def _is_none(x: Any) -> bool:
    return hasattr(x, "__len__") and not isinstance(x, str | bytes) and len(x) == 0


def _chained(first: list[Item], rest: Iterable[Item]) -> Iterator[Item]:
    yield from first
    yield from rest


def _one_thread_each(others: int) -> None:
    """Keep torch from splitting one picture's arithmetic over all cores: there are as many pictures as threads.

    What is set last holds for threads that begin later, which are not ours: they get what they had.
    """
    torch.set_num_threads(1)
    last = threading.Thread(target=torch.set_num_threads, args=(others,))
    last.start()
    last.join()
