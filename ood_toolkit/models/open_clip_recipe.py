"""What an open_clip model is made of, settled and found on disk before torch is imported: `OpenClipRecipe`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ModelError
from ood_toolkit.models.configuration import check_choices, check_config, check_size, check_text_tower
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.pretrained import (
    WEIGHTS_NAMES,
    Hub,
    clean_tag,
    config_of,
    known_tag,
    package_folder,
    tag_config,
    tags_of,
)
from ood_toolkit.models.weights import SUFFIXES, check_file, sha256_of
from ood_toolkit.store.foreign.guard import read_bytes, shown
from ood_toolkit.store.foreign.objects import json_kind, read_json
from ood_toolkit.store.foreign.places import place_of

__all__ = ["OpenClipRecipe", "of_folder", "of_name", "of_repository"]

CONFIG_NAME = "open_clip_config.json"
LARGEST_CARD = 1 << 22
TOKENIZER_NAMES = ("tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.txt", "vocab.json")
CHOICES = ("mean", "std", "interpolation", "resize_mode")
"""What a tag, or a configuration file, says of preprocessing."""
DEFAULT_CHOICES: Mapping[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
"""open_clip's, for a configuration file that leaves some out."""
LICENCES: Mapping[str, str] = {
    "openai": "MIT",
    "laion400m_": "MIT",
    "laion2b_": "MIT",
    "datacomp_": "MIT",
    "commonpool_": "MIT",
    "webli": "Apache-2.0",
    "metaclip_": "CC-BY-NC-4.0",
}
"""Of weights, by how their tag starts, as their model cards say."""


@dataclass(frozen=True)
class OpenClipRecipe:
    """Configuration, preprocessing and the files of one model."""

    what: str
    """How errors name it."""
    config: Mapping[str, Any]
    """What `open_clip.CLIP` is built from, `quick_gelu` always among it."""
    preprocessing: Preprocessing
    weights: Path | None
    """None, as the next two, where it is to be downloaded and only a check was asked for."""
    tokenizer: Path | None
    """Folder of a Hugging Face tokenizer; None for open_clip's own."""
    text_tower: Path | None
    """Folder with the configuration of a Hugging Face text tower; None for open_clip's own."""
    licence: str = "unknown"
    read: tuple[Path, ...] = ()
    """Files that decided the rest, or could have."""

    def files(self) -> list[Path] | None:
        """Name every file that the model is made of, the weights first; None where they are to be downloaded."""
        if self.weights is None:
            return None
        package = package_folder("open_clip")
        folders = [folder for folder in (self.tokenizer, self.text_tower) if folder is not None]
        inside = [file for folder in folders for file in sorted(folder.iterdir())]
        return [self.weights, *self.read, *inside, package / "pretrained.py", package / "constants.py"]


def of_name(argument: str, hub: Hub, weights: str | None = None, like: str | None = None) -> OpenClipRecipe:
    """Settle `ARCH/TAG`, `ARCH/PATH`, or `ARCH` with a weights file."""
    architecture, _, source = argument.partition("/")
    config = config_of(architecture)
    if weights is not None and source:
        raise ModelError(f"{argument}: weights={weights} names other weights too; give {architecture}:weights=FILE")
    if weights is not None:
        return _of_file(architecture, config, Path(weights), hub, like)
    if not source:
        tags = ", ".join(tags_of(architecture)) or "none"
        raise ModelError(f"{architecture}: expected {architecture}/TAG or {architecture}/FILE; its tags: {tags}")
    if tag_config(architecture, source) is not None:
        if like is not None:
            raise ModelError(f"{argument}: like= is for weights files; a tag has its own preprocessing")
        return _of_tag(architecture, config, clean_tag(source), hub)
    if "/" not in source and not source.endswith(SUFFIXES) and not Path(source).exists():
        raise ModelError(
            f"{architecture}: no file and no tag {source!r}; {nearest(source, tags_of(architecture))}; "
            f"a file is {architecture}/PATH"
        )
    return _of_file(architecture, config, Path(source), hub, like)


def of_repository(repository: str, hub: Hub) -> OpenClipRecipe | None:
    """Settle a repository of the Hugging Face Hub; None where its configuration is to be downloaded and was not yet."""
    what = f"hf-hub:{repository}"
    local = f"copy {CONFIG_NAME} and the weights into a folder and pass local-dir:FOLDER"
    file = hub.file(repository, [CONFIG_NAME], what, local)
    if file is None:
        return None
    weights = hub.file(repository, WEIGHTS_NAMES, f"the weights of {what}", local)
    return _of_config(what, file, weights, hub, None)


def of_folder(folder: str, hub: Hub) -> OpenClipRecipe:
    """Settle a folder with `open_clip_config.json`, weights and, where its tokenizer is not open_clip's, that."""
    what, path = f"local-dir:{folder}", place_of(folder)
    if not (path / CONFIG_NAME).is_file():
        raise ModelError(f"{what}: expected a folder with {CONFIG_NAME} and weights, as open_clip writes it")
    preferred = [path / name for name in (*WEIGHTS_NAMES, "model.safetensors") if (path / name).is_file()]
    others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not preferred and len(others) != 1:
        names = ", ".join(file.name for file in others) or "none"
        raise ModelError(f"{what}: expected weights as {WEIGHTS_NAMES[0]}, or one weights file, found {names}")
    return _of_config(what, path / CONFIG_NAME, (preferred or others)[0], hub, path)


def _of_tag(architecture: str, config: dict[str, Any], tag: str, hub: Hub) -> OpenClipRecipe:
    what, about = f"{architecture}/{tag}", tags_of(architecture)[tag]
    quick, trained_quick = bool(config.get("quick_gelu")), bool(about.get("quick_gelu"))
    if quick != trained_quick and tag != "openai":  # OpenAI's weights have QuickGELU under every name
        sibling = f"{architecture}-quickgelu"
        remedy = f"pass {sibling}/{tag}" if tag in tags_of(sibling) else f"pass a file you trust, {architecture}/FILE"
        raise ModelError(
            f"{what}: the tag's weights were trained with {_activation(trained_quick)}, but {architecture} has "
            f"{_activation(quick)}; {remedy}"
        )
    config["quick_gelu"] = trained_quick
    repository, _, name = about["hf_hub"].rpartition("/")
    stem = name.rpartition(".")[0]
    names = [f"{stem}.safetensors", name] if name else WEIGHTS_NAMES
    weights = hub.file(repository, names, f"the weights of {what}", f"pass a local file, {architecture}/FILE")
    licence = next((licence for start, licence in LICENCES.items() if tag.startswith(start)), "unknown")
    return _finished(what, config, about, weights, hub, licence=licence, read=(_package_config(architecture),))


def _of_file(architecture: str, config: dict[str, Any], path: Path, hub: Hub, like: str | None) -> OpenClipRecipe:
    path = place_of(path)
    check_file(path)
    what, known = f"{architecture}/{path}", None
    if hub.fetch and tags_of(architecture):  # hashing takes a while, so a mere check leaves it out
        known = known_tag(architecture, sha256_of(path))
    quick = bool(config.get("quick_gelu"))
    if like is not None:
        choices, trained_quick = _like(architecture, like)
        if quick and not trained_quick:
            raise ModelError(f"{what}: {architecture} has QuickGELU, but weights like {like} were trained with GELU")
        quick = trained_quick
    elif known is not None and known in tags_of(architecture):
        choices = tags_of(architecture)[known]
    else:
        choices = _agreed(architecture)
    if known is not None:
        trained_quick = bool(tags_of(architecture.removesuffix("-quickgelu"))[known].get("quick_gelu"))
        _check_activation(what, quick, trained_quick, f"this file is known as {known}, which")
    beside = path.with_name(CONFIG_NAME)
    if beside.is_file():
        said = _read(beside, what).get("model_cfg")
        said_quick = isinstance(said, dict) and bool(said.get("quick_gelu"))
        _check_activation(what, quick, said_quick, f"{CONFIG_NAME} beside it says that it")
    config["quick_gelu"] = quick
    return _finished(what, config, choices, path, hub, read=(beside, _package_config(architecture)))


def _of_config(what: str, file: Path, weights: Path | None, hub: Hub, folder: Path | None) -> OpenClipRecipe:
    held = _read(file, what)
    config = check_config(held.get("model_cfg"), f"{what}: {CONFIG_NAME}")
    if weights is not None:
        check_file(weights)
        check_size(config, weights, f"{what}: {CONFIG_NAME}")
    config.setdefault("quick_gelu", False)
    said = check_choices(held.get("preprocess_cfg"), f"{what}: {CONFIG_NAME}")
    read = (file, file.with_name("README.md"), *(sorted(file.parent.iterdir()) if folder is not None else ()))
    return _finished(what, config, said, weights, hub, folder=folder, licence=_licence_beside(file), read=read)


def _finished(
    what: str,
    config: Mapping[str, Any],
    choices: Mapping[str, Any],
    weights: Path | None,
    hub: Hub,
    folder: Path | None = None,
    licence: str = "unknown",
    read: tuple[Path, ...] = (),
) -> OpenClipRecipe:
    size = config["vision_cfg"].get("image_size", 224)
    chosen = {key: choices.get(key, DEFAULT_CHOICES[key]) for key in CHOICES}
    timm_name = str(config["vision_cfg"].get("timm_model_name") or "")
    if ":" in timm_name:
        raise ModelError(f"{what}: its image tower {timm_name!r} would be read from the network, which is not done")
    text = config["text_cfg"]
    tokenizer = text_tower = None
    if name := text.get("hf_tokenizer_name"):
        tokenizer = _tokenizer_folder(what, name, hub, folder)
    if name := text.get("hf_model_name"):
        local = f"put the Hub's {name} into the cache"
        file = hub.file(name, ["config.json"], f"the configuration of the text tower {name} of {what}", local)
        if file is not None:
            check_text_tower(file, what)
            text_tower = file.parent
    preprocessing = Preprocessing.square(size, **chosen)
    return OpenClipRecipe(what, config, preprocessing, weights, tokenizer, text_tower, licence, read)


def _package_config(architecture: str) -> Path:
    return package_folder("open_clip") / "model_configs" / f"{architecture}.json"


def _tokenizer_folder(what: str, name: str, hub: Hub, folder: Path | None) -> Path | None:
    """Find the folder of a Hugging Face tokenizer, all of its files in it."""
    if folder is not None:
        if not any((folder / file).is_file() for file in TOKENIZER_NAMES):
            raise ModelError(f"{what}: its tokenizer {name} is no part of open_clip; put {TOKENIZER_NAMES[0]} beside")
        return folder
    local = f"put the Hub's {name} into the cache, or pass a local-dir:FOLDER that holds {TOKENIZER_NAMES[0]} too"
    found = hub.file(name, TOKENIZER_NAMES, f"the tokenizer {name} of {what}", local)
    for other in ("tokenizer_config.json", "special_tokens_map.json", "config.json"):
        if found is not None and hub.download and hub.fetch:
            hub.optional(name, other)
    return None if found is None else found.parent


def _agreed(architecture: str) -> Mapping[str, Any]:
    """Give the preprocessing that all tags of an architecture share."""
    tags = tags_of(architecture)
    if not tags:
        raise ModelError(
            f"{architecture}: open_clip has no tag of it that says how pictures are preprocessed; "
            "pass like=ARCH/TAG, such as like=ViT-B-32/openai"
        )
    groups: dict[str, list[str]] = {}
    for tag, about in tags.items():
        groups.setdefault("; ".join(f"{key} {_short(about[key])}" for key in CHOICES), []).append(tag)
    if len(groups) > 1:
        said = " | ".join(f"like={names[0]} ({how})" for how, names in groups.items())
        raise ModelError(f"{architecture}: weights differ in preprocessing, and a file does not tell; pass {said}")
    return next(iter(tags.values()))


def _like(architecture: str, like: str) -> tuple[Mapping[str, Any], bool]:
    """Give the preprocessing and the activation of a tag, of this architecture or as `ARCH/TAG`."""
    other, _, tag = like.rpartition("/")
    about = tag_config(other or architecture, tag)
    if about is None:
        known = tags_of(other or architecture)
        raise ModelError(f"like: {other or architecture} has no tag {tag!r}; {nearest(tag, known)}")
    return about, bool(about.get("quick_gelu"))


def _check_activation(what: str, quick: bool, trained_quick: bool, reason: str) -> None:
    if quick == trained_quick:
        return
    architecture, _, path = what.partition("/")
    plain = architecture.removesuffix("-quickgelu")
    raise ModelError(
        f"{what}: {reason} was trained with {_activation(trained_quick)}, but {architecture} has {_activation(quick)}; "
        f"pass {plain}{'-quickgelu' if trained_quick else ''}/{path}"
    )


def _activation(quick: bool) -> str:
    return "QuickGELU" if quick else "GELU"


def _short(value: Any) -> str:
    return f"{value[0]:.3g}..." if isinstance(value, tuple | list) else str(value)


def _read(file: Path, what: str) -> dict[str, Any]:
    held = read_json(file, ModelError, f"{what}: cannot read {file.name}")
    if not isinstance(held, dict):
        raise ModelError(f"{what}: expected {file.name} to hold an object, got {json_kind(type(held))}")
    return held


def _licence_beside(file: Path) -> str:
    """Read the licence from the head of a model card, where there is one."""
    card = file.with_name("README.md")
    if not card.is_file():
        return "unknown"
    try:
        text = read_bytes(card, LARGEST_CARD).decode("utf-8-sig", "replace")
    except OSError:  # a card is for people, and no model is refused for its sake
        return "unknown"
    found = re.match(r"---\r?\n.*?^license:\s*(\S+)", text, re.DOTALL | re.MULTILINE)
    return shown(found[1], 80) if found else "unknown"
