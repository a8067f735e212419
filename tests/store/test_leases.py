"""What a running process relies on is not deleted beside it; its leases die with it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit.cli import main
from ood_toolkit.store import locks
from ood_toolkit.store.garbage import collect, survey
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.leases import keep, leases, lent, release
from ood_toolkit.store.locks import State, owner
from ood_toolkit.store.partial import discard, found_in, new_file, new_folder, sweep

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs locks of Unix")
ROWS = {"logits": np.eye(3, dtype=np.float32)}
HOLD = """
import sys, time
from pathlib import Path
from ood_toolkit.store.leases import keep
from ood_toolkit.store.partial import new_file, new_folder
store = Path(sys.argv[1])
keep(store, "arrays/" + "a" * 64)
keep(store, "encodings/" + "b" * 64)
(store / "sets").mkdir(exist_ok=True)
held = new_file(store / "sets"), new_folder(store / "sets")
(held[1][0] / "half").write_text("half")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder():
    """Start processes that hold leases on a store and write to it, until they are killed."""
    started = []

    def start(store):
        store.mkdir(exist_ok=True)
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def lost(store):
    return sorted(path.relative_to(store).as_posix() for path in survey(store).lost)


def test_leases_and_partial_files_live_and_die_with_their_process(tmp_path, holder):
    process = holder(tmp_path)
    (tmp_path / "arrays" / ("a" * 64)).mkdir(parents=True)
    (tmp_path / "arrays" / ("c" * 64)).mkdir()
    assert {(one.what, one.process, one.state) for one in leases(tmp_path)} == {
        (f"arrays/{'a' * 64}", process.pid, State.ALIVE), (f"encodings/{'b' * 64}", process.pid, State.ALIVE),
    }  # fmt: skip
    assert lost(tmp_path) == [f"arrays/{'c' * 64}"]
    assert list(survey(tmp_path).kept.values()) == [f"in use by process {process.pid} on {owner()[:-9]}"]
    sweep(tmp_path / "sets")
    assert len(list(found_in(tmp_path / "sets"))) == 2
    process.kill()
    process.wait()
    found = survey(tmp_path)
    assert len(found.lost) == 6  # two leases, a file and a folder that were written to, two folders of arrays
    assert found.kept == {}
    assert len(list(collect(tmp_path, found))) == 6
    assert [path.name for path in files(tmp_path)] == ["lock", "oodkit-store.json"]
    assert list((tmp_path / "sets").iterdir()) == []


def test_age_takes_nothing_that_is_in_use(tmp_path, holder):
    """An encode may take days; what it has written and leans on is as old as its first hour."""
    holder(tmp_path)
    for name in ("arrays/" + "a" * 64, f"encodings/{'b' * 64}/shards"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "encodings" / ("b" * 64) / "shards" / f"{'c' * 64}.safetensors").write_bytes(b"rows of no set yet")
    for path in [*tmp_path.rglob("*"), *tmp_path.rglob(".*")]:
        os.utime(path, (0, 0), follow_symlinks=False)
    before = files(tmp_path)
    assert lost(tmp_path) == []
    assert list(collect(tmp_path, survey(tmp_path))) == []
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("lease", "place"),
    [
        (f"arrays.{'a' * 64}", f"arrays/{'a' * 64}"),
        (f"encodings.{'b' * 64}", f"encodings/{'b' * 64}/shards/{'c' * 64}.safetensors"),
        (None, "sets/.oodkit-partial.elsewhere-0123abcd.0123456789abcdef"),
        (None, "arrays/.oodkit-partial.elsewhere-0123abcd.fedcba9876543210"),
    ],
)
def test_what_another_machine_may_use_stays_and_is_named_whatever_it_is(tmp_path, capsys, lease, place):
    Imports(tmp_path).add("a", "m", "test", ROWS, "a.npz")
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    if Path(place).suffix == ".safetensors":
        (tmp_path / place).write_bytes(b"rows")
    else:
        (tmp_path / place).mkdir()
    if lease is not None:
        (tmp_path / "leases" / f"{lease}.elsewhere-0123abcd.77.0123abcd").touch()
    with pytest.raises(SystemExit) as stop:
        main(["store", "gc", "--yes", "--store", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (stop.value.code or 0, out) == (0, "")
    assert "on elsewhere" in err or "on another machine" in err
    assert (tmp_path / place).exists()


def test_a_lease_that_another_machine_has_counts_and_is_named(tmp_path, monkeypatch, capsys):
    entry = Imports(tmp_path).add("a", "m", "test", ROWS, "a.npz")
    next((tmp_path / "names").glob("*/*.json")).unlink()
    monkeypatch.setattr(locks, "owner", lambda: "elsewhere-0123abcd")
    lease = tmp_path / "leases" / f"arrays.{entry.key}.elsewhere-0123abcd.77.0123abcd"
    lease.touch()
    half = tmp_path / "sets" / ".oodkit-partial.elsewhere-0123abcd.0123456789abcdef"
    half.parent.mkdir()
    half.write_text("half")
    monkeypatch.undo()
    with pytest.raises(SystemExit) as stop:
        main(["store", "gc", "--yes", "--store", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (stop.value.code or 0, out) == (0, "")
    assert f"kept {lease.relative_to(tmp_path)}: a lease of process 77 on elsewhere, which cannot be checked" in err
    assert f"kept arrays/{entry.key}: in use by process 77 on elsewhere" in err
    assert f"kept {half.relative_to(tmp_path)}: being written on another machine" in err
    lease.unlink()
    assert lost(tmp_path) == [f"arrays/{entry.key}"]


def test_a_system_without_locks_counts_every_lease_as_alive(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(95, "not supported")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    with lent(tmp_path, f"arrays/{'a' * 64}"):
        (one,) = leases(tmp_path)
        assert one.state is State.UNKNOWN
    assert leases(tmp_path) == []
    path, handle = new_file(tmp_path)
    assert [state for _, state in found_in(tmp_path)] == [State.UNKNOWN]
    discard(path, handle)
    assert list(found_in(tmp_path)) == []


def test_what_is_lent_is_given_back_and_what_is_kept_when_the_command_ends(tmp_path):
    with lent(tmp_path, f"arrays/{'a' * 64}"):
        assert len(leases(tmp_path)) == 1
    assert leases(tmp_path) == []
    for _ in range(3):
        keep(tmp_path, f"encodings/{'b' * 64}")
    assert len(leases(tmp_path)) == 1
    release()
    release()
    assert leases(tmp_path) == []


def test_threads_share_the_leases_of_their_process(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep(tmp_path, f"encodings/{'b' * 64}"), range(40)))
    assert len(leases(tmp_path)) == 1
    release()
    assert leases(tmp_path) == []


def test_a_forked_process_has_leases_of_its_own(tmp_path):
    keep(tmp_path, f"encodings/{'b' * 64}")
    child = os.fork()
    if not child:
        keep(tmp_path, f"encodings/{'b' * 64}")
        os._exit(len(leases(tmp_path)) - 2)
    assert os.waitpid(child, 0)[1] == 0
    assert [one.state for one in leases(tmp_path)].count(State.ALIVE) == 1
    release()
    assert [one.state for one in leases(tmp_path)] == [State.DEAD]


def test_what_comes_into_use_after_it_was_shown_is_left(tmp_path):
    imports = Imports(tmp_path)
    first = imports.add("a", "m", "test", ROWS, "a.npz")
    second = imports.add("b", "m", "test", {"logits": np.ones((2, 2), np.float32)}, "b.npz")
    for name in (tmp_path / "names").glob("*/*.json"):
        name.unlink()
    shown = survey(tmp_path)
    assert lost(tmp_path) == sorted(f"arrays/{one.key}" for one in (first, second))
    imports.add("c", "m", "test", ROWS, "c.npz")
    assert list(collect(tmp_path, shown)) == [tmp_path / "arrays" / second.key]
    np.testing.assert_array_equal(imports.arrays_of("c", "m", "test")["logits"], ROWS["logits"])


RACE = """
import json, sys, time
from pathlib import Path
import numpy as np
from ood_toolkit.errors import OodkitError
from ood_toolkit.store.garbage import collect, survey
from ood_toolkit.store.imports import Imports
store, what, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
end, count, errors = time.monotonic() + seconds, 0, []
draw, imports = np.random.default_rng(abs(hash(what)) % 2**32), Imports(store)
while time.monotonic() < end:
    try:
        if what == "gc":
            count += len(list(collect(store, survey(store))))
        else:  # the same few contents and names over and over, so that arrays lose their names and get new ones
            rows = np.full((4, 3), float(draw.integers(4)), np.float32)
            imports.add(f"s{draw.integers(3)}", "m", "test", {"logits": rows}, "x.npz", replace=True)
            name = f"s{draw.integers(3)}"
            found = imports.arrays_of(name, "m", "test")
            count += 1
    except Exception as error:
        errors.append(repr(error))
print(json.dumps([count, errors[:3], len(errors)]))
"""


def test_imports_and_reads_race_gc(tmp_path):
    Imports(tmp_path).add("s0", "m", "test", ROWS, "x.npz")
    running = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), what, "4"], stdout=subprocess.PIPE, text=True)
        for what in ("gc", "one", "two")
    ]
    told = [json.loads(process.communicate()[0]) for process in running]
    assert [errors for _, errors, _ in told] == [[], [], []]
    assert all(count > 0 for count, _, _ in told)
    imports = Imports(tmp_path)
    assert len(imports.entries()) >= 1
    for entry in imports.entries():
        imports.read(entry)
    assert list(tmp_path.rglob(".*")) == []


def test_a_stopped_process_leaves_no_lease(tmp_path):
    program = "import sys; from ood_toolkit.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "encode", "digits", "--split", "all", "--store", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(tmp_path.glob("leases/encodings.*")):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143
    assert err.splitlines()[-1] == "stopped"
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["lock"]
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_what_is_being_written_has_its_lock_beside_it(tmp_path, new):
    path, handle = new(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, f"{path.name}.lock"]
    assert list(found_in(tmp_path)) == [(path, State.ALIVE)]
    os.close(handle)
    assert list(found_in(tmp_path)) == [(path, State.DEAD)]
    Path(f"{path}.lock").unlink()
    assert list(found_in(tmp_path)) == [(path, State.DEAD)]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
