"""The readers of foreign files, each with its seeds: small sound files in `corpus/`, made by `fuzz_corpus.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
CLASSES = ("cat", "dog", "car")
WIDTH = 4
TINY: dict[str, Any] = {
    "embed_dim": 4,
    "vision_cfg": {"image_size": 8, "patch_size": 4, "width": 8, "layers": 1, "head_width": 4},
    "text_cfg": {"context_length": 12, "vocab_size": 20, "width": 8, "heads": 2, "layers": 1},
}
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    kind: str
    """What knows the inside of its files; see `fuzz_mutation`."""
    seeds: tuple[str, ...]
    """Patterns of files in the corpus; each case is one of them, damaged."""
    read: Read
    """Reads a damaged file that lies in an empty folder under the seed's own name."""

    @property
    def files(self) -> list[Path]:
        """The seeds."""
        return sorted(file for pattern in self.seeds for file in CORPUS.glob(pattern))


def npz_import(file: Path) -> object:
    from ood_toolkit.store.npz import read_import

    whole = CORPUS / "set.npz"
    if file.name.startswith("text"):
        return read_import(whole, text=file)
    if file.name.startswith("linear"):
        return read_import(CORPUS / "bare.npz", head=file)
    if file.name.startswith("bank"):
        return read_import(whole, text=CORPUS / "text.npz", texts={"negatives": file})
    return read_import(file)


def npz_scores(file: Path) -> object:
    from ood_toolkit.store.npz import read_scores

    return read_scores(file, "x", None, lower_is_id=True)


def npz_images(file: Path) -> object:
    from ood_toolkit.data.readers.npz_images import npz_set

    pictures = npz_set(str(file), "npz:x").open("test", file.parent)
    return [image.size for image in pictures.images[:3]], pictures.labels


def bank(file: Path) -> object:
    from ood_toolkit.models.bank_files import read_bank

    return read_bank(file, WIDTH, CLASSES, "no" if file.name.startswith("no") else "negatives")


def context(file: Path) -> object:
    from ood_toolkit.models.contexts import read_context

    return read_context(str(file), tiny_clip(), "tiny").vectors_of(CLASSES)


@cache
def tiny_clip() -> object:
    import open_clip
    import torch

    torch.manual_seed(0)
    vision = open_clip.CLIPVisionCfg(**TINY["vision_cfg"])
    return open_clip.CLIP(TINY["embed_dim"], vision, open_clip.CLIPTextCfg(**TINY["text_cfg"]))


def weights(file: Path) -> object:
    from ood_toolkit.models.weights import load_strictly, read_checkpoint

    return load_strictly(tiny_clip(), read_checkpoint(file).weights, "tiny")


def checkpoint(file: Path) -> object:
    from ood_toolkit.learning.checkpoint import read_checkpoint

    return read_checkpoint(file.parent, "identity")


def head(file: Path) -> object:
    import torch

    from ood_toolkit.store.head_file import read_head

    found = read_head(file).head
    return found.logits(torch.ones(2, found.width)), found.fingerprint


def detector(file: Path) -> object:
    import numpy as np

    from ood_toolkit import Detector

    found = Detector.load(file)
    wide = found.head.width if found.head is not None else found.classes
    found.predict(np.linspace(1, 2, 2 * wide, dtype=np.float32).reshape(2, wide))
    return found.calibration


def digits_clip(file: Path) -> object:
    from ood_toolkit.models.digits_clip import load_digits_clip

    return load_digits_clip(file)


def configuration(file: Path) -> object:
    from ood_toolkit.models.open_clip_recipe import of_folder
    from ood_toolkit.models.pretrained import Hub

    (file.parent / "open_clip_model.safetensors").write_bytes((CORPUS / "weights.safetensors").read_bytes())
    if file.name == "README.md":
        (file.parent / "open_clip_config.json").write_bytes((CORPUS / "open_clip_config.json").read_bytes())
    return of_folder(str(file.parent), Hub())


def built_model(file: Path) -> object:
    from ood_toolkit.models.clip import load_local_dir

    (file.parent / "open_clip_model.safetensors").write_bytes((CORPUS / "weights.safetensors").read_bytes())
    return load_local_dir(str(file.parent))


def clipn(file: Path) -> object:
    from ood_toolkit.models.clipn import _settled

    (file.parent / "epoch_1.pt").write_bytes((CORPUS / "weights.pt").read_bytes())
    return _settled(f"local-dir/{file.parent / 'epoch_1.pt'}")


def run_folder(file: Path) -> object:
    from ood_toolkit.report import Report
    from ood_toolkit.report.run_folder import read_run

    other = "result.json" if file.suffix == ".npz" else ""
    if other:
        (file.parent / other).write_bytes((CORPUS / other).read_bytes())
        scores = file.parent / "scores" / "i"
        scores.mkdir(parents=True, exist_ok=True)
        (scores / "ood_o.npz").write_bytes(file.read_bytes())
    run = read_run(file.parent)
    report = Report(run.rows, run.header, run.answers)
    return report.table(), report.to_json(), report.to_csv(), report.to_markdown(), report.to_latex()


def preset(file: Path) -> object:
    from ood_toolkit.benchmark.presets import read_preset

    found = read_preset(file)
    return found.settings(), found.preprocessing(), [list(row.numbers()) for row in found.published]


def imglist(file: Path) -> object:
    from ood_toolkit.data.readers.imglist import imglist_set

    return imglist_set(f"{file}@{file.parent}", "imglist:x").open("test", file.parent)


def lists(file: Path) -> object:
    from ood_toolkit.data.readers.torchvision_sets import cub200, places365

    if file.name.startswith("categories"):
        base = file.parent / "places365"
        (base / "val_256" / "a").mkdir(parents=True, exist_ok=True)
        (base / "val_256" / "a" / "abbey").touch()
        (base / "categories_places365.txt").write_bytes(file.read_bytes())
        (base / "places365_val.txt").write_bytes(file.read_bytes())
        return places365("test", file.parent)
    base = file.parent / "CUB_200_2011"
    (base / "images" / "001.Albatross").mkdir(parents=True, exist_ok=True)
    (base / "images" / "001.Albatross" / "a.jpg").touch()
    (base / "images.txt").write_bytes(file.read_bytes())
    (base / "train_test_split.txt").write_bytes(file.read_bytes() + b"\n1 0")
    (base / "classes.txt").write_text("1 001.Albatross")
    return cub200("test", file.parent)


def words(file: Path) -> object:
    from ood_toolkit.benchmark.reading import read_prompts
    from ood_toolkit.data.words import read_words
    from ood_toolkit.errors import DataError
    from ood_toolkit.models.classifiers import read_names

    with suppress(DataError):
        read_words(file)
    read_names(str(file))
    return read_prompts([str(file)])


def tar(file: Path) -> object:
    from ood_toolkit.data.readers.captions import read_pairs
    from ood_toolkit.data.readers.webdataset import webdataset_set
    from ood_toolkit.errors import DataError

    with suppress(DataError):
        read_pairs(str(file))
    pictures = webdataset_set(str(file), "webdataset:x").open("test", file.parent)
    for item in pictures.items:
        with suppress(DataError, OSError):
            item.decode(item.read())
    return pictures


def pairs(file: Path) -> object:
    from ood_toolkit.data.readers.captions import read_pairs

    return read_pairs(str(file))


def picture(file: Path) -> object:
    from ood_toolkit.api.picture import FilePicture
    from ood_toolkit.models.preprocessing import Preprocessing

    item = FilePicture(str(file))
    image = item.decode(item.read(), 16)
    half = (0.5, 0.5, 0.5)
    return Preprocessing.square(16, "shortest", "bicubic", half, half)(image)


def cifar(file: Path) -> object:
    from ood_toolkit.data.readers.cifar import read_batch

    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return read_batch(file, md5, "labels")


def shard(file: Path) -> object:
    from ood_toolkit.store.shard import open_shard

    return open_shard(file).rows[:1].sum()


def listing(file: Path) -> object:
    from ood_toolkit.store.checksum import checked
    from ood_toolkit.store.listings import Listings

    place = file.parent / "sets" / "x.test.listing"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(checked(file.read_bytes()))
    listings = Listings(file.parent)
    return [listings.read(*named) for named in listings.names()]


def named_arrays(file: Path) -> object:
    from ood_toolkit.store.imports import Imports

    place = file.parent / "names" / "m" / "x.test.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.read_bytes())
    imports = Imports(file.parent)
    return imports.find("x", "m", "test")


def negatives(file: Path) -> object:
    from ood_toolkit.cli import negatives as command
    from ood_toolkit.store.negatives import Negatives

    place = file.parent / "negatives" / f"{'0' * 64}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(file.read_bytes())
    key, found = Negatives(file.parent).read("0")
    return command._row(key, found), command._rule(found)


def encoder(file: Path) -> object:
    from ood_toolkit.store.encodings import about_encoder

    return about_encoder(file.parent)


TARGETS = (
    Target("npz import", "npz", ("set*.npz", "bare.npz", "text.npz", "linear.npz", "bank.npz"), npz_import),
    Target("npz scores", "npz", ("scores.npz",), npz_scores),
    Target("npz pictures", "npz", ("images*.npz",), npz_images),
    Target("bank npz", "npz", ("bank.npz", "no*.npz"), bank),
    Target("bank npy", "npy", ("bank.npy",), bank),
    Target("bank pt", "pt", ("bank.pt", "no.pt"), bank),
    Target("bank safetensors", "safetensors", ("bank.safetensors",), bank),
    Target("context", "npz", ("context*.npz", "context*.pt"), context),
    Target("weights pt", "pt", ("weights.pt", "legacy.pt"), weights),
    Target("weights safetensors", "safetensors", ("weights.safetensors",), weights),
    Target("checkpoint", "pt", ("checkpoint.pt",), checkpoint),
    Target("head", "safetensors", ("head*.safetensors",), head),
    Target("detector", "safetensors", ("detector*.safetensors",), detector),
    Target("digits-clip", "safetensors", ("digits_clip.safetensors",), digits_clip),
    Target("configuration", "json", ("open_clip_config*.json", "README.md"), configuration),
    Target("built model", "json", ("open_clip_config.json",), built_model),
    Target("clipn configuration", "json", ("open_clip_config.json",), clipn),
    Target("run folder", "json", ("result.json",), run_folder),
    Target("run scores", "npz", ("ood_o*.npz",), run_folder),
    Target("preset", "text", ("*.toml",), preset),
    Target("image list", "text", ("list*.txt", "list.txt.gz"), imglist),
    Target("lists of sets", "text", ("categories.txt", "cub.txt"), lists),
    Target("words", "text", ("words.txt",), words),
    Target("tar", "tar", ("*.tar",), tar),
    Target("pairs", "text", ("pairs*.csv", "pairs.tsv"), pairs),
    Target("picture", "picture", ("picture.*", "deep.*"), picture),
    Target("cifar", "bytes", ("cifar.pickle",), cifar),
    Target("shard", "safetensors", ("shard.safetensors",), shard),
    Target("listing", "safetensors", ("listing.safetensors",), listing),
    Target("imported name", "json", ("name.json",), named_arrays),
    Target("negatives", "json", ("negatives.json",), negatives),
    Target("encoder", "json", ("encoder.json",), encoder),
)
