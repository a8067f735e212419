"""Make the corpus: `python tests/fuzz/fuzz_corpus.py`; the files are small, sound, and the same at each run."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from fuzz_targets import CLASSES, CORPUS, TINY, WIDTH, tiny_clip
from PIL import Image
from safetensors.numpy import save
from safetensors.torch import save_file

from ood_toolkit import Detector, Head, Monitor, Outputs
from ood_toolkit.detectors.writing import FIELDS, line_of
from ood_toolkit.learning.checkpoint import Checkpoint, write_checkpoint
from ood_toolkit.report.gallery import Gallery
from ood_toolkit.report.results import Answers, Row
from ood_toolkit.report.run_folder import write_run
from ood_toolkit.store.head_file import save_head
from ood_toolkit.store.shard import shard_bytes

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(6, WIDTH)).astype(np.float32)
TEXT = DRAW.normal(size=(3, WIDTH)).astype(np.float32)
LABELS = np.arange(6) % 3


def arrays() -> None:
    """Write `.npz` and `.npy` files."""
    names, ids = np.array(CLASSES), np.array([f"사진/{row}.jpg" for row in range(6)])
    whole = {"embeddings": ROWS, "labels": LABELS, "classes": names, "ids": ids}
    np.savez(CORPUS / "set.npz", **whole, text=TEXT, scale=np.float32(50))
    np.savez_compressed(CORPUS / "set_packed.npz", logits=ROWS[:, :3], labels=names[LABELS], class_names=names)
    np.savez(CORPUS / "set_bytes.npz", features=ROWS.astype(">f2"), names=np.array([b"cat", b"dog"] * 3))
    np.savez(CORPUS / "bare.npz", features=ROWS, labels=LABELS)
    np.savez(CORPUS / "text.npz", text=TEXT, names=names)
    np.savez(CORPUS / "linear.npz", weight=TEXT, bias=np.zeros(3, np.float32), classes=names, unit_rows=np.True_)
    np.savez(CORPUS / "bank.npz", embeddings=np.vstack([TEXT, ROWS]), texts=np.array(list("abcdefghi")))
    np.savez(CORPUS / "no.npz", no=TEXT, classes=names)
    np.savez(CORPUS / "no_by_class.npz", **dict(zip(CLASSES, TEXT, strict=True)))
    np.save(CORPUS / "bank.npy", TEXT)
    np.savez(CORPUS / "scores.npz", scores=ROWS[:, 0], ids=ids)
    pixels = DRAW.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(CORPUS / "images.npz", images=pixels, labels=LABELS, classes=names)
    np.savez_compressed(CORPUS / "images_grey.npz", images=pixels[..., 0])
    np.savez(CORPUS / "context.npz", ctx=np.ones((2, 8), np.float32))
    np.savez(CORPUS / "context_by_class.npz", ctx=np.ones((3, 2, 8), np.float32), class_names=names)


def tensors() -> None:
    """Write files of torch and safetensors."""
    torch.manual_seed(0)
    rows = torch.from_numpy(TEXT)
    torch.save({"embeddings": rows, "classes": list(CLASSES)}, CORPUS / "bank.pt")
    torch.save((list(CLASSES), rows), CORPUS / "no.pt")
    save_file({"embeddings": rows}, CORPUS / "bank.safetensors")
    torch.save({"state_dict": {"ctx": torch.ones(2, 8)}, "epoch": 3}, CORPUS / "context.pt")
    state = tiny_clip().state_dict()
    torch.save({"state_dict": state}, CORPUS / "weights.pt")
    torch.save(state, CORPUS / "legacy.pt", _use_new_zipfile_serialization=False)
    save_file(state, CORPUS / "weights.safetensors")
    made = Checkpoint("identity", 1, 2, {"w": rows}, {"state": {0: {"step": 1}}}, {}, [{"loss": 1.0}], {"loss": 2.0})
    write_checkpoint(CORPUS, made)
    zero_shot = Head.zero_shot(TEXT, CLASSES)
    save_head(CORPUS / "head.safetensors", Head.linear(TEXT, np.zeros(3), CLASSES), torch.zeros(3), {"model": "m"}, {})
    save_head(CORPUS / "head_of_texts.safetensors", zero_shot, None, {"model": "m"}, {"data": {"train": [1, 2]}})
    noise = DRAW.normal(size=(2, 30, WIDTH)).astype(np.float32)
    val, train = (Outputs(np.tile(ROWS, (5, 1)) + one, labels=np.tile(LABELS, 5), head=zero_shot) for one in noise)
    for name, spec in (("", "msp"), ("_knn", "knn:k=2"), ("_classwise", "classwise"), ("_energy", "energy")):
        Detector.fit(spec, val, train=train).save(CORPUS / f"detector{name}.safetensors")
    logits = Outputs(logits=np.tile(ROWS[:, :3], (5, 1)) + noise[0, :, :3], labels=np.tile(LABELS, 5))
    Detector.fit("maxlogit", logits).save(CORPUS / "detector_logits.safetensors")
    about = {"format": 1, "config": TINY, "no_templates": ["a photo of no {}"]}
    save_file(state, CORPUS / "digits_clip.safetensors", {"digits-clip": json.dumps(about)})


def store() -> None:
    """Write files of a store."""
    keys = DRAW.integers(0, 256, (3, 32), dtype=np.uint8)
    (CORPUS / "shard.safetensors").write_bytes(shard_bytes(keys, ROWS[:3]))
    about = json.dumps({"classes": CLASSES, "notes": []}).encode()
    held = {"about": np.frombuffer(about, np.uint8), "keys": keys, "labels": LABELS[:3].astype(np.int64)}
    (CORPUS / "listing.safetensors").write_bytes(save({**held, "ids": np.frombuffer(b"a\nb\n%E9", np.uint8)}))
    put("name.json", {"format": 1, "key": "0" * 64, "source": "a.npz", "rows": 3})
    about = {"model": "m", "words": "w", "classes": ["cat"], "candidates": 9, "share": 0.5, "quantile": 0.95}
    put("negatives.json", {"format": 1, **about, "negatives": [{"word": "a", "similarity": 0.5}]})
    put("encoder.json", {"identity": {"kind": "features", "weights": "0"}, "model": "m", "batch": 32})


def put(name: str, value: object) -> None:
    """Write a JSON file."""
    (CORPUS / name).write_text(json.dumps(value, indent=1) + "\n")


def models() -> None:
    """Write configurations of open_clip, and a model card."""
    choices = {"mean": [0.5, 0.5, 0.5], "std": 0.5, "interpolation": "bicubic", "resize_mode": "shortest"}
    put("open_clip_config.json", {"model_cfg": TINY, "preprocess_cfg": choices})
    (CORPUS / "README.md").write_text("---\nlicense: mit\n---\nA card.\n")


def runs() -> None:
    """Write what a run folder holds."""
    ids, names = np.array([f"{row}" for row in range(4)]), np.array(["cat", "dog", "cat", "car"])
    header = {
        "protocol": "native", "id": [{"name": "i", "images": 4, "accuracy": 0.5, "ece": 0.1}], "ood": {"o": 4},
        "groups": {}, "validation": {"i": "none"}, "notes": ["a note"], "model": "m", "prompts": "p",
        "published": [], "encoding": {"i/test": {"notes": [], "unreadable": {}}},
    }  # fmt: skip
    metrics = {"auroc": 0.5, "fpr95_id": 0.25, "aupr_in": 0.5}
    rows = [Row("ood", "msp", "i", "o", n_id=4, n_ood=4, metrics=metrics, notes=("n",)),
            Row("misclassification", "msp", "i", metrics={"auroc": 0.5, "aurc": 0.1})]  # fmt: skip
    said = Answers(ids, {"msp": ROWS[:4, 0].astype(float)}, prediction=names, confidence=np.ones(4), truth=names)
    said.right, said.accepted = np.ones(4, bool), {"msp": np.ones(4, bool)}
    streamed = Answers(ids, {}, streamed={"o": {"adaneg": np.ones(4)}})
    folder = CORPUS / "run"
    write_run(folder, header, rows, {("i", "ood:o"): said, ("i", "test"): streamed})
    (folder / "result.json").rename(CORPUS / "result.json")
    (folder / "scores" / "i" / "ood_o.npz").rename(CORPUS / "ood_o.npz")
    (folder / "scores" / "i" / "test.npz").rename(CORPUS / "ood_o_streams.npz")
    for place in (folder / "scores" / "i", folder / "scores", folder):
        place.rmdir()


def pages() -> None:
    """Write a run that is whole, as a page shows it, and a gallery of one thumbnail."""
    ids, names = np.array([f"{row}" for row in range(6)]), np.array(["cat", "dog", "cat", "car", "dog", "car"])
    scores = {"msp": np.array([0.9, 0.5, 0.8, 0.4, 0.7, 0.2]), "classwise": np.linspace(-1, 1, 6)}
    test = Answers(ids, dict(scores), prediction=names, confidence=np.ones(6), truth=names[::-1].copy())
    test.right, test.classes = test.prediction == test.truth, np.array(CLASSES)
    test.class_cuts = {"classwise": np.array([0.5, -np.inf, 0.25])}
    ood = Answers(ids[:4], {spec: found[:4] for spec, found in scores.items()}, prediction=names[:4])
    for said in (test, ood):
        said.cuts = {"msp": 0.5, "classwise": 0.0}
        said.accepted = {spec: said.scores[spec] >= cut for spec, cut in said.cuts.items()}
    header = {
        "protocol": "native", "id": [{"name": "i", "images": 6}], "ood": {"o": 4}, "model": "m", "seed": 0,
        "command": ["bench"], "versions": {"python": "3"}, "encoder": {"batch": 32}, "imported": {"i/test": "ab"},
        "paired": [{"id": "i", "ood": "o", "scorer": "classwise", "auroc": 0.5, "against_auroc": 0.5, "difference": 0,
                    "low": 0, "high": 0, "p": 1, "p_holm": 1, "against": {"scorer": "msp"}}],
    }  # fmt: skip
    rows = [Row("ood", spec, "i", "o", model="m", n_id=6, n_ood=4, metrics={"auroc": 0.5}) for spec in scores]
    folder = CORPUS / "run"
    thumbnail = io.BytesIO()
    Image.new("L", (3, 2)).save(thumbnail, "PNG")
    write_run(
        folder, header, rows, {("i", "test"): test, ("i", "ood:o"): ood}, Gallery(2, {"i": {"0": thumbnail.getvalue()}})
    )
    for name, file in (("page.json", "result.json"), ("page_test.npz", "scores/i/test.npz"),
                       ("page_ood.npz", "scores/i/ood_o.npz"), ("gallery.json", "gallery/index.json"),
                       ("gallery.png", "gallery/0.png")):  # fmt: skip
        (folder / file).rename(CORPUS / name)
    for place in (folder / "scores" / "i", folder / "scores", folder / "gallery", folder):
        place.rmdir()


PRESET = """description = "A small one."
sources = ["a paper"]
protocol = "mcm"
averaging = "all sets"
class_names = "own"
prompts = ["a photo of a {}"]
resize = 224
val_split = 0.2
scorers = "msp"

[id]
name = "digits"
images = 100

[[ood]]
name = "letters"
group = "near"

[[published]]
method = "MSP"
model = "ViT-B-16"
source = "table 1"
protocol = "mcm"
scorer = "msp"
values = { letters = { auroc = 94.4, fpr95_id = 20.0 } }
means = { all = { auroc = 94.4 } }
tolerance = { auroc = 0.5 }
"""


def texts() -> None:
    """Write lists, tables and presets."""
    (CORPUS / "preset.toml").write_text(PRESET)
    (CORPUS / "list.txt").write_text("list.txt 0\na/b c.png 1\nd.png -1\n")
    (CORPUS / "list_marked.txt").write_bytes(b"\xef\xbb\xbflist_marked.txt 0\r\nb.png 2\r\n")
    (CORPUS / "list.txt.gz").write_bytes(gzip.compress(b"list.txt.gz 0\nb.png 1\n", mtime=0))
    (CORPUS / "categories.txt").write_text("/a/abbey 0\n/a/airport 1\n/b/bar/indoor 2\n")
    (CORPUS / "cub.txt").write_text("1 001.Albatross/a.jpg\n2 001.Albatross/b.jpg\n")
    (CORPUS / "words.txt").write_text("a {} cat\nthe {}, 개\n", encoding="utf-8")
    (CORPUS / "pairs.csv").write_text('filepath,title\npairs.csv,"a cat, a dog"\npairs.csv,x\n')
    (CORPUS / "pairs.tsv").write_text("image\tcaption\npairs.tsv\ta cat\n")


def pictures() -> None:
    """Write pictures of several formats, a tar file of some, and a batch of CIFAR."""
    image = Image.fromarray(DRAW.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    for ending in ("png", "jpg", "gif", "bmp", "webp", "tif", "ppm"):
        image.save(CORPUS / f"picture.{ending}")
    Image.fromarray(DRAW.integers(0, 65536, (9, 7), dtype=np.uint16)).save(CORPUS / "deep.png")
    Image.fromarray(DRAW.integers(0, 65536, (9, 7), dtype=np.uint16)).save(CORPUS / "deep.tif")
    (CORPUS / "deep.pgm").write_bytes(b"P5 3 3 4095\n" + bytes(range(18)))
    exif = Image.Exif()
    exif[274] = 6
    image.save(CORPUS / "picture.turned.jpg", exif=exif)
    packed = io.BytesIO()
    image.resize((6, 6)).save(packed, "png")
    for name, format_ in (("shard.tar", tarfile.PAX_FORMAT), ("long.tar", tarfile.GNU_FORMAT)):
        with tarfile.open(CORPUS / name, "w", format=format_) as archive:
            first = "k" * 120 if name == "long.tar" else "사진"
            members = {
                f"{first}.png": packed.getvalue(),
                f"{first}.cls": b"1",
                f"{first}.txt": b"a cat",
                "classnames.txt": b"cat\ndog\n",
                "zeroshot_classification_templates.txt": b"a {c}\n",
            }
            for path, body in members.items():
                info = tarfile.TarInfo(path)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
    batch = {"data": DRAW.integers(0, 256, (2, 3072), dtype=np.uint8), "labels": [0, 1]}
    (CORPUS / "cifar.pickle").write_bytes(pickle.dumps(batch, 2))


def rows() -> None:
    """Write rows to decide on, and decisions that a run goes on with."""
    import pyarrow as pa
    from pyarrow import parquet

    from ood_toolkit.report.cells import csv_rows

    ids = [f"é{row}" for row in range(6)]
    np.savez(CORPUS / "rows.npz", embeddings=ROWS, ids=np.array([one.encode() for one in ids]))
    np.save(CORPUS / "rows.npy", ROWS)
    np.save(CORPUS / "rows_turned.npy", np.asfortranarray(ROWS.astype(">f8")))
    columns = {"embedding": pa.array(ROWS.tolist(), pa.list_(pa.float32())), "id": pa.array(ids)}
    parquet.write_table(pa.table(columns), CORPUS / "rows.parquet", compression="none")
    columns["id"] = pa.array([one.encode() for one in ids])
    parquet.write_table(pa.table(columns), CORPUS / "rows_packed.parquet", compression="zstd", data_page_version="2.0")
    decided = [dict.fromkeys(FIELDS, "x") | {"id": 'a "b"\nc', "detector": "d", "score": 0.5}] * 2
    (CORPUS / "decided.jsonl").write_text("".join(f"{line_of(one)}\n" for one in decided))
    (CORPUS / "decided.csv").write_text(csv_rows([FIELDS, *([one[name] for name in FIELDS] for one in decided)]))
    parts = {name: pa.array(["d"]) for name in ("id", "sha256", "detector")}
    parquet.write_table(pa.table(parts), CORPUS / "part-00000.parquet")


def folders() -> None:
    """Write what lies in a folder saved by `datasets`, decisions of a detector, a model's card and a classifier."""
    import datasets
    from fuzz_folders import OF_HUGGING_FACE

    packed = io.BytesIO()
    Image.fromarray(DRAW.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(packed, "png")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    rows = {"image": [{"bytes": packed.getvalue(), "path": None}] * 2, "label": [0, 2]}
    with tempfile.TemporaryDirectory() as place:
        datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(place)
        for own, theirs in OF_HUGGING_FACE.items():
            shutil.copy(Path(place) / theirs, CORPUS / own)
    said = dict.fromkeys(FIELDS, "x") | {"detector": "d", "score": 0.5, "threshold": 0.25, "prediction": "cat"}
    (CORPUS / "predictions.jsonl").write_text("".join(f"{line_of(said | {'id': str(row)})}\n" for row in range(3)))
    about = {"model": "m", "files": {"/w": [1, 2, 3, 4], "/v": None}, "versions": {"torch": "2"}, "facts": {"width": 4}}
    held = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), "weight": TEXT}
    (CORPUS / "card.safetensors").write_bytes(save(held))
    weights = {"1.weight": torch.ones(3, 48), "1.bias": torch.zeros(3)}
    torch.save({"state_dict_ema": weights, "state_dict": weights}, CORPUS / "classifier.pt")
    save_file(weights, CORPUS / "classifier.safetensors")


def sets() -> None:
    """Write the lists of sets as others lay them out."""
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    synsets = np.array([(1, "n1", 0), (2, "n2", 0), (3, "n3", 2)], dtype=kinds)
    savemat(CORPUS / "meta.mat", {"synsets": synsets}, do_compression=True)
    (CORPUS / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n")
    (CORPUS / "wnids.txt").write_text("n01443537\nn01629819\n")
    (CORPUS / "val_annotations.txt").write_text("val_0.JPEG\tn01629819\t0\t0\t3\t3\n")
    put("test.json", {"pie": ["pie/1"]})
    (CORPUS / "test1.txt").write_text("banded/1.jpg\n")
    (CORPUS / "t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, *range(18)]))
    (CORPUS / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 7]))
    names = np.array(CLASSES)
    objects = np.array(["bicycle", "flower", "cat"])[LABELS]
    for name in ("image_cifar10_test500", "image_food101_10classes_train2000", "image_food101_10classes_test500"):
        np.savez(CORPUS / f"{name}.npz", embeddings=np.tile(ROWS, (5, 1)), labels=np.tile(LABELS, 5), classes=names)
    np.savez(CORPUS / "image_objects130.npz", embeddings=np.tile(ROWS, (5, 1)), labels=np.tile(objects, 5))
    for name in ("text_cifar10_a", "text_food10_a"):
        np.savez(CORPUS / f"{name}.npz", embeddings=TEXT, names=names)


def further() -> None:
    """Write what a store, a training run and a checkpoint of transformers have beside the others."""
    import sqlite3

    result = {"before": {"gap": 1.0}, "after": {"gap": 0.5}, "split": "val", "unreadable": {}}
    about = {"kind": "cma", "config": {"weight": 0.1}, "data": {"train": {"fingerprint": "1"}}, "model": {"name": "m"}}
    put("training.json", {**about, "result": result, "epochs": [{"epoch": 1, "gap": 0.5}]})
    monitor = Monitor(Detector.load(CORPUS / "detector_logits.safetensors"), seed=0)
    monitor.observe(monitor.detector.decide(ROWS[:, :3]))
    monitor.fed = [{"rows": 6, "first": "a", "chain": "b"}]
    monitor.save(CORPUS / "monitor.json")
    with sqlite3.connect(CORPUS / "hashes.sqlite") as database:
        database.execute("pragma page_size = 512")
        database.execute("create table hashes (path text primary key, size int, time int, inode int, hash blob)")
        database.execute("insert into hashes values (?, 1, 2, 3, ?)", ("/nowhere/list.txt", bytes(32)))
    database.close()
    (CORPUS / "kept.safetensors").write_bytes(save({"rows": ROWS}))
    put("oodkit-store.json", {"made_by": "oodkit", "format": 1})
    put("config.json", {"model_type": "clip"})
    put("model.safetensors.index.json", {"weight_map": {"a": "model-1.safetensors"}})


def main() -> None:
    """Write all of it anew."""
    random.seed(0)
    CORPUS.mkdir(exist_ok=True)
    for file in CORPUS.iterdir():
        file.unlink()
    for make in (arrays, tensors, store, models, runs, pages, texts, pictures, rows, sets, further, folders):
        make()
    files = list(CORPUS.iterdir())
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files):,} bytes")


if __name__ == "__main__":
    main()
