"""Is `oodkit store gc` safe beside running work? Commands in four processes on one store, for as long as asked.

    python benchmarks/gc_race.py [--seconds 120]

One process imports arrays under names that are pointed elsewhere all the time, one encodes new pictures and old ones
again, one benches imported and encoded sets, one deletes what nothing refers to. The store lies in a folder with
foreign and hidden files. Afterwards every name has its arrays, no command has failed, no image was encoded twice, and
all foreign files are there. Exit code 1 where that is not so.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
from PIL import Image

from ood_toolkit.cli import main

FOREIGN = (".git/HEAD", ".ssh/id_rsa", "src/.env", "arrays/mine/a.npy", "names/.DS_Store", "names/m/._a.test.json",
           "sets/._x.listing", "texts/my.texts", "encodings/mine/.x.abcd1234", ".x.abcd1234")  # fmt: skip
CLASSES = 3
Told = dict[str, int]


def oodkit(store: Path, *words: object) -> tuple[int, str, str]:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*map(str, words), "--store", str(store)])
        except SystemExit as stop:
            return int(stop.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("a command ends with an exit code")


def imports(store: Path, files: Path) -> Iterator[tuple[Told, str]]:
    """Point a few names at a few contents over and over."""
    draw = np.random.default_rng(1)
    for content in range(6):
        rows = draw.normal(size=(60, 16)).astype(np.float32)
        texts = np.eye(CLASSES, 16, dtype=np.float32)
        labels = np.arange(60) % CLASSES
        np.savez(files / f"{content}.npz", embeddings=rows, labels=labels, classes=list("abc"), text=texts)
    while True:
        name, content = f"s{draw.integers(4)}", draw.integers(6)
        code, _, err = oodkit(store, "import", name, files / f"{content}.npz", "--replace")
        yield {"imports": 1}, err if code else ""


def encodes(store: Path, files: Path) -> Iterator[tuple[Told, str]]:
    """Encode new pictures, and one time after the other those of before."""
    draw, made = np.random.default_rng(2), 0
    while True:
        folder = files / f"p{made}"
        for place in range(12):
            path = folder / "ab"[place % 2] / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
        made += 1
        for number, fresh in ((made - 1, 12), (int(draw.integers(made)), 0)):
            code, out, err = oodkit(store, "encode", f"folder:{files / f'p{number}'}", "--model", "digits-clip")
            found = re.search(r"(\d+) encoded now", out)
            encoded = int(found[1]) if found else -1
            wrong = "" if (code, encoded) == (0, fresh) else f"p{number}: {encoded} encoded, expected {fresh}: {err}"
            yield {"encodes": 1, "images encoded": encoded}, wrong


def benches(store: Path, files: Path) -> Iterator[tuple[Told, str]]:
    """Bench what is imported, and what is encoded; of the latter nothing is encoded after the first time."""
    first = True
    while True:
        code, _, err = oodkit(store, "bench", "--id", "digits", "--ood", "letters", "--scorers", "msp")
        encoded = int(re.search(r"encoded ([\d,]+) images", err)[1].replace(",", ""))  # type: ignore[index]
        wrong = "" if code == 0 and (first or not encoded) else f"digits: {encoded} encoded: {err}"
        yield {"benches": 1}, wrong
        first = False
        code, _, err = oodkit(
            store, "bench", "--id", "s0", "--ood", "s1", "--scorers", "msp,mcm", "--model", "imported"
        )
        yield {"benches": 1}, err if code and "not here" not in err else ""  # the names may be yet to come


def deletes(store: Path, files: Path) -> Iterator[tuple[Told, str]]:
    """Delete what nothing refers to."""
    while True:
        code, out, err = oodkit(store, "store", "gc", "--yes")
        yield {"gc": 1, "deleted": len(out.splitlines())}, err if code else ""


ROLES: dict[str, Callable[[Path, Path], Iterator[tuple[Told, str]]]] = {
    "imports": imports, "encodes": encodes, "benches": benches, "deletes": deletes,
}  # fmt: skip


def work(role: str, base: Path, seconds: float) -> None:
    """Play one of the four, and print what it did and what went wrong."""
    files, end = base / role, time.monotonic() + seconds
    files.mkdir()
    told: Told = {}
    wrong: list[str] = []
    for more, why in ROLES[role](base / "store", files):
        for name, count in more.items():
            told[name] = told.get(name, 0) + count
        wrong += [why] if why else []
        if time.monotonic() > end:
            break
    print(json.dumps([told, wrong]))


def checked(store: Path, before: dict[str, bytes]) -> list[str]:
    """Say what is wrong with the store at the end."""
    code, out, err = oodkit(store, "store", "verify")
    wrong = [f"store verify: {out}{err}"] if code else []
    for name, content in before.items():
        if not (store / name).is_file() or (store / name).read_bytes() != content:
            wrong.append(f"{name} is gone or has changed")
    oodkit(store, "store", "gc", "--yes")
    left = [str(path.relative_to(store)) for path in store.rglob(".oodkit-*")]
    left += [str(path.relative_to(store)) for path in store.glob("leases/*.*")]
    return wrong + [f"{name} is left" for name in left]


@click.command()
@click.option("--seconds", default=120.0, show_default=True, help="How long.")
@click.option("--role", hidden=True)
@click.option("--base", hidden=True, type=click.Path(path_type=Path))
def command(seconds: float, role: str | None, base: Path | None) -> None:
    """Run the four, and check what they leave."""
    if role is not None and base is not None:
        work(role, base, seconds)
        return
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        before = {file: f"mine, {file}".encode() for file in FOREIGN}
        for file, content in before.items():
            (store / file).parent.mkdir(parents=True, exist_ok=True)
            (store / file).write_bytes(content)
        oodkit(store, "encode", "digits", "letters")
        again = [sys.executable, __file__, "--base", name, "--seconds", str(seconds), "--role"]
        running = [subprocess.Popen([*again, one], stdout=subprocess.PIPE, text=True) for one in ROLES]
        told = [json.loads(process.communicate()[0]) for process in running]
        wrong = [why for _, some in told for why in some] + checked(store, before)
    for found, _ in told:
        print(", ".join(f"{count:,} {name}" for name, count in found.items()))
    print("\n".join(wrong[:20]) or "nothing went wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    command()
