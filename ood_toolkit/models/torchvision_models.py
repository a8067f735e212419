"""`torchvision:ARCH/WEIGHTS`: torchvision's classifiers with registered weights, or with a weights file."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ood_toolkit.api.model import ModelEntry
from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ModelError
from ood_toolkit.models.classifier_options import ClassifierOptions, meanings
from ood_toolkit.models.classifiers import IMAGENET, Classifier, imagenet_names, loaded, read_names
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.pretrained import package_folder, refuse, torch_cache
from ood_toolkit.models.weights import read_checkpoint, sha256_of

__all__ = ["TORCHVISION", "check_torchvision", "load_torchvision", "registered_weights"]

OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")
"""How the published DenseNet files name layers; the network has norm1 for norm.1."""


@lru_cache(maxsize=1)
def registered_weights() -> Mapping[str, Mapping[str, str]]:
    """Give the address of each registered weights file by architecture and name, read without importing torchvision."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted((package_folder("torchvision") / "models").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("_Weights"):
                found[node.name.removesuffix("_Weights").lower()] = _members(node)
    return found


def _members(node: ast.ClassDef) -> dict[str, str]:
    members: dict[str, str] = {}
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
            if isinstance(line.value, ast.Name):  # DEFAULT = IMAGENET1K_V2
                members[name] = members[line.value.id]
            elif isinstance(line.value, ast.Call):
                members[name] = next(ast.literal_eval(k.value) for k in line.value.keywords if k.arg == "url")
    return members


def load_torchvision(argument: str, **options: Any) -> Classifier:
    """Load `ARCH/WEIGHTS` from torch.hub's cache, or `ARCH` with a weights file."""
    asked = ClassifierOptions(**options)
    architecture, tag, file = _settled(argument, asked)
    if file is None:
        file = _downloaded(registered_weights()[architecture][tag])
    from torchvision.models import get_model_weights

    known = get_model_weights(architecture)
    sha256 = sha256_of(file)
    tag = tag or _tag_of(architecture, sha256)
    _check_hash(argument, tag and registered_weights()[architecture][tag], file, sha256)
    held = read_checkpoint(file)
    registered = known[tag or "DEFAULT"]
    net = loaded(
        _builder(architecture, registered),
        len(registered.meta["categories"]),
        _renamed(architecture, held.weights),
        f"torchvision:{argument}",
    )
    names = read_names(asked.classes) if asked.classes else registered.meta["categories"] if tag else None
    preprocessing = _preprocessing(registered).changed(asked.resize, asked.interpolation)
    model = Classifier(f"torchvision:{argument}", net, names, preprocessing, asked.precision)
    model.fingerprint, model.notes = held.fingerprint, held.notes
    model.architecture = json.dumps({"torchvision": architecture, "classes": model.head.classes})
    model.label_space = IMAGENET if model.head.class_names == imagenet_names() else ""
    return model


def check_torchvision(argument: str, **options: Any) -> None:
    """Refuse before anything heavy is imported what `load_torchvision` cannot load."""
    _settled(argument, ClassifierOptions(**options))


def files_of_torchvision(argument: str, **options: Any) -> list[Path] | None:
    """Name the files that decide what `load_torchvision` gives."""
    asked = ClassifierOptions(**options)
    file = _settled(argument, asked)[2]
    return None if file is None else asked.files(file)


def _settled(argument: str, asked: ClassifierOptions) -> tuple[str, str, Path | None]:
    """Give architecture, name of registered weights ("" for a file), and the file where it is here."""
    architecture, _, tag = argument.partition("/")
    known = registered_weights()
    if architecture not in known:
        raise ModelError(f"torchvision: unknown classifier {architecture!r}; {nearest(architecture, known)}")
    if asked.weights is not None and tag:
        raise ModelError(f"torchvision:{argument}: weights={asked.weights} names other weights; leave one out")
    if (given := asked.checked()) is not None:
        return architecture, "", given
    if tag not in known[architecture]:
        had = ", ".join(known[architecture])
        raise ModelError(f"torchvision:{architecture}: expected {architecture}/WEIGHTS, one of {had}, or :weights=FILE")
    if asked.classes is not None:
        raise ModelError(f"torchvision:{argument}: registered weights name their classes; classes= is for files")
    url = known[architecture][tag]
    file = torch_cache() / Path(url).name
    if not file.is_file():
        local = f"put {Path(url).name} into {torch_cache()}, or pass torchvision:{architecture}:weights=FILE"
        refuse(f"the weights of torchvision:{argument}", url, local, download=asked.download)
        return architecture, tag, None
    return architecture, tag, file


def _downloaded(url: str) -> Path:
    import torch

    file = torch_cache() / Path(url).name
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=_prefix(url), progress=False)
    except (OSError, RuntimeError) as error:
        raise ModelError(f"cannot download {url}: {' '.join(str(error).split())}") from None
    return file


def _prefix(url: str) -> str:
    return Path(url).stem.rpartition("-")[2]


def _tag_of(architecture: str, sha256: str) -> str:
    """Name the registered weights that a file is; "" if it is none of them."""
    tags = registered_weights()[architecture].items()
    return next((tag for tag, url in tags if sha256.startswith(_prefix(url))), "")


def _check_hash(argument: str, url: str, file: Path, sha256: str) -> None:
    if url and not sha256.startswith(_prefix(url)):
        raise ModelError(
            f"torchvision:{argument}: {file} is damaged: expected a SHA-256 that starts with {_prefix(url)}, "
            f"got {sha256[:8]}; remove it"
        )


def _builder(architecture: str, registered: Any) -> Callable[[int], Any]:
    """Make a builder with the settings that torchvision's own builders take from registered weights."""
    from torchvision.models import get_model

    settings: dict[str, Any] = {}
    if architecture in ("googlenet", "inception_v3"):
        settings = {"transform_input": True, "aux_logits": True, "init_weights": False}
    elif architecture.startswith("vit_"):
        settings = {"image_size": registered.meta["min_size"][0]}
    elif architecture.startswith("maxvit"):
        settings = {"input_size": registered.meta["min_size"]}
    return lambda classes: get_model(architecture, weights=None, num_classes=classes, **settings)


def _renamed(architecture: str, weights: dict[str, Any]) -> dict[str, Any]:
    if not architecture.startswith("densenet"):
        return weights
    matched = {name: OLD_DENSENET.fullmatch(name) for name in weights}
    return {found[1] + found[2] if (found := matched[name]) else name: value for name, value in weights.items()}


def _preprocessing(registered: Any) -> Preprocessing:
    preset = registered.transforms()
    (size,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocessing((crop, crop), size, preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


TORCHVISION = ModelEntry(
    name="torchvision",
    description="A classifier of torchvision with its own linear head.",
    load=load_torchvision,
    argument="ARCH/WEIGHTS",
    check=check_torchvision,
    files=files_of_torchvision,
    options=meanings("a weights file in place of registered weights, after ARCH alone"),
    notes=("Weights are looked up in torch.hub's cache.",),
)
