"""Streams that are closed, full, missing or of another encoding, terminals of any width, and hostile names to all."""

import io
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest

from ood_toolkit.cli import main, progress, streams
from ood_toolkit.errors import one_line
from ood_toolkit.report import Report
from ood_toolkit.report.results import Answers, Row

VALUES = {"auroc": 0.5, "fpr95_id": 0.25, "aupr_in": 0.125}
LONG = "a-data-set-with-a-long-name/and-a-part-that-is-longer"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")


@pytest.fixture
def run_folder(tmp_path):
    header = {"protocol": "native", "id": [{"name": "한국어 é", "images": 3}], "ood": {LONG: 2, "b": 2}, "model": LONG}
    rows = [Row("ood", "classwise", "한국어 é", ood, metrics=VALUES, notes=("±",)) for ood in (LONG, "b")]
    said = Answers(np.array(["1", "2", "3"]), {"classwise": np.arange(3.0)})
    Report(rows, header, {("한국어 é", "test"): said}).save(tmp_path / "run")
    return tmp_path / "run"


def ran(*words, shell="", **env):
    """Run the command line in a process of its own; `shell` redirects its streams."""
    line = ["sh", "-c", f'exec "$0" "$@" {shell}', sys.executable, "-m", "ood_toolkit", *map(str, words)]
    kept = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    return subprocess.run(line, env=kept | {"OODKIT_NO_PLUGINS": "1"} | env, capture_output=True, check=False)


def on_terminal(columns, *words):
    """Run the command line on a terminal of so many columns; give what it shows."""
    pid, handle = pty.fork()
    if not pid:
        os.environ.update(COLUMNS=str(columns), OODKIT_NO_PLUGINS="1")
        os.execv(sys.executable, [sys.executable, "-m", "ood_toolkit", *map(str, words)])
    parts = []
    while True:
        try:
            part = os.read(handle, 1 << 16)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.waitpid(pid, 0)
    os.close(handle)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_takes_a_report(encoding, run_folder):
    done = ran("report", run_folder, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert "50.00" in text
    assert ("한국어" if encoding == "utf-8" else r"\ud55c\uad6d\uc5b4") in text
    assert re.search("^ (─|-){20,}$", text, re.MULTILINE)


@pytest.mark.parametrize("shell", ["| true", ">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_stream_that_is_gone_is_no_error(shell, run_folder):
    done = ran("report", run_folder, shell=shell)
    assert (done.returncode, done.stderr) == (0, b"")


@FULL
def test_a_stdout_that_is_full_is_said_in_a_line(run_folder):
    done = ran("report", run_folder, shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("oodkit: stdout: no space is left")
    assert done.stderr.count(b"\n") == 1
    assert ran("report", run_folder, shell="2> /dev/full").returncode == 0


class _Gone(io.StringIO):
    """A stdout whose reader went away, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    ("stdout", "code"),
    [
        (_Gone(OSError(28, "No space left on device")), 1),
        (_Gone(BrokenPipeError(32, "Broken pipe")), 0),
        (io.TextIOWrapper(io.BytesIO(), "cp1252"), 0),
        (None, 0),
    ],
    ids=["full", "closed", "cp1252", "none"],
)
def test_the_run_folder_is_there_whatever_happens_to_stdout(stdout, code, oodkit, tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(20, 4))
    np.savez(tmp_path / "i.npz", embeddings=rows, labels=np.arange(20) % 2, classes=["é", "한국"], text=rows[:2])
    np.savez(tmp_path / "o.npz", embeddings=rows + 1)
    for name in "io":
        assert oodkit("import", name, tmp_path / f"{name}.npz").code == 0
    words = ["bench", "--id", "i", "--ood", "o", "--output", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as done:
            main(words)
    assert done.value.code == code
    assert (tmp_path / "run" / "result.json").is_file()


def test_a_report_is_printed_even_where_it_cannot_be_saved(tmp_path, oodkit, monkeypatch):
    monkeypatch.setattr(Report, "save", lambda self, folder: (_ for _ in ()).throw(OSError(28, "No space", folder)))
    line = ("bench", "--scorers", "msp", "--ood", "letters", "--limit", "20", "--output", tmp_path / "run")
    done = oodkit(*line)
    assert done.code == 1
    assert "msp" in done.out
    assert "no space" in done.err.lower()


def test_streams_that_are_none_lose_what_is_printed_and_nothing_else(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    streams.print_line("x")
    streams.print_message("y")
    progress.progress("z", 1, 2)
    progress.clear()
    assert streams.shape()[1] is False
    assert streams.lost_output() is None
    with pytest.raises(SystemExit) as stop:
        main(["scorers", "--json"])
    assert stop.value.code == 0


def test_a_file_never_takes_the_place_of_a_missing_stdout(tmp_path):
    code = (
        "import os, sys; from ood_toolkit.cli.streams import steady_streams\n"
        "with steady_streams():\n  print(open(sys.argv[1], 'w').fileno(), file=open(sys.argv[2], 'w'))"
    )
    files = (tmp_path / "f", tmp_path / "g")
    subprocess.run(["sh", "-c", 'exec "$0" -c "$@" >&- 2>&- <&-', sys.executable, code, *files], check=True)
    assert int((tmp_path / "g").read_text()) > 2


@pytest.mark.parametrize("columns", [20, 80])
def test_no_line_on_a_terminal_is_wider_than_it(columns, run_folder):
    shown = re.sub("\x1b\\[[0-9]?m", "", on_terminal(columns, "report", run_folder))
    assert max(map(len, shown.splitlines())) <= columns
    whole = re.sub(r"\s", "", shown)
    assert whole.count("50.00") == whole.count("25.00") == whole.count("12.50") >= 2
    for name in ("classwise", LONG if columns < 60 else "a-data-set"):
        assert name in whole


@pytest.mark.parametrize("columns", [24, 40, 80, 200])
@pytest.mark.parametrize(
    "words", ["bench --help", "train --help", "store gc --help", "--help", "bench --nonsense", "report nowhere-at-all"]
)
def test_help_and_messages_are_as_wide_as_the_terminal(columns, words, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main(words.split())
    shown = "".join(capsys.readouterr())
    assert max(map(len, shown.splitlines())) <= columns
    if words == "report nowhere-at-all":
        assert "nowhere-at-all:expectedarunfolder" in re.sub(r"\s", "", shown)
    if words == "--help":
        assert "Compare scorers: how well each tells an ID set from OOD sets" in " ".join(shown.split())


def test_pipes_are_not_folded(run_folder):
    lines = ran("report", run_folder).stdout.decode().splitlines()
    assert f"model {LONG}" in lines
    assert any(f" {LONG}  50.00" in line for line in lines)
    error = ran("report", f"/{LONG}" * 5)
    assert error.stderr.count(b"\n") == 1


def test_columns_ask_for_a_width_where_there_is_no_terminal(run_folder):
    lines = ran("report", run_folder, COLUMNS="50").stdout.decode().splitlines()
    assert max(map(len, lines)) <= 50


def test_a_command_to_copy_goes_on_as_in_a_shell(monkeypatch, capsys):
    monkeypatch.setattr(streams, "terminal_width", lambda stream: 30)
    streams.print_command("oodkit bench --model 'a b' --id digits --ood letters")
    out = capsys.readouterr().out
    assert out == "oodkit bench --model 'a b' \\\n--id digits --ood letters\n"
    assert max(map(len, out.splitlines())) <= 30


@pytest.mark.parametrize("name", ["\x1b]0;T\x07x", "a\nb", "\u202ex", "\x9b2J", "caf\udce9"])
def test_messages_hold_no_commands(name, capsys):
    streams.print_message(f"{name}: broken")
    counts = {"images": 2, "encoded": 1, "unreadable": {name: name}, "repaired": [], "notes": [f"gone {name}"]}
    progress.encoded({"encoding": {name: counts}}, 1.0)
    with pytest.raises(SystemExit):
        main(["report", f"/nowhere/{name}"])
    with pytest.raises(SystemExit):
        main(["bench", f"--{name}"])
    err = capsys.readouterr().err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", err)


@pytest.mark.parametrize(
    "words",
    [
        ("report", "{}"),
        ("inspect", "{}"),
        ("import", "x", "{}"),
        ("store", "gc", "--store", "{}"),
        ("store", "list", "--store", "{}"),
        ("bench", "--texts", "no={}"),
        ("bench", "--head", "{}"),
        ("bench", "--id", "imglist:{}", "--ood", "letters"),
        ("monitor", "{}", "--on", "digits"),
    ],
    ids=lambda words: " ".join(words),
)
@pytest.mark.parametrize("name", ["no\nwhere", "no\r\nwhere", "no\n\nwhere"])
def test_a_name_ends_no_line_of_a_message(words, name, oodkit, tmp_path):
    place = tmp_path / name
    done = oodkit(*(word.format(place) for word in words))
    assert done.err.count("\n") == 1, done.err
    assert name.encode("unicode_escape").decode() in done.err


@pytest.mark.parametrize("words", [("bench", "--{}"), ("compare", "{}", "{}"), ("bench", "--ood", "{}=")])
def test_nor_does_one_of_wrong_usage(words, oodkit):
    done = oodkit(*(word.format("no\nwhere") for word in words))
    assert done.code == 2
    *_, said = done.err.splitlines()
    assert said.startswith("Error: ")
    assert "\nwhere" not in done.err


def test_what_stands_below_a_message_begins_with_two_blanks(oodkit, capsys):
    streams.print_message("one\n  two\nthree\n  four\n")
    assert capsys.readouterr().err == "one\n  two\\nthree\n  four\\n\n"
    done = oodkit("bench", "--id", "a\nb", "--ood", "c")
    assert [line[:2] for line in done.err.splitlines()[1:]] == ["  "] * (done.err.count("\n") - 1)
    assert "not here: a\\nb, c" in done.err


def test_a_log_gets_a_line_every_thirty_seconds(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "EVERY", 30.0)
    progress.clear()
    for place in range(13):
        progress.progress("encoding a", 100 * place, 2400)
        now[0] += 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "encoding a 300/2,400, 10.0 images/s, 3:30 left"
    assert len(lines) == 4
    progress.clear()
    progress.progress("encoding b", 0, 10)
    assert capsys.readouterr().err == ""
    progress.clear()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/a/b"), "/a/b: no space is left on its disk; free some"),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: there is no permission for it"),
        (FileNotFoundError(2, "No such file or directory", b"/a/\xff"), "/a/\udcff: no such file or folder"),
        (OSError(36, "File name too long", "x" * 300), "the name is too long for its disk"),
        (OSError(18, "Invalid cross-device link", "/a", None, "/b"), "OSError"),
        (IsADirectoryError(21, "Is a directory", "/a"), "/a: expected a file, it is a folder"),
        (OSError("of a plugin"), "OSError: of a plugin"),
    ],
)
def test_what_the_system_refuses_is_said_with_path_and_remedy(error, said):
    assert said in one_line(error)
    assert "Errno" not in one_line(error) or "cross-device" in str(error)
