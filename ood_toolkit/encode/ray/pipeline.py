"""Tasks through Ray Data: the cluster that is there, how many workers it has room for, and what they answer."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.ray.worker import Assignment, Done, Setup, Worker, look
from ood_toolkit.errors import DataError, ModelError, OodkitError, one_line

__all__ = ["Lost", "results", "shipped"]

ANSWERS = 10.0
"""Seconds in which a cluster has to answer; Ray itself asks a silent one again and again."""


class Lost(Exception):  # noqa: N818
    """A worker or its node died; the message says how Ray put it."""


def shipped(setup: Setup) -> Any:
    """Put what all tasks have in common where every worker can get it, with the model on the CPU meanwhile."""
    ray = _connected()
    _, cores = _room(ray, setup.effort)
    effort, model = setup.effort, setup.model
    try:
        model.to("cpu")
        return ray.put(replace(setup, effort=replace(effort, workers=effort.workers or max(1, cores))))
    except TypeError as error:
        raise ModelError(f"{model.name}: cannot be sent to other machines ({one_line(error)})") from None
    finally:
        if not effort.device.startswith("cpu") and _is_here(effort.device):
            model.to(effort.device)


def results(tasks: Sequence[Assignment], setup: Any, effort: Effort) -> Iterator[Done]:
    """Carry tasks out on the cluster and give what comes of each, as it comes; all are of one sort.

    `setup` is what `shipped` gave; None for tasks that only hash. Raises `Lost` where a worker died: a worker is not
    started again by Ray, which would wait for ever where there is no room for it any more.
    """
    ray = _connected()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each release of Ray deprecates other ways to say this
        rows = ray.data.from_items(_packed(tasks), override_num_blocks=len(tasks))
        answers = rows.map(look, num_cpus=1) if setup is None else _encoded(ray, rows, setup, effort)
    try:
        for row in answers.iter_rows():
            answer = ray.cloudpickle.loads(row["done"])
            if isinstance(answer, OodkitError):
                raise answer
            yield answer
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise Lost(lines[-1] if lines else type(error).__name__) from None


def _encoded(ray: Any, rows: Any, setup: Any, effort: Effort) -> Any:
    count, cores = _room(ray, effort)
    return rows.map(
        Worker,
        fn_constructor_args=([setup],),
        compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2),
        num_cpus=cores,
        num_gpus=0 if effort.device.startswith("cpu") else 1,
        max_restarts=0,
        max_task_retries=0,
    )


def _packed(tasks: Sequence[Assignment]) -> list[dict[str, bytes]]:
    cloudpickle: Any = import_module("ray.cloudpickle")
    try:
        return [{"task": cloudpickle.dumps(task)} for task in tasks]
    except TypeError as error:
        raise DataError(f"pictures cannot be sent to other machines ({one_line(error)}); use --engine local") from None


def _room(ray: Any, effort: Effort) -> tuple[int, int]:
    """Say how many workers the cluster has room for now, and how many cores each takes.

    One worker for each GPU or, on CPUs, for as many cores as the smallest node has; `effort.workers` sets the cores.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if effort.device.startswith("cpu"):
        cores = effort.workers or min((count for count in cpus if count), default=1)
        workers = sum(count // cores for count in cpus)
    else:
        pairs = [(int(node.get("GPU", 0)), count) for node, count in zip(nodes, cpus, strict=True)]
        workers = sum(gpus for gpus, _ in pairs)
        cores = effort.workers or min((count // gpus for gpus, count in pairs if gpus), default=0)
    if not workers:
        wanted = f"{effort.workers or 1} cores" if effort.device.startswith("cpu") else "a GPU"
        raise ModelError(f"--engine ray: expected a node with {wanted}, got {len(nodes)} nodes without")
    return workers, cores


def _connected() -> Any:
    """Join the cluster that RAY_ADDRESS names; without it, start one on this machine for as long as we run.

    Ray by itself would also join what its notes in a temporary folder name, and wait for minutes if that is gone.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # Ray tells of dead nodes on stdout, which is for data
    try:
        ray: Any = import_module("ray")
        import_module("ray.data")
    except ImportError:
        raise ModelError("--engine ray: Ray is not installed; pip install 'ood-toolkit[ray]'") from None
    if not ray.is_initialized():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
                ray.init(_address(), **quiet)
            except (ConnectionError, OSError, RuntimeError, TimeoutError, ValueError) as error:
                raise ModelError(f"--engine ray: no cluster ({one_line(error)}); see RAY_ADDRESS") from None
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray


def _address() -> str:
    """Give RAY_ADDRESS, once something answers there, or `local`."""
    address = os.environ.get("RAY_ADDRESS", "local")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
    return address


def _is_here(device: str) -> bool:
    import torch

    return not device.startswith("cuda") or torch.cuda.is_available()
