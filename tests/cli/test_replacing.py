"""What a command writes takes the place of a file of the same kind, and of no other."""

import struct

import numpy as np
import pytest

from ood_toolkit.outputs import Head
from ood_toolkit.store.head_file import save_head

FOREIGN = {
    "archive": None,
    "text": b"my thesis\n",
    "other HTML": b"<!doctype html>\n<html><head><title>mine</title></head></html>\n",
    "other CSV": b"image,score\na,1\n",
    "long header": struct.pack("<Q", 1 << 60) + b"{}",
    "header that is no text": struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
}
"""Files that none of the commands wrote."""
COMMANDS = {
    "fit msp --id digits -o {}": "d.oodkit",
    "inspect detector --move tpr -o {}": "d.oodkit",
    "bench --html {}": "page.html",
    "report run --html {}": "page.html",
    "report run --scores {}": "scores.csv",
    "report run --scores  {}": "scores.parquet",
    "plot run --kind roc -o {}": "roc.pdf",
    "plot run --kind  roc -o {}": "roc.png",
    "plot run --kind roc  -o {}": "roc.svg",
    "score msp --id digits --output {}": "scores.csv",
    "predict detector digits --parquet {}": "rows.parquet",
    "export detector --onnx {}": "d.onnx",
}
"""Commands that write one file; neither the detector nor the run is there, so a refusal comes before either is read."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_stays_and_is_refused_before_anything_is_read(oodkit, tmp_path, command, kind):
    file = tmp_path / COMMANDS[command]
    if FOREIGN[kind] is None:
        np.savez(tmp_path / "a.npz", embeddings=np.ones((3, 4)))
        (tmp_path / "a.npz").rename(file)
    else:
        file.write_bytes(FOREIGN[kind])
    before = file.read_bytes()
    done = oodkit(*(word.format(file) for word in command.split()))
    done.is_refused(f"{file}: it holds something that is no ", "; name another file")
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_detector_is_replaced_and_a_head_is_none(oodkit, tmp_path):
    file, copy = tmp_path / "d.oodkit", tmp_path / "copy.oodkit"
    words = ("fit", "msp", "--id", "digits", "--limit", "200", "-o")
    for place in (file, copy, copy):
        assert oodkit(*words, place).code == 0
    assert oodkit("inspect", file, "--move", "tpr:target=0.9", "-o", copy).code == 0
    assert oodkit("inspect", file, "--move", "tpr:target=0.9", "-o", file).code == 0
    empty = tmp_path / "empty.oodkit"
    empty.touch()
    assert oodkit(*words, empty).code == 0
    head = tmp_path / "head.safetensors"
    rows = np.eye(3, dtype=np.float32)
    save_head(head, Head.linear(rows, np.zeros(3, np.float32), ["a", "b", "c"]), None, {"model": "m"}, {})
    before = head.read_bytes()
    oodkit(*words, head).is_refused("it holds something that is no detector")
    assert head.read_bytes() == before


def test_a_graph_is_replaced_and_its_detector_is_not(oodkit, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file, graph = tmp_path / "d.oodkit", tmp_path / "d.onnx"
    assert oodkit("fit", "msp", "--id", "digits", "--limit", "200", "-o", file).code == 0
    before = file.read_bytes()
    oodkit("export", file, "--onnx", file).is_refused("it holds something that is no ONNX graph")
    assert file.read_bytes() == before
    for _ in range(2):
        done = oodkit("export", file, "--onnx", graph, "--inputs", "features")
        assert done.code == 0, done.err


def test_pages_plots_and_tables_are_replaced_by_their_like(oodkit, tmp_path):
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    words = ("bench", "--ood", "letters", "--limit", "40", "--scorers", "msp", "--output", run)
    assert oodkit(*words).code == 0
    files = [("plot", run, "--kind", "roc", "-o", tmp_path / f"roc.{form}") for form in ("pdf", "svg", "png")]
    files += [("report", run, "--scores", tmp_path / f"scores.{form}") for form in ("csv", "parquet")]
    files += [("report", run, "--html", tmp_path / "page.html")]
    files += [("score", "msp", "--id", "digits", "--limit", "40", "--output", tmp_path / "score.csv")]
    for command in files:
        for _ in range(2):
            done = oodkit(*command)
            assert done.code == 0, done.err
    (tmp_path / "roc.png").rename(tmp_path / "roc.pdf")
    oodkit("plot", run, "--kind", "roc", "-o", tmp_path / "roc.pdf").is_refused("it holds something that is no PDF")
