"""Fuzz the readers of foreign files: `python tests/fuzz/fuzz_run.py --seconds 60`, or `make fuzz SECONDS=60`.

Each reader has a process of its own, so that its peak memory is known, mapped libraries apart; in it, files of the
corpus are damaged and read one after the other. Only errors of this package may come out, in one line, in bounded time
and memory; nothing may be written outside the case's own folder, no process be started and no address be called. What
breaks that is kept in `build/fuzz` and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from fuzz_further import ALL
from fuzz_mutation import mutated
from fuzz_targets import Target

sys.path.insert(0, str(Path(__file__).parents[1] / "words"))
from foreign import foreign

from ood_toolkit.errors import OodkitError
from ood_toolkit.store.foreign.matlab import READER

LONGEST = 4000
"""Letters of a message."""
QUOTED = " no longer runs: "
"""Behind this a message quotes what a scorer raised, which may be anybody's."""
SLOW, WAITING = 20, 300
"""Seconds that one file may compute, and that it may take at all, on a machine that others use too."""
MEMORY = 1 << 30
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
             "socket.getaddrinfo", "urllib.Request")  # fmt: skip
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate",
           "shutil.rmtree", "tempfile.mkdtemp", "tempfile.mkstemp")  # fmt: skip


class Watch:
    """Sees what a reader does beside reading."""

    def __init__(self, inside: Path) -> None:
        self.inside, self.on, self.seen = str(inside), False, list[str]()
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Take note of writing outside, of processes and of addresses."""
        if not self.on:
            return
        if event == "open":
            path, _, flags = args
            written = isinstance(flags, int) and flags & WRITES
            known = isinstance(path, str | bytes) and os.fsdecode(path).startswith((self.inside, "/dev/null"))
            if written and isinstance(path, str | bytes) and not known:
                self.seen.append(f"opened to write: {path!r}")
        elif event == "subprocess.Popen" and READER in args[1]:
            return  # the package's own, which reads one file and no more
        elif event in FORBIDDEN or (event in CHANGES and not str(args[0]).startswith(self.inside)):
            self.seen.append(f"{event}: {args!r:.200}")


def stop(*_: object) -> None:
    raise TimeoutError(f"took more than {SLOW} seconds of computing, or {WAITING} in all")


def case(target: Target, content: bytes, name: str, folder: Path, watch: Watch) -> tuple[bool, str]:
    """Read one file; tell whether it was accepted, and what is wrong with how it went ("" for nothing)."""
    place = folder / "case"
    place.mkdir()
    file = place / name
    file.write_bytes(content)
    watch.seen.clear()
    accepted, wrong = False, ""
    signal.setitimer(signal.ITIMER_PROF, SLOW)
    signal.alarm(WAITING)
    watch.on = True
    try:
        target.read(file)
        accepted = True
    except OodkitError as error:
        if "\n" in str(error) or len(str(error)) > LONGEST or not str(error).strip():
            wrong = f"its message is not one short line: {str(error)[:500]!r}"
        elif foreign([str(error).partition(QUOTED)[0].replace(str(place), "")]):
            wrong = f"its message is in the words of a library: {str(error)[:500]!r}"
    except BaseException:
        wrong = traceback.format_exc()
    finally:
        watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        shutil.rmtree(place, ignore_errors=True)
    return accepted, wrong or "; ".join(watch.seen)


def work(target: Target, seconds: float, cases: int, seed: int, kept: Path) -> dict[str, Any]:
    """Fuzz one reader for so long, or for so many cases; give the counts."""
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGPROF, stop)
    draw = random.Random(f"{target.name} {seed}")
    seeds = [(file.name, file.read_bytes()) for file in target.files]
    others = [content for _, content in seeds]
    counts = {"cases": 0, "accepted": 0, "refused": 0, "failed": 0}
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="oodkit-fuzz-", dir=_quick_folder()) as place:
        tempfile.tempdir = place  # what a reader puts aside for itself is inside too
        watch = Watch(Path(place))
        for name, content in seeds:
            accepted, wrong = case(target, content, name, Path(place), watch)
            if "Traceback" in wrong:  # what is imported now may write, and look for libraries
                raise SystemExit(f"{target.name}: {name}, which is sound: {wrong}")
        libraries = mapped()
        start = time.monotonic()
        while (counts["cases"] < cases) if cases else (time.monotonic() - start < seconds):
            name, content = draw.choice(seeds)
            content = mutated(content, target.kind, draw, others)
            began = time.monotonic()
            accepted, wrong = case(target, content, name, Path(place), watch)
            slowest = max(slowest, time.monotonic() - began)
            counts["cases"] += 1
            counts["failed" if wrong else "accepted" if accepted else "refused"] += 1
            if wrong:
                keep(kept, target, name, content, wrong)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - libraries
    return {**counts, "seconds": round(time.monotonic() - start, 1), "slowest": round(slowest, 2), "peak": peak}


def mapped() -> int:
    """Give the bytes of mapped files, such as libraries, that are in memory; 0 where no system tells."""
    about = Path("/proc/self/status")
    found = re.search(r"^RssFile:\s*(\d+) kB", about.read_text(), re.MULTILINE) if about.exists() else None
    return int(found[1]) * 1024 if found else 0


def keep(folder: Path, target: Target, name: str, content: bytes, wrong: str) -> None:
    """Keep what went wrong, at most so many of one reader."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{target.name.replace(' ', '_')}-{hashlib.sha256(content).hexdigest()[:12]}"
    if len(list(folder.glob(f"{target.name.replace(' ', '_')}-*"))) < 40:
        (folder / f"{stem}.{name}").write_bytes(content)
        (folder / f"{stem}.why").write_text(wrong, errors="replace")


def _quick_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> None:
    """Run the readers that were asked for, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="in all, shared among the readers")
    parser.add_argument("--cases", type=int, default=0, help="of each reader, in the place of seconds")
    parser.add_argument("--reader", action="append", help="one of them; repeat it")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, default=Path("build", "fuzz"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    chosen = [target for target in ALL if not given.reader or target.name in given.reader]
    if given.worker:
        print(json.dumps(work(chosen[0], given.seconds, given.cases, given.seed, given.keep)))
        return
    titles = f"{'reader':<22}{'cases':>10}{'accepted':>10}{'failed':>8}{'seconds':>9}{'slowest':>9}{'peak':>10}"
    print(f"seed {given.seed}\n{titles}")

    failed, total, spent = 0, 0, 0.0
    for target in chosen:
        command = [sys.executable, __file__, "--worker", "--reader", target.name, "--seed", str(given.seed),
                   "--seconds", str(given.seconds / len(chosen)), "--cases", str(given.cases),
                   "--keep", str(given.keep)]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{target.name:<22} ended with code {done.returncode}", flush=True)
            failed += 1
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        too_much = " over 1 GiB" if found["peak"] > MEMORY else ""
        failed += found["failed"] + bool(too_much)
        total += found["cases"]
        spent += found["seconds"]
        numbers = [f"{found['cases']:>10,}", f"{found['accepted']:>10,}", f"{found['failed']:>8}",
                   f"{found['seconds']:>9}", f"{found['slowest']:>9}", f"{found['peak'] >> 20:>6} MiB"]  # fmt: skip
        print(f"{target.name:<22}{''.join(numbers)}{too_much}", flush=True)
    print(f"{'in all':<22}{total:>10,}{'':>10}{failed:>8}{spent:>9.1f}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
