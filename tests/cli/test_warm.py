"""Where the store has rows, texts and heads, nothing is imported and loaded that only encoding needs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

HEAVY = ("open_clip", "torchvision", "timm", "transformers", "sklearn", "scipy", "PIL", "pandas", "matplotlib", "ray")
PROGRAM = f"""
import contextlib, io, json, sys
from ood_toolkit.cli import main

done = []
for line in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(line)
    except SystemExit as stop:
        code = stop.code or 0
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    done.append([" ".join(line), code, heavy, out.getvalue(), err.getvalue()])
with open(sys.argv[1], "w") as file:
    json.dump(done, file)
"""
BENCH = "bench --scorers classwise,grid,mean,msp,knn:k=5 --id digits --ood letters,patches --format json"
LINES = (
    BENCH,
    "bench",
    "bench --scorers all --format json",
    "bench --scorers msp --prompts simple",
    "bench --scorers msp --id digits --ood only:letters:A+C --limit 50",
    "bench --dry-run",
    "score classwise --id digits",
    "score msp --id digits --images only:letters:A+C --limit 20",
    "train head --id digits --epochs 1 --output {here}/heads",
    "bench --head {here}/heads --id digits --ood letters --scorers msp",
    "bench --scorers msp --output {here}/run",
    "report {here}/run",
    "report {here}/run --protocol openood-v1.5 --ci --ci-replicates 20",
    "predict {place}/msp.ood {place}/rows.npz",
    "models",
    "datasets",
)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start a process that runs command lines one after the other, each in the state that the last one left."""
    folder, count = tmp_path_factory.mktemp("said"), iter(range(100))

    def start(store, *lines):
        env = os.environ | {
            "OODKIT_STORE": str(store),
            "OODKIT_NO_PLUGINS": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
        }
        said = folder / f"{next(count)}.json"
        words = [line.split() for line in lines]
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(said), json.dumps(words)], env=env)

        def ended():
            assert process.wait() == 0
            return json.loads(said.read_text())

        return ended

    return start


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    np.savez(folder / "rows.npz", embeddings=np.eye(64, dtype=np.float32)[:5])
    return folder


@pytest.fixture(scope="module")
def cold(start, place):
    """What the commands say over an empty store; they fill it."""
    lines = [line.format(here=place / "cold", place=place) for line in LINES]
    return start(place / "store", f"fit msp --id digits -o {place}/msp.ood", *lines)()[1:]


def numbers(out):
    """Give the rows of a result without what was timed."""
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in json.loads(out)["rows"]]


def test_commands_need_torch_alone_and_say_the_same(cold, start, place):
    assert all(code == 0 for _, code, *_ in cold), cold
    assert {"open_clip", "sklearn", "PIL"} <= set(cold[0][2])
    warm = start(place / "store", *[line.format(here=place / "again", place=place) for line in LINES])()
    for (_, _, _, before, _), (line, code, heavy, out, err) in zip(cold, warm, strict=True):
        assert (line, code, heavy) == (line, 0, []), err
        assert "encoded " not in err or "encoded 0 images" in err, line
        if "--format json" in line:
            assert numbers(out) == numbers(before)
        elif not line.startswith(("train", "bench --head")):
            assert out == before


def test_other_prompts_load_the_model_and_are_remembered_then(cold, start, place):
    line = "bench --scorers msp --prompts {}"
    first, second = (start(place / "store", line)()[0] for _ in range(2))
    assert "open_clip" in first[2]
    assert "sklearn" not in first[2]
    assert second[2] == []
    assert first[3] == second[3]


def test_two_processes_on_an_empty_store_leave_it_warm(start, tmp_path):
    line = f"{BENCH} --limit 40"
    both = [start(tmp_path, line), start(tmp_path, line)]
    (first,), (second,) = (ended() for ended in both)
    (third,) = start(tmp_path, line)()
    assert [one[1] for one in (first, second, third)] == [0, 0, 0], first[4] + second[4] + third[4]
    assert third[2] == []
    assert numbers(first[3]) == numbers(second[3]) == numbers(third[3])
