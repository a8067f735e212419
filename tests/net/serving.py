"""A process that has imported what is heavy and of others, and forks for each command: `python serving.py`.

A command still imports `ood_toolkit` anew, as `python -m ood_toolkit` does, in a process of its own; only torch and
what comes with it are there already, which saves four seconds of five. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any, NoReturn

HEAVY = ("numpy", "scipy.stats", "sklearn.datasets", "torch", "torch._dynamo", "torchvision", "open_clip", "timm",
         "transformers", "PIL.Image", "safetensors.torch", "pandas")  # fmt: skip


class Server:
    """Runs Python command lines in forks of one process."""

    def __init__(self, python: str, work: Path, environment: Mapping[str, str], longest: int) -> None:
        """Start it; a command that takes longer, in seconds, is ended by a signal."""
        self.work, self.environment, self.longest = work, dict(environment), longest
        self.process = subprocess.Popen(
            [python, str(Path(__file__).resolve())], cwd=work, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` with an environment that only adds to that of the server."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        files = {name: str(self.work / f".{name}") for name in ("out", "err")}
        more = {name: value for name, value in environment.items() if self.environment.get(name) != value}
        gone = [name for name in self.environment if name not in environment]
        where = {**files, "longest": self.longest, "bytecode": str(self.work / ".bytecode")}
        asked = {"arguments": list(arguments), "more": more, "gone": gone, **where}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        code = json.loads(self.process.stdout.readline())
        out, err = (Path(files[name]).read_text(encoding="utf-8") for name in ("out", "err"))
        return subprocess.CompletedProcess(list(arguments), code, out, err)

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve() -> None:
    """Import what is heavy, then fork for each line."""
    for name in HEAVY:
        import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _become(asked)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _become(asked: Mapping[str, Any]) -> NoReturn:
    """Run a command line in this process, and end it."""
    signal.alarm(asked["longest"])
    for place, name in ((1, "out"), (2, "err")):
        file = os.open(asked[name], os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in asked["gone"]:
        del os.environ[name]
    os.environ.update(asked["more"])
    held = [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if path not in sys.path]
    sys.path += held
    sys.pycache_prefix, sys.dont_write_bytecode = asked["bytecode"], False  # compile the package once, elsewhere
    invalidate_caches()
    code = 0
    try:
        _go(asked["arguments"])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _go(arguments: Sequence[str]) -> None:
    """Do what Python does with `-m MODULE ...` or `FILE ...`."""
    if arguments[0] == "-m":
        sys.path[0], sys.argv = os.getcwd(), list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(arguments[0]).parent), list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve()
