"""A place that cannot be written is refused at once: before torch is imported, or anything is loaded or encoded."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.reservation import reserved
from ood_toolkit.store.room import check_writable

PROGRAM = """
import sys
from ood_toolkit.cli import main
for line in sys.stdin.read().splitlines():
    print(line, file=sys.stderr)
    import shlex
    try:
        main(shlex.split(line))
    except SystemExit as stop:
        print("exit", stop.code, *sorted({"torch", "open_clip"} & set(sys.modules)), file=sys.stderr)
"""
LINES = (
    "bench --output {}",
    "bench --seeds 0,1 --output {}",
    "score msp --id digits --output {}",
    "fit msp --id digits -o {}",
    "predict detector digits -o {}",
    "predict detector digits --parquet {}",
    "inspect detector --move tpr -o {}",
    "discover --id digits --among letters --output {}",
    "train head --id digits --output {}",
    "train clipn --id digits --model digits-clip --output {}",
    "train cma --id digits --model digits-clip --output {}",
    "train prompts --id digits --model digits-clip --output {}",
    "bench --store {}",
    "encode digits --model digits-clip --store {}",
    "fit msp --id digits -o detector --store {}",
)


@pytest.fixture
def said(tmp_path):
    """Run commands in one process; gives what each said, and checks that nothing heavy was imported before."""

    def run(place):
        lines = [line.format(shlex.quote(str(place))) for line in LINES]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input="\n".join(lines), cwd=tmp_path, capture_output=True, text=True,
            check=False, env=os.environ | {"OODKIT_STORE": str(tmp_path / "store"), "OODKIT_NO_PLUGINS": "1"},
        )  # fmt: skip
        assert done.stdout == ""
        parts = done.stderr.split("\nexit ")
        found = {}
        for line, part, end in zip(lines, parts[:-1], parts[1:], strict=True):
            assert end.splitlines()[0] in ("1", "2"), (line, end)
            found[line] = part[part.index(line) + len(line) :].strip()
        return found

    return run


@pytest.mark.parametrize("kind", ["below a file", "no permission", "too long"])
def test_every_command_refuses_a_place_that_cannot_be_written_at_once(said, tmp_path, kind):
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    if kind == "no permission" and os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    place = {
        "below a file": tmp_path / "file" / "out",
        "no permission": tmp_path / "closed" / "out",
        "too long": tmp_path / ("x" * 300),
    }[kind]
    before = sorted(tmp_path.rglob("*"))
    for line, message in said(place).items():
        assert str(place) in message, (line, message)
        assert message.count("\n") == 0, (line, message)
        assert "Errno" not in message
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_there_already_is_refused_before_a_model_is_loaded(oodkit, tmp_path, monkeypatch):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mine").touch()
    oodkit("predict", "gone", "digits", "-o", tmp_path / "rows.jsonl").is_refused("is there already", "--append")
    oodkit("predict", "gone", "digits", "--parquet", tmp_path / "parts").is_refused("expected a new or empty folder")
    done = oodkit("score", "msp", "--id", "digits", "--output", tmp_path / "parts")
    assert (done.code, "is a directory" in done.err) == (2, True)
    assert not (tmp_path / "store").exists()


def test_a_folder_without_permission_is_named_with_what_to_do(tmp_path, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    for refuse in (check_writable, lambda place: reserved(place).__enter__()):
        with pytest.raises(StoreError, match=r"no permission to write to .*; change its permissions, or name another"):
            refuse(tmp_path / "a" / "out")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*file/out: .*/file is a file, not a folder"):
        check_writable(tmp_path / "file" / "out")
