"""Further readers: rows to decide on, files that runs go on with, sets as others lay them out, and the store's own."""

from __future__ import annotations

import io
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from fuzz_folders import FOLDERS
from fuzz_targets import CORPUS, TARGETS, Target

if TYPE_CHECKING:
    from ood_toolkit import Detector

__all__ = ["ALL"]


def rows(file: Path) -> object:
    from ood_toolkit.detectors.sources import Finder, sources_of

    (source,) = sources_of([str(file)], io.StringIO(), Finder(lambda name: None, lambda name: None))
    return [(names, given.sum()) for names, given in source.walk()]  # type: ignore[union-attr]


def columns(file: Path) -> object:
    from ood_toolkit.store.foreign.columns import read_columns

    return {name: array.shape for name, array in read_columns(file).items()}


def gone_on_with(file: Path) -> object:
    from ood_toolkit.detectors.writing import parquet_writer, resumed

    if file.suffix == ".parquet":
        return parquet_writer(file.parent, "d", append=True)
    stream, known, new = resumed(file, "csv" if file.suffix == ".csv" else "json", "d")
    stream.close()
    return len(known), new


def gallery(file: Path) -> object:
    from ood_toolkit.report.gallery import read_gallery

    name = "index.json" if file.suffix == ".json" else "0.png"
    for other in {"index.json", "0.png"} - {name}:
        shutil.copy(CORPUS / f"gallery{Path(other).suffix}", file.parent / other)
    shutil.copy(file, file.parent / name)
    return read_gallery(file.parent)


def page(file: Path) -> object:
    """Read a run that is whole, one file of it damaged, up to what its page holds."""
    from ood_toolkit.report import Report
    from ood_toolkit.report.html.contents import contents
    from ood_toolkit.report.html.page import embedded
    from ood_toolkit.report.run_folder import read_run

    scores = file.parent / "scores" / "i"
    scores.mkdir(parents=True, exist_ok=True)
    for name, own in (("test.npz", "page_test.npz"), ("ood_o.npz", "page_ood.npz")):
        shutil.copy(file if file.name == own else CORPUS / own, scores / name)
    shutil.copy(file if file.name == "page.json" else CORPUS / "page.json", file.parent / "result.json")
    run = read_run(file.parent)
    return embedded(contents(Report(run.rows, run.header, run.answers)))


def kit(file: Path) -> object:
    from ood_toolkit.data.catalogue.imagenet_devkit import flat_validation
    from ood_toolkit.data.readers.folders import ClassFolders

    other = "meta.mat" if file.suffix == ".txt" else "ILSVRC2012_validation_ground_truth.txt"
    shutil.copy(CORPUS / other, file.parent)
    (file.parent / "val").mkdir()
    (file.parent / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    return flat_validation(file.parent / "val", file.parent, ClassFolders(("n1", "n2"), ("a", "b")), part=False)


def tiny(file: Path) -> object:
    from ood_toolkit.data.catalogue.imagenet import tiny as read

    base = file.parent / "tiny-imagenet-200"
    (base / "val" / "images").mkdir(parents=True)
    (base / "val" / "images" / "val_0.JPEG").touch()
    shutil.copy(CORPUS / "wnids.txt", base)
    shutil.copy(CORPUS / "val_annotations.txt", base / "val")
    shutil.copy(file, base if file.name == "wnids.txt" else base / "val")
    return read("test", file.parent)


def through_torchvision(file: Path) -> object:
    from ood_toolkit.data.readers.torchvision_sets import arrays, listed_files

    if file.suffix == ".json":
        place, picture = file.parent / "food-101" / "meta", file.parent / "food-101" / "images" / "pie" / "1.jpg"
        read = listed_files("Food101", "food-101", {"test": ("meta/test.json",)}, {"test": {"split": "test"}})
    elif file.suffix == ".txt":
        base = file.parent / "dtd" / "dtd"
        place, picture = base / "labels", base / "images" / "banded" / "1.jpg"
        read = listed_files("DTD", "dtd/dtd", {"test": ("labels/test1.txt",)}, {"test": {"split": "test"}})
    else:
        place, picture = file.parent / "MNIST" / "raw", file.parent / "none"
        needs = {"test": "MNIST/raw/t10k-images-idx3-ubyte"}
        read = arrays("MNIST", "", needs, {"test": {"train": False}}, tuple("0123456789"))
    place.mkdir(parents=True)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.touch()
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte") if place.name == "raw" else ():
        shutil.copy(CORPUS / name, place)
        (place / name.replace("t10k", "train")).touch()
    shutil.copy(file, place)
    return read("test", file.parent)


def training_record(file: Path) -> object:
    from ood_toolkit.learning.cma.run import _Run
    from ood_toolkit.learning.record import Record

    run = _Run.__new__(_Run)
    run.folder, run.ranks, run.recipe = file.parent, SimpleNamespace(first=1), SimpleNamespace(weight=0.1)  # type: ignore[assignment]
    run.record = Record("cma", {"weight": 0.1}, {"train": {"fingerprint": "1"}}, {"name": "m"}, 0)
    return run.read().course


@cache
def watched() -> Detector:
    from ood_toolkit import Detector

    return Detector.load(CORPUS / "detector_logits.safetensors")


def monitor_state(file: Path) -> object:
    from ood_toolkit import Monitor

    return Monitor.load(file, watched()).report().lines()


def hashes(file: Path) -> object:
    from ood_toolkit.store.hashes import Memory, Whole

    memory = Memory(file.parent)
    try:
        return memory.recall([Whole(Path("/nowhere/list.txt")), Whole(file)])
    finally:
        memory.close()


def imported_arrays(file: Path) -> object:
    import numpy as np

    from ood_toolkit.store.arrays import content_key
    from ood_toolkit.store.imports import Entry, Imports

    key = content_key({"features": np.load(CORPUS / file.name)})
    folder = file.parent / "arrays" / key
    folder.mkdir(parents=True)
    shutil.copy(file, folder / "features.npy")
    return Imports(file.parent).read(Entry("m", "x", "test", key, "a.npz", 3))


def kept_texts(file: Path) -> object:
    from ood_toolkit.store.checksum import checked
    from ood_toolkit.store.texts import Texts

    texts = Texts(file.parent)
    texts.folder.mkdir()
    texts._path({}).write_bytes(checked(file.read_bytes()))
    found = texts.read({})
    return None if found is None else (found.rows.sum(), found.cut), texts.damaged(), list(texts.of(["0"]))


def vectors(file: Path) -> object:
    from ood_toolkit.learning.seminar.casting import cast_vectors

    for other in CORPUS.glob("*.npz"):
        if other.name.startswith(("image_", "text_")) and other.name != file.name:
            shutil.copy(other, file.parent)
    return cast_vectors(file.parent, 0)


def marker(file: Path) -> object:
    from ood_toolkit.store.garbage import survey
    from ood_toolkit.store.marker import begin

    begin(file.parent)
    return survey(file.parent)


def of_transformers(file: Path) -> object:
    from oodkit_transformers.checkpoint import check_folder

    for name in ("config.json", "model.safetensors.index.json"):
        if name != file.name:
            shutil.copy(CORPUS / name, file.parent)
    for name in ("model-1.safetensors", "tokenizer.json", "preprocessor_config.json"):
        (file.parent / name).touch()
    return check_folder(file.parent, str(file.parent))


FURTHER = (
    Target("rows npz", "npz", ("rows.npz",), rows),
    Target("rows npy", "npy", ("rows*.npy",), rows),
    Target("rows parquet", "bytes", ("rows*.parquet",), rows),
    Target("columns parquet", "bytes", ("rows*.parquet",), columns),
    Target("rows so far", "text", ("decided.*", "part-00000.parquet"), gone_on_with),
    Target("imagenet kit", "text", ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"), kit),
    Target("tiny imagenet", "text", ("wnids.txt", "val_annotations.txt"), tiny),
    Target("torchvision", "text", ("test.json", "test1.txt", "t10k-*"), through_torchvision),
    Target("training record", "json", ("training.json",), training_record),
    Target("monitor state", "json", ("monitor.json",), monitor_state),
    Target("hashes", "bytes", ("hashes.sqlite",), hashes),
    Target("imported arrays", "npy", ("bank.npy",), imported_arrays),
    Target("kept texts", "safetensors", ("kept.safetensors",), kept_texts),
    Target("vectors", "npz", ("image_*.npz", "text_*_a.npz"), vectors),
    Target("marker", "json", ("oodkit-store.json",), marker),
    Target("gallery", "json", ("gallery.json",), gallery),
    Target("page", "json", ("page.json",), page),
    Target("page of scores", "npz", ("page_*.npz",), page),
)
OF_PLUGINS = (Target("transformers", "json", ("config.json", "model.safetensors.index.json"), of_transformers),)
ALL = (*TARGETS, *FURTHER, *FOLDERS, *(OF_PLUGINS if find_spec("oodkit_transformers") else ()))
"""All readers that are here."""
