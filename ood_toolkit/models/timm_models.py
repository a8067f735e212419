"""`timm:NAME`: timm's classifiers with weights of the Hugging Face Hub's cache, or with a weights file."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ood_toolkit.api.model import ModelEntry
from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ModelError
from ood_toolkit.models.classifier_options import ClassifierOptions, meanings
from ood_toolkit.models.classifiers import IMAGENET, Classifier, imagenet_names, loaded, read_names
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.pretrained import Hub, package_folder
from ood_toolkit.models.weights import read_checkpoint

__all__ = ["TIMM", "check_timm", "known_names", "load_timm"]

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
ENTRY_POINT = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)


@lru_cache(maxsize=1)
def known_names() -> tuple[str, ...]:
    """Name timm's architectures, read without importing timm."""
    return tuple(sorted(name for text in _sources() for name in ENTRY_POINT.findall(text)))


@lru_cache(maxsize=1)
def _sources() -> tuple[str, ...]:
    files = sorted((package_folder("timm") / "models").glob("*.py"))
    return tuple(file.read_text(encoding="utf-8") for file in files)


def _tags_of(architecture: str) -> list[str]:
    quoted = re.compile(rf"""['"]{re.escape(architecture)}\.(\w+)['"]\s*:""")
    return sorted({tag for text in _sources() for tag in quoted.findall(text)})


def load_timm(name: str, **options: Any) -> Classifier:
    """Load `ARCH.TAG` from the Hub's cache, or `ARCH` or `ARCH.TAG` with a weights file."""
    asked = ClassifierOptions(**options)
    file = _settled(name, asked, Hub(asked.download))
    assert file is not None  # a hub that fetches gives a file or raises
    import timm

    held = read_checkpoint(file)
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise ModelError(f"timm:{name}: timm has no configuration of it")
    net = loaded(
        lambda number: timm.create_model(name, pretrained=False, num_classes=number),
        config.num_classes,
        held.weights,
        f"timm:{name}",
    )
    rows = net.num_classes
    is_imagenet = bool(re.search(r"in1k(_\d+)?$", name)) and rows == config.num_classes == 1000
    names = read_names(asked.classes) if asked.classes else imagenet_names() if is_imagenet else None
    preprocessing = _preprocessing(name, _data_config(net)).changed(asked.resize, asked.interpolation)
    model = Classifier(f"timm:{name}", net, names, preprocessing, asked.precision)
    model.fingerprint, model.notes = held.fingerprint, held.notes
    model.architecture = json.dumps({"timm": name.partition(".")[0], "classes": rows})
    model.label_space = IMAGENET if asked.classes == IMAGENET or (is_imagenet and not asked.classes) else ""
    model.assumed_names = asked.weights is not None and asked.classes is None and is_imagenet
    model.licence = "unknown" if asked.weights else str(config.license or "unknown")
    return model


def check_timm(name: str, **options: Any) -> None:
    """Refuse before anything heavy is imported what `load_timm` cannot load."""
    asked = ClassifierOptions(**options)
    _settled(name, asked, Hub(asked.download, fetch=False))


def files_of_timm(name: str, **options: Any) -> list[Path] | None:
    """Name the files that decide what `load_timm` gives."""
    asked = ClassifierOptions(**options)
    file = _settled(name, asked, Hub(asked.download, fetch=False))
    return None if file is None else asked.files(file)


def _settled(name: str, asked: ClassifierOptions, hub: Hub) -> Path | None:
    """Give the weights file where it is here; None where it is to be downloaded and not yet."""
    architecture, _, tag = name.partition(".")
    if architecture not in known_names():
        raise ModelError(f"timm: unknown classifier {architecture!r}; {_near(architecture)}")
    tags = _tags_of(architecture)
    if tag and tag not in tags:
        raise ModelError(f"timm:{architecture}: unknown tag {tag!r}; {nearest(tag, tags)}")
    if (given := asked.checked()) is not None:
        return given
    if not tag:
        raise ModelError(f"timm:{architecture}: expected {architecture}.TAG, or :weights=FILE; tags: {', '.join(tags)}")
    local = f"pass a local file, timm:{name}:weights=FILE"
    return hub.file(f"timm/{name}", WEIGHTS_NAMES, f"the weights of timm:{name}", local)


def _near(architecture: str) -> str:
    said = nearest(architecture, known_names())
    return said if said.startswith("did") else "`python -c 'import timm; print(timm.list_models())'` has all"


def _data_config(net: Any) -> dict[str, Any]:
    from timm.data.config import resolve_data_config

    config: dict[str, Any] = resolve_data_config({}, model=net)  # type: ignore[no-untyped-call]
    return config


def _preprocessing(name: str, config: dict[str, Any]) -> Preprocessing:
    """Make the preprocessing that timm evaluates with: resize to size / crop_pct, then crop."""
    channels, h, w = config["input_size"]
    mode, share = config["crop_mode"], config["crop_pct"]
    if channels != 3 or (mode == "center" and h != w) or mode not in ("center", "squash"):
        raise ModelError(f"timm:{name}: cannot preprocess to {channels}x{h}x{w} with crop_mode {mode!r}")
    resize: Any = math.floor(h / share) if mode == "center" else (math.floor(h / share), math.floor(w / share))
    return Preprocessing((h, w), resize, config["interpolation"], tuple(config["mean"]), tuple(config["std"]))


TIMM = ModelEntry(
    name="timm",
    description="A classifier of timm with its own linear head.",
    load=load_timm,
    argument="ARCH.TAG",
    check=check_timm,
    files=files_of_timm,
    options=meanings("a weights file, after ARCH or ARCH.TAG"),
    notes=("Weights are looked up in the Hugging Face Hub's cache.",),
)
