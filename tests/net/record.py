"""The net under a change that must change nothing: what commands and calls gave before, beside what they give after.

    python tests/net/record.py record BEFORE --package OLD
    python tests/net/record.py record AFTER
    python tests/net/record.py compare BEFORE AFTER

`record` runs the cases of `cases.py` and writes a text file for each, without what differs from run to run anyway.
`make-old` is what wrote `made_by_old/`, with the code of before; `go-on` prints what comes of it.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import old
from cases import CASES, Case
from inputs import make_inputs
from serving import Server
from showing import plain, shown

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
DATA = Path(os.environ.get("OODKIT_TEST_DATA", PROJECT.parent / "shared" / "data"))
WORK = Path(tempfile.gettempdir()) / "oodkit-net"
"""Where the commands run. It has one name, since a path may decide a hash, an order or where a line is broken."""
ARCHIVE, EXPECTED = "artefacts.tar.gz", "expected.json"
PLUGINS = ("oodkit-sklearn", "oodkit-transformers")
LONGEST = 600
"""Seconds that a command may take, on a busy machine."""


@dataclass
class Recorder:
    """Runs commands with one package, in one folder."""

    package: Path
    python: str
    fresh: bool = False
    """Whether every command is a process from its start; else most are forks of one that has imported torch."""
    work: Path = WORK
    places: dict[str, str] = field(default_factory=dict)
    server: Server | None = None

    def prepare(self) -> None:
        """Make the folder with the inputs."""
        if self.work.exists():
            sys.exit(f"{self.work}: it is there; another recording runs, or one was stopped: then delete it")
        make_inputs(self.work)
        if DATA.is_dir():
            (self.work / "shared").symlink_to(DATA.resolve())
        paths = {self.work: "WORK", self.package: "PACKAGE", DATA.resolve(): "DATA", HERE: "NET"}
        self.places = {str(path): name for path, name in paths.items()} | {sys.prefix: "PYTHON"}

    def __enter__(self) -> Recorder:
        """Check that the package is the one that is meant, and start what commands are forked from."""
        found = self.run("python -c 'import ood_toolkit; print(ood_toolkit.__file__)'", fresh=True)
        if not Path(found.stdout.strip()).is_relative_to(self.package):
            sys.exit(f"expected ood_toolkit from {self.package}, got {found.stdout.strip() or found.stderr}")
        if not self.fresh:
            self.server = Server(self.python, self.work, self._environment(""), LONGEST)
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        if self.server is not None:
            self.server.close()

    def record(self, case: Case) -> str:
        """Run a case and tell all that came of it."""
        said = [self._step(step, case.plugins, self.fresh or case.fresh) for step in case.steps]
        said += [f"==== {path}\n{shown(self.work / path, self.places)}\n" for path in case.shows]
        return "\n".join(said)

    def help(self, words: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
        """Give the help of a command and of all below it, by name."""
        line = shlex.join(["oodkit", *words, "--help"])
        text = self._step(line, fresh=True)
        yield "-".join(["help", *words]), text
        _, _, listed = text.partition("\nCommands:\n")
        for row in listed.split("\n----", 1)[0].splitlines():
            if row.startswith("  ") and not row.startswith("   "):
                yield from self.help([*words, row.split()[0]])

    def _step(self, line: str, plugins: str = "", fresh: bool = False) -> str:
        done = self.run(line, plugins, fresh)
        out, err = plain(done.stdout, self.places), plain(done.stderr, self.places)
        return f"$ {line}\n---- exit code {done.returncode}\n---- stdout\n{out}\n---- stderr\n{err}\n"

    def run(self, line: str, plugins: str = "", fresh: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a line of a case to its end."""
        arguments, environment = _arguments(line), self._environment(plugins)
        if self.server is not None and not fresh and arguments[0] != "-c":
            return self.server.run(arguments, environment)
        return subprocess.run(
            [self.python, *arguments], cwd=self.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=LONGEST,
        )  # fmt: skip

    def start(self, line: str) -> subprocess.Popen[str]:
        """Start a line in a process that can be killed."""
        return subprocess.Popen(
            [self.python, *_arguments(line)], cwd=self.work, env=self._environment(""), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _environment(self, plugins: str) -> Mapping[str, str]:
        """Give what decides a run: this package first, one thread, no plugins unless asked for, a home of its own."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        paths = [self.package, *(self.package / "plugins" / name for name in PLUGINS)]
        if plugins and plugins != "installed":
            paths.append(self.work / plugins)
        return kept | ({} if plugins else {"OODKIT_NO_PLUGINS": "1"}) | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "HOME": str(self.work / "home"),
            "OODKIT_STORE": "store",
            "COLUMNS": "100",
        }  # fmt: skip


def _arguments(line: str) -> list[str]:
    """Give what is behind `python` for a line of a case."""
    program, *words = shlex.split(line)
    before = {"oodkit": ["-m", "ood_toolkit"], "library": [str(HERE / "library.py")], "python": []}
    return [*before[program], *words]


def record(folder: Path, recorder: Recorder, only: Sequence[str]) -> None:
    """Write what every case gives into a folder, one file a case."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder}: expected a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    recorder.prepare()
    try:
        with recorder:
            for name, text in _records(recorder, only):
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    finally:
        shutil.rmtree(recorder.work)


def _records(recorder: Recorder, only: Sequence[str]) -> Iterator[tuple[str, str]]:
    chosen = [case for case in CASES if not only or case.name in only]
    if not only or "help" in only:
        yield from recorder.help()
    for case in chosen:
        if case.needs_data and not DATA.is_dir():
            left_out = f"{case.name}: left out: no folder of real data; OODKIT_TEST_DATA names it"
            print(left_out, file=sys.stderr)
            yield case.name, f"{left_out}\n"
            continue
        start = time.monotonic()
        yield case.name, recorder.record(case)
        print(f"{case.name}: {time.monotonic() - start:.1f} s", file=sys.stderr)


def compare(before: Path, after: Path) -> int:
    """Print every difference of two recordings; 1 if there is any."""
    files = [{file.name: file for file in folder.glob("*.txt")} for folder in (before, after)]
    names = sorted(files[0].keys() | files[1].keys())
    if not names:
        sys.exit(f"{before} and {after}: no recordings")
    differing = [name for name in names if _differs(name, *(held.get(name) for held in files))]
    print(f"{len(names)} recordings, {len(differing)} differ: {', '.join(differing) or 'none'}")
    return int(bool(differing))


def _differs(name: str, before: Path | None, after: Path | None) -> bool:
    texts = [[] if file is None else file.read_text(encoding="utf-8").splitlines() for file in (before, after)]
    labels = [
        f"{side}/{name}" if file else f"{side}/{name}: absent" for side, file in (("before", before), ("after", after))
    ]
    lines = list(difflib.unified_diff(*texts, *labels, lineterm=""))
    print("\n".join(lines), end="\n" if lines else "")
    return bool(lines)


def make_old(folder: Path, recorder: Recorder) -> None:
    """Make what the code of before leaves behind, and write it into a folder with what that code makes of it."""
    folder.mkdir(parents=True, exist_ok=True)
    recorder.prepare()
    try:
        with recorder:
            old.make(recorder.work, recorder.run, recorder.start)
        old.pack(recorder.work, folder / ARCHIVE)
        shutil.rmtree(recorder.work)
        told = {"versions": old.versions(), **go_on(folder / ARCHIVE, recorder)}
    finally:
        shutil.rmtree(recorder.work)
    (folder / EXPECTED).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def go_on(archive: Path, recorder: Recorder) -> Mapping[str, object]:
    """Unpack what was left behind, go on from it and tell what comes of it."""
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        tar.extractall(recorder.work)
    with recorder:
        return old.go_on(recorder.work, recorder.run)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run all cases, and write what they give into a folder")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--only", nargs="+", default=[], help="these cases, or help; many need earlier ones")
    recording.add_argument("--fresh", action="store_true", help="start every command from nothing; takes ten minutes")
    comparing = commands.add_parser("compare", help="print the differences of two recordings; exit code 1 if any")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    making = commands.add_parser("make-old", help=f"write {ARCHIVE} and {EXPECTED} into a folder")
    making.add_argument("folder", type=Path)
    going = commands.add_parser("go-on", help="unpack such an archive into a new folder, and print what comes of it")
    going.add_argument("archive", type=Path)
    going.add_argument("work", type=Path)
    for command in (recording, making, going):
        command.add_argument("--package", type=Path, default=PROJECT, help="folder that holds ood_toolkit")
        command.add_argument("--python", default=sys.executable, help="interpreter with the dependencies")
    _do(parser.parse_args())


def _do(given: argparse.Namespace) -> None:
    if given.command == "compare":
        sys.exit(compare(given.before, given.after))
    recorder = Recorder(given.package.resolve(), given.python)
    if given.command == "record":
        recorder.fresh = given.fresh
        record(given.folder, recorder, given.only)
    elif given.command == "make-old":
        make_old(given.folder, recorder)
    else:
        recorder.work = given.work
        print(json.dumps(go_on(given.archive, recorder)))


if __name__ == "__main__":
    main()
