"""`learn`: a task, step by step: one order for a seed, gradients of whole batches, checkpoints, the same end again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ood_toolkit.errors import TrainingError
from ood_toolkit.learning.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ood_toolkit.learning.ranks import Ranks
from ood_toolkit.models.precision import autocast

__all__ = ["Batch", "Plan", "Task", "check_plan", "learn", "seeded"]

Batch = dict[str, Tensor]
"""Row-aligned tensors by name."""
Epoch = dict[str, float]
"""What an epoch ended with, by name."""


@dataclass(frozen=True)
class Plan:
    """How a task is learnt."""

    epochs: int = 10
    batch: int = 256
    """Examples in a step, all processes together, or all there are, which each epoch then says under `batch`; the rest
    of an epoch that fills no batch is left out."""
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.0
    decay_vectors: bool = False
    """Whether biases, norms and the logit scale decay too."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    """Of SGD."""
    warmup: int = 0
    """Steps in which the rate rises; after them it falls along half a cosine to 0."""
    warmup_rate: float | None = None
    """A constant rate during the warm-up in place of a rise."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = 1
    """Parts that a batch is embedded in, one after the other; the gradient stays that of the whole batch."""
    seed: int = 0
    checkpoint_every: int = 0
    """Steps between checkpoints, beside the one at each epoch's end; 0: only there."""


class Task(ABC):
    """What is learnt, and from what."""

    rows: int
    """How many examples there are."""

    @abstractmethod
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Name what is trained; all else stays as it is."""

    @abstractmethod
    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load the examples of some rows, on the CPU; random choices depend on the seed, the epoch and the row alone.

        Called in a thread, one batch ahead.
        """

    @abstractmethod
    def embed(self, batch: Batch) -> Batch:
        """Run the towers on a part of a batch: float32 rows by name."""

    @abstractmethod
    def loss(self, held: Batch) -> dict[str, Tensor]:
        """Give the losses of a whole batch by name, `loss` being what is minimised; the others are shown beside it."""

    def validate(self) -> Epoch:
        """Measure at the end of an epoch what is worth showing."""
        return {}


def seeded(*parts: object) -> torch.Generator:
    """Make a generator that these parts, such as seed and epoch, decide."""
    import hashlib

    digest = hashlib.sha256(repr(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def check_plan(plan: Plan, rows: int, world: int = 1) -> None:
    """Refuse a plan whose batch cannot be shared, or that ends before its learning rate has risen."""
    steps = plan.epochs * (rows // _batch(plan, rows, world))
    if steps <= plan.warmup:
        raise TrainingError(
            f"warmup: expected fewer than the {steps:,} steps of this run ({rows:,} examples, batch {plan.batch}, "
            f"{plan.epochs} epochs), got {plan.warmup}; give --warmup, or a smaller --batch or more --epochs"
        )


def _batch(plan: Plan, rows: int, world: int) -> int:
    batch, parts = min(plan.batch, rows), plan.accumulate
    if batch % (world * parts):
        raise TrainingError(f"batch: expected a multiple of {world} processes times {parts} parts, got {batch}")
    return batch


def learn(
    task: Task,
    plan: Plan,
    ranks: Ranks | None = None,
    *,
    folder: Path | None = None,
    identity: str = "",
    resume: bool = False,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Learn a task and return what each epoch ended with: means of its losses, and what `validate` measured.

    With a folder, checkpoints are written there, and `resume` goes on from the last one; the weights at the end are
    those of a run that was never stopped. `identity` says what else decides the run: a checkpoint of another is
    refused. `TrainingError` for a plan that cannot be followed, and for a loss that is not finite.
    """
    return _Run(task, plan, ranks or Ranks(), folder, f"{plan} {identity}", progress).through(resume, report)


class _Run:
    """A task on its way."""

    def __init__(
        self, task: Task, plan: Plan, ranks: Ranks, folder: Path | None, identity: str, progress: Callable[..., None]
    ) -> None:
        self.task, self.plan, self.ranks, self.folder, self.identity = task, plan, ranks, folder, identity
        self.progress = progress
        self.batch = _batch(plan, task.rows, ranks.world)
        self.steps = task.rows // self.batch
        self.parameters = dict(task.parameters())
        self.optimizer = _optimizer(self.parameters, plan)
        self.scaler = torch.amp.GradScaler(ranks.device.split(":")[0], enabled=plan.precision == "fp16")
        self.history: list[Epoch] = []
        self.sums: Epoch = {}
        self.epoch, self.step = 1, 0  # the next epoch, and how many of its steps are done

    def through(self, resume: bool, report: Callable[[Epoch], None]) -> list[Epoch]:
        """Go through all epochs that are left."""
        if resume:
            self._take_up()
            for epoch in self.history:
                report(epoch)
        while self.epoch <= self.plan.epochs:
            self._epoch()
            means = {name: total / self.steps for name, total in self.sums.items()}
            less = {"batch": float(self.batch)} if self.batch < self.plan.batch else {}
            self.history.append({"epoch": self.epoch, **less, **means, **self.task.validate()})
            self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
            self._checkpoint()
            report(self.history[-1])
        return self.history

    def _epoch(self) -> None:
        order = torch.randperm(self.task.rows, generator=seeded("order", self.plan.seed, self.epoch)).tolist()
        for batch in self._ahead(order):
            for name, value in self._learn(batch).items():
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.step += 1
            done = (self.epoch - 1) * self.steps + self.step
            self.progress("training", done, self.plan.epochs * self.steps)
            if self.plan.checkpoint_every and not done % self.plan.checkpoint_every and self.step < self.steps:
                self._checkpoint()

    def _ahead(self, order: list[int]) -> Iterator[Batch]:
        """Give the batches of the epoch that are left, the next one being loaded meanwhile."""
        rank, world = self.ranks.rank, self.ranks.world
        starts = range(self.step * self.batch, self.steps * self.batch, self.batch)
        parts = [order[start : start + self.batch][rank::world] for start in starts]
        with ThreadPoolExecutor(1) as loader:
            coming: list[Future[Batch]] = [loader.submit(self.task.prepare, part, self.epoch) for part in parts[:1]]
            for place in range(len(parts)):
                batch = coming.pop().result()
                if place + 1 < len(parts):
                    coming.append(loader.submit(self.task.prepare, parts[place + 1], self.epoch))
                yield {name: rows.to(self.ranks.device) for name, rows in batch.items()}

    def _learn(self, batch: Batch) -> Epoch:
        """Make one step.

        The loss is taken of rows that are cut off from the towers, so that its gradient at the rows of all parts and
        processes is that of the whole batch; then each part is brought back through its tower with its own share.
        """
        plan, parts = self.plan, _parts(batch, self.plan.accumulate)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.set_grad_enabled(plan.accumulate == 1):
            embedded = [self._embedded(part) for part in parts]
        held = {name: torch.cat([rows[name].detach() for rows in embedded]) for name in embedded[0]}
        for rows in held.values():
            rows.requires_grad_(rows.is_floating_point())
        losses = self.task.loss({name: self.ranks.gather(rows) for name, rows in held.items()})
        if not bool(torch.isfinite(losses["loss"])):
            raise TrainingError(
                f"epoch {self.epoch}, step {self.step + 1}: the loss is {losses['loss'].item()}; take a lower learning "
                "rate or a wider precision"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]
        for parameter in self.parameters.values():  # what the loss itself uses is the same in all processes
            if parameter.grad is not None:
                parameter.grad /= self.ranks.world
        self._bring_back(parts, embedded, held)
        self.ranks.sum(self._gradients())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {name: loss.item() for name, loss in losses.items()}

    def _embedded(self, part: Batch) -> Batch:
        with autocast(torch.device(self.ranks.device), self.plan.precision):
            return {
                name: rows.float() if rows.is_floating_point() else rows for name, rows in self.task.embed(part).items()
            }

    def _bring_back(self, parts: list[Batch], embedded: list[Batch], held: Batch) -> None:
        """Run the gradient at the rows back through the towers."""
        first = 0
        for part, rows in zip(parts, embedded, strict=True):
            made = rows if self.plan.accumulate == 1 else self._embedded(part)
            count = len(next(iter(made.values())))
            wanted = {name: one for name, one in made.items() if one.requires_grad and held[name].grad is not None}
            if wanted:
                gradients = [held[name].grad[first : first + count] for name in wanted]  # type: ignore[index]
                torch.autograd.backward(list(wanted.values()), gradients)
            first += count

    def _gradients(self) -> Iterator[Tensor]:
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            yield parameter.grad

    def _rate(self) -> float:
        """Give the learning rate of the next step."""
        plan, done = self.plan, (self.epoch - 1) * self.steps + self.step
        if done < plan.warmup:
            return plan.learning_rate * (done + 1) / plan.warmup if plan.warmup_rate is None else plan.warmup_rate
        left = max(1, plan.epochs * self.steps - plan.warmup)
        return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - plan.warmup) / left))

    def _checkpoint(self) -> None:
        if self.folder is None or not self.ranks.first:
            return
        write_checkpoint(
            self.folder,
            Checkpoint(
                identity=self.identity,
                epoch=self.epoch,
                step=self.step,
                state={name: tensor.detach() for name, tensor in self.parameters.items()},
                optimizer=self.optimizer.state_dict(),
                scaler=self.scaler.state_dict(),
                history=self.history,
                sums=self.sums,
            ),
        )

    def _take_up(self) -> None:
        """Go on where the last checkpoint was written; from the start where there is none yet."""
        found = None if self.folder is None else read_checkpoint(self.folder, self.identity)
        if found is None:
            return
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(found.state[name])
        self.optimizer.load_state_dict(found.optimizer)
        self.scaler.load_state_dict(found.scaler)
        self.epoch, self.step, self.history, self.sums = found.epoch, found.step, found.history, found.sums


def _optimizer(parameters: Mapping[str, nn.Parameter], plan: Plan) -> torch.optim.Optimizer:
    decayed = [p for p in parameters.values() if plan.decay_vectors or p.ndim >= 2]
    others = [p for p in parameters.values() if not (plan.decay_vectors or p.ndim >= 2)]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum)
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=plan.eps)


def _parts(batch: Batch, count: int) -> list[Batch]:
    """Split a batch into parts of equal size."""
    split = {name: rows.chunk(count) for name, rows in batch.items()}
    return [{name: chunks[place] for name, chunks in split.items()} for place in range(count)]
