"""Small files that the recorded commands read: arrays, pictures, words, models, plugins; the same bytes every time."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("ant", "bee", "cat", "dog")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHAPES = ("bar", "ring")
WORDS = ("zebra", "teapot", "cloud", "a grey rug", "seven of nine", "window", "lamp", "green", "old", "spoon")
PRESET = """
description = "Digits against letters and patches."
sources = ["a run of ours"]
protocol = "mcm"
averaging = "all sets"
class_names = "own"
val_split = 0.0
scorers = "msp,mcm"

[id]
name = "digits"

[[ood]]
name = "letters"
group = "near"

[[ood]]
name = "patches"

[[published]]
method = "MCM"
model = "digits-clip"
scorer = "mcm"
protocol = "mcm"
source = "a run of ours"
tolerance = { auroc = 0.4, fpr95 = 1.5 }
values.letters = { auroc = 97.64, fpr95_id = 8.06 }
means.all = { auroc = 97.0 }
"""
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "patch_size": 4, "width": 16, "layers": 1, "head_width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 515, "width": 8, "heads": 1, "layers": 1},
}
"""A digits-clip of nine thousand weights."""
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}
TOP_GAP = '''"""Top gap: the largest logit minus the second largest."""

from dataclasses import dataclass

from ood_toolkit import Scorer, hookimpl


@dataclass
class TopGap(Scorer):
    """Largest logit minus the second largest, z_(1) - z_(2), at least 0."""

    name = "top-gap"
    needs = frozenset({"logits"})

    def score(self, x):
        top = x.top_logits(2)
        return top[:, 0] - top[:, -1]


@hookimpl
def register_scorers():
    return [TopGap]
'''


def make_inputs(folder: Path) -> None:
    """Write all of it into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _arrays(folder)
    _damaged_arrays(folder)
    _pictures(folder)
    _texts(folder)
    write_tiny(folder / "tiny.safetensors")
    _clip(folder / "clip")
    _classifiers(folder)
    _plugins(folder / "plugins")


def _arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    text = rng.normal(size=(4, 16)).astype("f4")
    weight, bias = rng.normal(size=(4, 12)), rng.normal(size=4)
    np.savez(folder / "toys-text.npz", text=text, classes=NAMES)
    np.savez(folder / "candidates.npz", embeddings=rng.normal(size=(30, 16)), names=[f"word {i}" for i in range(30)])
    np.savez(folder / "head.npz", weight=weight, bias=bias, classes=NAMES)
    for name, count in (("toys", 80), ("toys-train", 120)):
        labels = np.arange(count) % 4
        rows = text[labels] + 0.9 * rng.normal(size=(count, 16)).astype("f4")
        np.savez(folder / f"{name}.npz", embeddings=rows, labels=labels, classes=NAMES)
        raw = np.maximum(weight[labels] + rng.normal(size=(count, 12)), 0)
        np.savez(folder / f"{name}-linear.npz", features=raw, labels=np.array(NAMES)[labels], classes=NAMES)
    np.savez(folder / "strange.npz", embeddings=rng.normal(size=(50, 16)).astype("f2"))
    np.savez(folder / "strange-linear.npz", features=rng.random((40, 12)), files=[f"s{i}.png" for i in range(40)])
    np.savez(folder / "logits.npz", logits=3 * rng.normal(size=(60, 4)), labels=np.arange(60) % 4, classes=NAMES)
    np.savez(folder / "scores.npz", id_good=rng.normal(2, 1, 90).round(1), ood_bad=rng.normal(0, 1, 70).round(1))


def _damaged_arrays(folder: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(12, 16))
    nan = rows.copy()
    nan[3, 2] = np.nan
    np.savez(folder / "nan.npz", embeddings=nan)
    np.savez(folder / "none.npz", embeddings=rows[:0])
    np.savez(folder / "flat.npz", embeddings=rows[0])
    np.savez(folder / "words.npz", embeddings=np.array([["a", "b"]] * 12))
    np.savez(folder / "short.npz", embeddings=rows, labels=np.arange(11) % 4, classes=NAMES)
    np.savez(folder / "outside.npz", embeddings=rows, labels=np.arange(12), classes=NAMES)
    np.savez(folder / "one-class.npz", embeddings=rows, labels=np.zeros(12, dtype=int), classes=["ant"])
    np.savez(folder / "one-class-text.npz", text=rows[:1], classes=["ant"])
    np.savez(folder / "narrow.npz", embeddings=rows[:, :5])
    np.savez(folder / "nothing.npz", other=rows)
    np.savez(folder / "pickled.npz", embeddings=np.array([{"a": 1}], dtype=object))
    (folder / "text.npz").write_text("no archive\n", encoding="utf-8")


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(2)
    place = folder / "pictures"
    rows = [*_split(place, "train", 6, rng), *_split(place, "test", 8, rng)]
    table = "".join(f'{file},"{caption}"\n' for file, caption, _ in rows)
    (place / "pairs.csv").write_text(f"filepath,title\n{table}", encoding="utf-8")
    lines = [f"{file} {label}\n" for file, _, label in rows]
    (place / "list.txt").write_text("".join(lines), encoding="utf-8")
    (place / "classnames.txt").write_text("\n".join(SHAPES), encoding="utf-8")
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for number, (file, caption, label) in enumerate(rows):
            _put(tar, f"{number:03}.png", (place / file).read_bytes())
            _put(tar, f"{number:03}.cls", str(label).encode())
            _put(tar, f"{number:03}.txt", caption.encode())
        _put(tar, "classnames.txt", "\n".join(SHAPES).encode())
    np.savez(folder / "images.npz", images=rng.integers(0, 256, (9, 10, 10, 3), dtype=np.uint8),
             labels=np.arange(9) % 3, classes=NAMES[:3])  # fmt: skip
    _torn(folder, rng)
    _negatives(folder / "negatives")
    (folder / "empty").mkdir()


def _split(place: Path, split: str, count: int, rng: np.random.Generator) -> list[tuple[str, str, int]]:
    """Write a split of a set of two classes; give the files with captions and labels."""
    rows = []
    for label, kind in enumerate(SHAPES):
        (place / split / kind).mkdir(parents=True)
        for number in range(count):
            file = f"{split}/{kind}/{number}.png"
            Image.fromarray(_drawn(kind, rng)).save(place / file)
            rows.append((file, f"a {kind} of noise, number {number}", label))
    return rows


def _drawn(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a bar or a ring on noise, (20, 24, 3)."""
    pixels = rng.integers(0, 120, (20, 24, 3), dtype=np.uint8)
    pixels[4:16, 10:14] = 250
    if kind == "ring":
        pixels[4:16, 6:18] = 250
        pixels[7:13, 9:15] = 10
    return pixels


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))


def _torn(folder: Path, rng: np.random.Generator) -> None:
    """Write a set with a picture that breaks off."""
    place = folder / "torn"
    place.mkdir()
    for number in range(4):
        Image.fromarray(_drawn("bar", rng)).save(place / f"{number}.png")
    whole = (place / "2.png").read_bytes()
    (place / "2.png").write_bytes(whole[: len(whole) // 2])


def _negatives(folder: Path) -> None:
    """Write negatives of digits and a picture of none, in folders that are named as the classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for place in range(40):
        where = folder / DIGITS[digits.target[place]]
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - digits.images[place] * 15).astype(np.uint8)).save(where / f"{place}.png")
    (folder / "none").mkdir()
    Image.fromarray(np.full((8, 8), 90, dtype=np.uint8)).save(folder / "none" / "0.png")


def _texts(folder: Path) -> None:
    for name, content in {
        "words.txt": "\n".join(WORDS) + "\n",
        "names.txt": "ring\nbar\nzero\none\n",
        "shapes.txt": "\n".join(SHAPES) + "\n",
        "prompts.txt": "a drawing of a {}\n\nthe number {}\n",
        "blank.txt": "\n\n",
        "preset.toml": PRESET,
        "unknown-key.toml": PRESET.replace("sources", "source"),
        "broken.toml": "description = \n",
        "no-column.csv": "a,b\n1,2\n",
        "no-picture.csv": "filepath,title\nnowhere.png,a thing\n",
        "bad-list.txt": "a.png\n",
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "broken-run").mkdir()
    (folder / "broken-run" / "result.json").write_text('{"schema": 1, "rows": [{}]}\n', encoding="utf-8")


def _state(config: dict, *, half: bool) -> dict:
    """Give the random weights of an open_clip network."""
    import open_clip
    import torch

    torch.manual_seed(0)
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    weights = open_clip.CLIP(config["embed_dim"], vision, text).state_dict()
    return {name: (part.half() if half else part).contiguous() for name, part in weights.items()}


def write_tiny(file: Path) -> None:
    """Write weights that `digits-clip:weights=FILE` takes."""
    from safetensors.torch import save

    about = {"format": 1, "config": TINY, "no_templates": ["a photo of no {}"]}
    file.write_bytes(save(_state(TINY, half=True), {"digits-clip": json.dumps(about)}))


def _clip(folder: Path) -> None:
    """Write a folder that `local-dir:PATH` takes."""
    from safetensors.torch import save

    folder.mkdir()
    about = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = json.dumps({"model_cfg": CLIP, "preprocess_cfg": about})
    (folder / "open_clip_config.json").write_text(config, encoding="utf-8")
    (folder / "open_clip_model.safetensors").write_bytes(save(_state(CLIP, half=False)))


def _classifiers(folder: Path) -> None:
    """Write weights of two small classifiers with two classes."""
    import timm
    import torch
    import torchvision
    from safetensors.torch import save

    made = {"timm": lambda: timm.create_model("test_resnet", num_classes=2),
            "torchvision": lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=2)}  # fmt: skip
    for name, make in made.items():
        torch.manual_seed(0)
        (folder / f"{name}.safetensors").write_bytes(save(make().state_dict()))


def _plugins(folder: Path) -> None:
    """Write what an installed plugin with a score leaves behind, and one that breaks when it is imported."""
    folder.mkdir()
    for name, code in (("top_gap", TOP_GAP), ("broken_one", 'raise RuntimeError("it broke")\n')):
        (folder / f"net_{name}.py").write_text(code, encoding="utf-8")
        about = folder / f"net_{name}-0.1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: net-{name}\nVersion: 0.1.0\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[ood_toolkit]\n{name} = net_{name}\n", encoding="utf-8")
