"""Kills at random moments: a run that is taken up again ends as one that was left alone, and nothing is left.

    python benchmarks/kills.py [--times 10] [COMMAND ...]

Each of encode, import, bench, head, clipn, cma, prompts and discover is run once undisturbed. Then it is started and
killed as often as asked, at moments drawn between its start and the time that the whole run took, and at last run to
its end. Its results must be those of the undisturbed run to the byte, apart from times and the command line; what
killed runs left in the store and beside the output must be gone after that and `oodkit store gc`. Exit code 1 where
that is not so.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

Facts = dict[str, Any]
TRAIN = ("--id", "digits", "--model", "digits-clip", "--limit", "256", "--batch", "32", "--checkpoint-every", "3")
CHANGING = {"command", "started", "seconds", "shared_seconds", "encoded"}
"""What says when and where a run was, or what was encoded now, not what came of it."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "encode": ("encode", "digits", "letters", "patches", "--split", "all"),
    "import": ("import", "rows", "{base}/rows.npz"),
    "bench": ("bench", "--scorers", "msp,knn,classwise", "--output", "{out}"),
    "head": ("train", "head", "--id", "digits", "--output", "{out}"),
    "clipn": ("train", "clipn", *TRAIN, "--epochs", "4", "--lr", "1e-3", "--output", "{out}"),
    "cma": ("train", "cma", *TRAIN, "--epochs", "4", "--warmup", "2", "--lr", "1e-3", "--output", "{out}"),
    "prompts": ("train", "prompts", "--id", "digits", "--model", "digits-clip", "--shots", "8", "--epochs", "4",
                "--batch", "32", "--checkpoint-every", "1", "--output", "{out}"),
    "discover": ("discover", "--id", "digits", "--among", "letters,patches", "--among-split", "test", "--output",
                 "{out}"),
}  # fmt: skip
RESUMED = ("clipn", "cma", "prompts")
SHORTER = 0.8


def oodkit(store: Path, words: list[str]) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "OODKIT_STORE": str(store), "OODKIT_NO_PLUGINS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ood_toolkit", *words],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(store: Path, words: list[str]) -> None:
    """Run a command to its end; it must succeed."""
    process = oodkit(store, words)
    said = process.communicate()[0]
    if process.returncode:
        raise click.ClickException(f"{' '.join(words)}: exit code {process.returncode}: {said[-2000:]}")


def facts(folder: Path, skip: Callable[[Path], bool]) -> Facts:
    """Say what files hold: JSON without what changes, arrays by their bytes, all else by its hash."""
    found: Facts = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not skip(path)):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".json":
            found[name] = steady(json.loads(file.read_text().replace(str(folder), "OUT")))
        elif file.suffix in (".npz", ".pt"):  # archives hold the time of their making
            with zipfile.ZipFile(file) as archive:
                found[name] = {one.partition("/")[2] or one: digest(archive.read(one)) for one in archive.namelist()}
        else:
            found[name] = digest(file.read_bytes())
    return found


def steady(value: Any) -> Any:
    """Leave out of JSON what changes from run to run."""
    if isinstance(value, dict):
        return {key: steady(one) for key, one in value.items() if key not in CHANGING}
    return [steady(one) for one in value] if isinstance(value, list) else value


def digest(content: bytes) -> str:
    """Hash some bytes."""
    return hashlib.sha256(content).hexdigest()


def results(name: str, store: Path, out: Path) -> Facts:
    """Say what came of a command."""
    if name == "encode":
        return facts(store, lambda path: path.suffix not in (".safetensors", ".listing"))
    if name == "import":
        return facts(store, lambda path: path.suffix not in (".npy",) and "names" not in path.parts)
    return facts(out, lambda path: False)


def killed(name: str, base: Path, times: int, draw: random.Random) -> tuple[str, list[str]]:
    """Kill a command over and over, and compare its end with that of an undisturbed one."""
    calm, store = base / "calm", base / "store"
    words = lambda out: [word.format(base=base, out=out) for word in COMMANDS[name]]  # noqa: E731
    start = time.monotonic()
    ended(calm, words(base / "calm-out" / "run"))
    whole, place, done, kills = time.monotonic() - start, base / "out" / "run", 0, 0
    while kills < times:
        again = ["--resume"] if name in RESUMED and (place / "checkpoint.pt").is_file() else []
        process = oodkit(store, [*words(place), *again])
        time.sleep(draw.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            continue
        done, whole = done + 1, whole * SHORTER  # the machine has become faster
        for begun in (place, *store.glob("names"), *store.glob("encodings")) if kills < times else ():
            shutil.rmtree(begun, ignore_errors=True)
    finished = (
        (place / "training.json").is_file() or (place / "result.json").is_file() or (place / "clusters.json").is_file()
    )
    if not finished or name in RESUMED:
        ended(store, [*words(place), *(["--resume"] if name in RESUMED else [])])
    wrong = different(results(name, calm, base / "calm-out" / "run"), results(name, store, place))
    ended(store, ["store", "gc", "--yes"])
    ended(store, ["store", "verify"])
    left = [*store.rglob(".*"), *(base / "out").rglob(".*"), *store.glob("leases/*.*")]
    wrong += [f"left: {path.relative_to(base)}" for path in left]
    wrong += ["left: checkpoint.pt"] if (place / "checkpoint.pt").exists() else []
    return f"{kills} kills within {whole:.1f} s; {done} runs ended before and were begun anew", wrong


def different(one: Facts, other: Facts) -> list[str]:
    """Name the files that are not the same in both."""
    return [f"differs: {name}" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(COMMANDS)))
@click.option("--times", default=10, show_default=True, help="Kills of each command.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def command(names: tuple[str, ...], times: int, seed: int) -> None:
    """Kill each command, and say whether its end was that of an undisturbed run."""
    bad = 0
    for name in names or tuple(COMMANDS):
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            rows = np.random.default_rng(0).normal(size=(200_000, 64)).astype(np.float32)
            np.savez(base / "rows.npz", embeddings=rows, labels=np.arange(len(rows)) % 10)
            said, wrong = killed(name, base, times, random.Random(f"{seed} {name}"))
        print(f"{name}: {said}; {'; '.join(wrong[:8]) or 'equal results, nothing left'}", flush=True)
        bad += bool(wrong)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    command()
