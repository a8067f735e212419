"""One run at a time writes an output; what killed ones left beside it is taken away by the next."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ood_toolkit.cli import main
from ood_toolkit.errors import StoreError
from ood_toolkit.store.locks import owner
from ood_toolkit.store.partial import new_file, new_folder
from ood_toolkit.store.reservation import reserved

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs locks of Unix")
HOLD = """
import sys, time
from pathlib import Path
from ood_toolkit.store.partial import new_folder
from ood_toolkit.store.reservation import reserved
output = Path(sys.argv[1])
with reserved(output):
    partial, _ = new_folder(output.parent)
    (partial / "half").write_text("half")
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder():
    started = []

    def start(output):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(output)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def oodkit(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code or 0


COMMANDS = {
    "bench": ("bench",),
    "score": ("score", "msp", "--id", "digits"),
    "head": ("train", "head", "--id", "digits"),
    "clipn": ("train", "clipn", "--id", "digits", "--model", "digits-clip"),
    "cma": ("train", "cma", "--id", "digits", "--model", "digits-clip"),
    "prompts": ("train", "prompts", "--id", "digits", "--model", "digits-clip"),
    "discover": ("discover", "--id", "digits", "--among", "letters"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_loser_is_told_before_it_works(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    with reserved(tmp_path / "out"):
        assert oodkit(*COMMANDS[name], "--output", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"oodkit: {tmp_path / 'out'}: another run, process {os.getpid()} on ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was encoded


def test_the_place_of_predictions_in_parquet_and_of_a_new_plugin_is_kept_too(tmp_path, capsys):
    for words, place in (
        (("predict", tmp_path / "d", tmp_path, "--parquet", tmp_path / "out"), "out"),
        (("predict", tmp_path / "d", tmp_path, "--parquet", tmp_path / "out.parquet"), "out.parquet"),
        (("new", "scorer", "mine", "--output", tmp_path), "oodkit-mine"),
    ):
        with reserved(tmp_path / place):
            assert oodkit(*words) == 1
        assert f"{tmp_path / place}: another run, process {os.getpid()} on " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_process_holds_it_until_it_is_killed_and_then_nothing_is_left(tmp_path, holder):
    process = holder(tmp_path / "out")
    with pytest.raises(StoreError, match=f"another run, process {process.pid} on .* name another with --output"):
        reserved(tmp_path / "out").__enter__()
    with reserved(tmp_path / "other"):  # is free
        pass
    assert len(list(tmp_path.iterdir())) == 3
    process.kill()
    process.wait()
    with reserved(tmp_path / "other"):
        assert [path.name[:15] for path in tmp_path.iterdir()] == [".oodkit-output."]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["folder", "file"])
def test_what_is_there_in_a_folder_that_may_not_be_written_can_be_used(tmp_path, monkeypatch, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    with reserved(tmp_path / name), reserved(tmp_path / name):
        assert len(list(tmp_path.iterdir())) == 2


def test_paths_to_one_place_are_one_place(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with reserved(tmp_path / "out"):
        for same in (Path("out"), Path("./x/../out"), tmp_path / "link" / "out"):
            with pytest.raises(StoreError, match="another run"):
                reserved(same).__enter__()


@pytest.mark.parametrize("name", ["out", "é한글", "a b;c", "x" * 250])
def test_folders_that_were_made_for_it_go_again_unless_something_lies_in_them(tmp_path, name):
    with reserved(tmp_path / "a" / "b" / name):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with reserved(tmp_path / "a" / "b" / name):
        (tmp_path / "a" / "b" / name).mkdir()
    assert (tmp_path / "a" / "b" / name).is_dir()


def test_what_another_machine_may_write_is_refused_with_what_to_do(tmp_path):
    with reserved(tmp_path / "out"):
        (file,) = tmp_path.iterdir()
    file.write_text("elsewhere-0123abcd 77\n")
    with pytest.raises(StoreError, match=f"process 77 on elsewhere, may be .* cannot be checked .* delete {file}"):
        reserved(tmp_path / "out").__enter__()
    file.unlink()
    with reserved(tmp_path / "out"):
        pass
    for text in (f"{owner()} 77\n", "", "damaged \udcff"):  # one of here that was killed
        file.write_text(text, errors="surrogateescape")
        with reserved(tmp_path / "out"):
            pass
        assert not file.exists()


def test_foreign_hidden_files_and_partial_files_that_are_alive_stay(tmp_path):
    names = (".oodkit-partial.abcd1234", ".oodkit-output.mine", ".x.abcd1234", ".git", ".oodkit-partial.x.lock",
             ".oodkit-partial.elsewhere-0123abcd.0123456789abcdef")  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("mine")
    alive = [new_file(tmp_path), new_folder(tmp_path)]
    with reserved(tmp_path / "out"):
        pass
    assert {path.name for path in tmp_path.iterdir()} >= {*names, *(path.name for path, _ in alive)}
    for _, handle in alive:
        os.close(handle)
    with reserved(tmp_path / "out"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_a_run_that_is_killed_while_it_writes_leaves_what_the_next_takes_away(tmp_path, monkeypatch):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    program = """
        import os, signal, sys
        from pathlib import Path
        rename = Path.rename
        def stop(old, new):
            if str(new).endswith("run"):
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(old, new)
        Path.rename = stop
        from ood_toolkit.cli import main
        main(sys.argv[1:])
    """
    words = ("bench", "--scorers", "msp", "--output")
    text = "\n".join(line.strip(" ") if not line.startswith(" " * 12) else line[8:] for line in program.splitlines())
    killed = subprocess.run([sys.executable, "-c", text, *words, str(tmp_path / "out" / "run")], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(left) == 3  # a folder, its lock, a reservation
    assert oodkit(*words, tmp_path / "out" / "run") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]
