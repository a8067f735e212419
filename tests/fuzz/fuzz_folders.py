"""Readers of folders, of runs together, and of what stands beside a list: one file of several is damaged."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from fuzz_targets import CLASSES, CORPUS, Target

if TYPE_CHECKING:
    from ood_toolkit.report import Report
    from ood_toolkit.report.run_folder import Run

__all__ = ["FOLDERS"]

OF_HUGGING_FACE = {
    "hf_info.json": "dataset_info.json", "hf_state.json": "state.json", "hf.arrow": "data-00000-of-00001.arrow",
}  # fmt: skip


def table(file: Path) -> object:
    from ood_toolkit.store.npz import read_import

    return {name: array.shape for name, array in read_import(file).items()}


def retrieval(file: Path) -> object:
    places = {".npy": ("img_emb", "rows.npy"), ".parquet": ("metadata", "rows.parquet")}
    folder = file.parent / "retrieval"
    for suffix, (place, sound) in places.items():
        (folder / place).mkdir(parents=True)
        shutil.copy(file if file.suffix == suffix else CORPUS / sound, folder / place / f"part_0{suffix}")
    return table(folder)


def hugging_face(file: Path) -> object:
    import datasets

    from ood_toolkit.data.readers.huggingface import huggingface_set
    from ood_toolkit.errors import DataError

    datasets.disable_progress_bars()
    folder = file.parent / "saved"
    folder.mkdir()
    for own, theirs in OF_HUGGING_FACE.items():
        shutil.copy(file if file.name == own else CORPUS / own, folder / theirs)
    pictures = huggingface_set(str(folder), "hf:x").open("test", file.parent)
    for item in pictures.items[:5]:
        try:
            item.decode(item.read())
        except (DataError, OSError):
            continue
    return pictures.labels


def predictions(file: Path) -> object:
    from ood_toolkit.detectors.monitoring.feed import Predictions, position_of

    feed = Predictions(file, SimpleNamespace(digest="d", class_names=CLASSES, classes=len(CLASSES)))  # type: ignore[arg-type]
    return position_of(feed, []), [found.score.sum() for found, _ in feed.after(0)]


def card(file: Path) -> object:
    from ood_toolkit.store.cards import Cards
    from ood_toolkit.store.checksum import checked
    from ood_toolkit.store.marker import begin

    begin(file.parent)
    cards = Cards(file.parent)
    cards.folder.mkdir()
    cards._path("m", ["/w"]).write_bytes(checked(file.read_bytes()))
    found = cards.read("m", ["/w"])
    return cards.damaged(), found is not None and found.is_stale


def classifier(file: Path) -> object:
    import torch

    from ood_toolkit.models.classifiers import Classifier, loaded
    from ood_toolkit.models.preprocessing import Preprocessing
    from ood_toolkit.models.weights import read_checkpoint

    held = read_checkpoint(file)
    net = loaded(lambda rows: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, rows)), 3, held.weights, "m")
    half = (0.5, 0.5, 0.5)
    square = Preprocessing.square(4, "shortest", "bicubic", half, half)
    return Classifier("m", net, None, square, "fp32").head.fingerprint, held.fingerprint, held.notes


def class_list(file: Path) -> object:
    from ood_toolkit.data.readers.imglist import imglist_set
    from ood_toolkit.data.readers.webdataset import webdataset_set

    file.rename(file.with_name("classnames.txt"))
    shutil.copy(CORPUS / "shard.tar", file.parent / "0.tar")
    (file.parent / "list.txt").write_text("0.tar 0\n")
    imglist_set(str(file.parent / "list.txt"), "imglist:x").open("test", file.parent)
    return webdataset_set(str(file.parent / "0.tar"), "webdataset:x").open("test", file.parent)


def openood(file: Path) -> object:
    from ood_toolkit.data.readers.imglist import openood_list

    (file.parent / "benchmark_imglist").mkdir()
    (file.parent / "images").mkdir()
    shutil.copy(file, file.parent / "benchmark_imglist" / "x.txt")
    (file.parent / "images" / "list.txt").touch()
    return openood_list("x.txt", "images")("test", file.parent)


def kinds(file: Path) -> object:
    from ood_toolkit.cli.score import ROWS
    from ood_toolkit.detectors.places import DETECTOR, GRAPH, PARQUET
    from ood_toolkit.errors import StoreError
    from ood_toolkit.report.html.kind import PAGE

    for kind in (ROWS, GRAPH, PARQUET, PAGE):
        with suppress(StoreError):
            kind.check(file)
    return DETECTOR.check(file)


def run_of(folder: Path, file: Path | None = None) -> Run:
    """Read a run that is whole, or one with a damaged file in the place of its own."""
    from ood_toolkit.report.run_folder import read_run

    scores = folder / "scores" / "i"
    scores.mkdir(parents=True)
    parts = {"page.json": folder / "result.json", "page_test.npz": scores / "test.npz",
             "page_ood.npz": scores / "ood_o.npz"}  # fmt: skip
    for own, place in parts.items():
        shutil.copy(file if file is not None and file.name == own else CORPUS / own, place)
    return read_run(folder)


def report_of(folder: Path, file: Path | None = None) -> Report:
    from ood_toolkit.report import Report

    run = run_of(folder, file)
    return Report(run.rows, run.header, run.answers)


def comparison(file: Path) -> object:
    from ood_toolkit.report.comparison import compared_runs, spread
    from ood_toolkit.report.comparison_tables import about_runs, differences_grids

    runs = {"a": report_of(file.parent / "a"), "b": report_of(file.parent / "b", file)}
    notes: list[str] = []
    grids = differences_grids(compared_runs(runs, replicates=20, notes=notes))
    return about_runs(runs), grids, spread(runs, notes), notes


def leaderboard(file: Path) -> object:
    from ood_toolkit.report.comparison_tables import text_of
    from ood_toolkit.report.html.leaderboard import leaderboard_page
    from ood_toolkit.report.leaderboard.asked import Asked
    from ood_toolkit.report.leaderboard.board import board_of
    from ood_toolkit.report.leaderboard.entries import contribution_of
    from ood_toolkit.report.leaderboard.tables import board_grids, board_lines, board_notes, board_records

    board = board_of([contribution_of("b", report_of(file.parent / "b", file))], Asked())
    grids, said = board_grids(board), (board_lines(board), board_notes(board))
    made = [text_of(board_records(board), grids, style, None, False, *said) for style in STYLES]
    return made, leaderboard_page(board)


STYLES = ("table", "markdown", "latex", "csv", "json")
FOLDERS = (
    Target("import table", "npy", ("rows*.npy", "rows*.parquet"), table),
    Target("clip-retrieval", "npy", ("rows.npy", "rows.parquet"), retrieval),
    Target("predictions", "text", ("predictions.jsonl",), predictions),
    Target("model card", "safetensors", ("card.safetensors",), card),
    Target("classifier", "pt", ("classifier.pt", "classifier.safetensors"), classifier),
    Target("class list", "text", ("words.txt",), class_list),
    Target("openood list", "text", ("list.txt",), openood),
    Target("kinds", "safetensors", ("detector.safetensors",), kinds),
    Target("comparison", "json", ("page.json",), comparison),
    Target("comparison of scores", "npz", ("page_*.npz",), comparison),
    Target("leaderboard", "json", ("page.json",), leaderboard),
    *((Target("hugging face", "json", tuple(OF_HUGGING_FACE), hugging_face),) if find_spec("datasets") else ()),
)
"""What these read."""
