"""What was made by the code of before, and what comes of it: a store, a run, heads, detectors, training on its way."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[str], "subprocess.CompletedProcess[str]"]
"""Runs a line as `cases.py` has them, in the folder of what was made."""
Start = Callable[[str], "subprocess.Popen[str]"]
"""Starts one in a process that can be killed."""

KEPT = ("store", "pictures", "words.txt", "tiny.safetensors", "run", "heads", "learnt", "prompts", "clipn", "cma",
        "gate-knn.safetensors", "gate-classwise.safetensors")  # fmt: skip
BENCH = ("oodkit bench --id digits --ood folder:pictures --limit 40 --model digits-clip --negatives words.txt "
         "--scorers msp,mcm,knn:k=5,gl-mcm,classwise,neglabel:share=0.5:groups=2")  # fmt: skip
PROMPTS = ("oodkit train prompts --id digits --model digits-clip --shots 2 --context 4 --epochs 9 --batch 5 --no-crop "
           "--checkpoint-every 1 --lr 0.1")  # fmt: skip
CLIPN = ("oodkit train clipn --pairs pictures/pairs.csv --model digits-clip:weights=tiny.safetensors --epochs 9 "
         "--batch 7 --lr 1e-3 --checkpoint-every 1")  # fmt: skip
CMA = ("oodkit train cma --id digits --model digits-clip:weights=tiny.safetensors --limit 40 --epochs 9 --batch 10 "
       "--warmup 2 --lr 1e-3 --checkpoint-every 1")  # fmt: skip
EPOCHS, CHECKPOINTS, TRIES = 9, 14, 20
"""Of each of these runs; so many checkpoints are seen before it is killed; so often it is tried."""
TRAINING = {"prompts": PROMPTS, "clipn": CLIPN, "cma": CMA}
MADE = (
    "oodkit encode digits --split all --limit 40 --model digits-clip",
    f"{BENCH} --output run",
    "oodkit import toys toys.npz --text toys-text.npz --texts candidates=candidates.npz",
    "oodkit import toys toys-train.npz --text toys-text.npz --split train",
    "oodkit import strange strange.npz",
    "oodkit import good scores.npz --scores --model mine",
    "oodkit import bad scores.npz --scores --model mine",
    "oodkit bench --scorers neglabel:share=0.5 --id toys --ood strange --model imported",
    "oodkit train head --id digits --limit 40 --weight-decay 0.001 --epochs 4 --output heads",
    f"{PROMPTS} --output learnt",
    "python {here}/old.py gates",
)
"""What makes all but the runs on their way."""
VERSIONS = ("scikit-learn", "pillow", "numpy", "torch")
"""The first two might one day give digits other pixels or rows, and so other keys."""
GATES = {"knn": "knn:k=5", "classwise": "classwise:rule=conformal:target=0.9"}


def make(folder: Path, run: Run, start: Start) -> None:
    """Make everything in a folder that holds the inputs, and pack what is to be kept."""
    here = Path(__file__).resolve().parent
    for line in MADE:
        done = run(line.format(here=here))
        if done.returncode:
            sys.exit(f"{line}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    for name, line in TRAINING.items():
        _stopped(folder / name, f"{line} --output {name}", start)
    (folder / "store" / "hashes.sqlite").unlink()


def _stopped(folder: Path, line: str, start: Start) -> None:
    """Start a training run, and kill it in the middle of an epoch that is neither the first nor the last."""
    import torch

    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        file, process = folder / "checkpoint.pt", start(line)
        seen: set[int] = set()
        while len(seen) < CHECKPOINTS and process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                seen.add(file.stat().st_mtime_ns)
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            held = torch.load(file, weights_only=True)
            if held["step"] and 1 < held["epoch"] < EPOCHS:
                for left in set(folder.iterdir()) - {file}:
                    left.unlink()
                return
    sys.exit(f"{line}: it was killed too early or too late in each of {TRIES} tries")


def pack(folder: Path, file: Path) -> None:
    """Pack what is kept, with nothing in it that says when, where or by whom."""

    def bare(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(file, "w:gz") as tar:
        for name in KEPT:
            tar.add(folder / name, name, filter=bare)


def go_on(folder: Path, run: Run) -> dict[str, Any]:
    """Go on from what was made, in the folder that it lies in, and tell what comes of it."""
    here = Path(__file__).resolve().parent
    score = "oodkit score classwise --id digits --limit 40 --model digits-clip"
    use = "oodkit bench --id digits --ood folder:pictures --limit 40 --scorers msp,knn:k=5"
    told = {
        "store": {"verify": _said(run, "oodkit store verify"), "list": _json(run, "oodkit store list --json")},
        "bench": _rows(run, BENCH),
        "score": _table(run, score),
        "imported": _rows(run, "oodkit bench --id toys --ood strange --model imported --scorers "
                          "msp,classwise,knn:k=5,mahalanobis,neglabel:share=0.5"),
        "scores": _rows(run, "oodkit bench --id good --ood bad --model mine"),
        "negatives": _json(run, "oodkit negatives --json"),
        "report": _rows(run, "oodkit report run")["rows"],
        "protocol": _rows(run, "oodkit report run --protocol mcm --ci --ci-replicates 50")["rows"],
        "compare": _json(run, "oodkit compare run --against msp --ci-replicates 50 --format json"),
        "head": _rows(run, f"{use} --model digits-clip --head heads"),
        "context": _rows(run, f"{use} --model digits-clip:context=learnt/context.npz"),
        "detectors": _json(run, f"python {here}/old.py judged"),
        "refused": [_said(run, f"{PROMPTS} --output prompts{more}") for more in ("", " --resume --seed 1")],
    }  # fmt: skip
    told |= {name: _resumed(run, folder / name, line) for name, line in TRAINING.items()}
    return {**told, "store afterwards": _said(run, "oodkit store verify")}


def _said(run: Run, line: str) -> dict[str, Any]:
    done = run(line)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def _json(run: Run, line: str) -> Any:
    """Give what a command prints as JSON, or what went wrong."""
    done = run(line)
    return json.loads(done.stdout) if not done.returncode else {"code": done.returncode, "err": done.stderr}


def _rows(run: Run, line: str) -> dict[str, Any]:
    """Give the rows of a report without what it took, and what was said of encoding."""
    done = run(f"{line} --format json")
    if done.returncode:
        return {"code": done.returncode, "err": done.stderr, "rows": []}
    read = json.loads(done.stdout)
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in read["rows"]]
    encoded = {name: said["encoded"] for name, said in read.get("encoding", {}).items()}
    return {"id": read["id"], "encoded": encoded, "err": done.stderr, "rows": rows}


def _table(run: Run, line: str) -> dict[str, Any]:
    """Give the columns of a CSV table, numbers as such."""
    done = run(line)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    columns = {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else ())}
    return {"code": done.returncode, "err": done.stderr, **columns}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _resumed(run: Run, folder: Path, line: str) -> dict[str, Any]:
    """Go on with a run that was killed, and tell its course and what it learnt."""
    done = run(f"{line} --output {folder.name} --resume")
    epochs = folder / "epochs.csv"
    course = list(csv.DictReader(epochs.open(encoding="utf-8"))) if epochs.exists() else []
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".npz", ".pt", ".safetensors"))
    return {
        "code": done.returncode,
        "err": done.stderr if done.returncode else "",
        "files": sorted(path.name for path in folder.iterdir()),
        "course": [{key: _number(value) for key, value in row.items()} for row in course],
        "learnt": {path.name: _lengths(path) for path in files},
    }


def _lengths(file: Path) -> dict[str, float]:
    """Give the length of every array of a file, by name."""
    from safetensors.numpy import load_file

    if file.suffix == ".pt":
        import torch

        held = torch.load(file, "cpu", weights_only=True)
        held = {name: part.numpy() for name, part in held.get("state_dict", held.get("state")).items()}
    else:
        held = load_file(file) if file.suffix == ".safetensors" else dict(np.load(file, allow_pickle=False))
    numbers = {name: part for name, part in held.items() if part.dtype.kind == "f"}
    return {name: float(np.linalg.norm(part.astype("f8"))) for name, part in sorted(numbers.items())}


def gates() -> None:
    """Fit detectors and save them."""
    from library import toys

    from ood_toolkit import Detector

    for name, spec in GATES.items():
        Detector.fit(spec, toys(60, 1), toys(100, 2)).save(f"gate-{name}.safetensors")


def judged() -> None:
    """Print what saved detectors say."""
    from library import strange, toys

    from ood_toolkit import Detector

    told = {}
    for name in GATES:
        gate = Detector.load(f"gate-{name}.safetensors")
        said = {"threshold": gate.threshold, "rule": gate.rule, "notes": list(gate.notes), "names": gate.class_names}
        sets = {"toys": toys(20), "strange": strange(20)}
        scores = {place: [gate.score(x).tolist(), gate.predict(x).tolist()] for place, x in sets.items()}
        told[name] = said | scores
    print(json.dumps(told))


def versions() -> dict[str, str]:
    """Give the versions of libraries that might change keys or numbers."""
    return {name: version(name) for name in VERSIONS}


def main(arguments: Sequence[str]) -> None:
    """Do what is named, in the working directory."""
    {"gates": gates, "judged": judged}[arguments[0]]()


if __name__ == "__main__":
    main(sys.argv[1:])
