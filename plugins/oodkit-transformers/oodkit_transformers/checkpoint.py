"""Where a checkpoint lies and whether all its parts are there; nothing heavy is imported."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ood_toolkit.errors import ModelError, one_line

FAMILIES = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""The class of transformers that a config's `model_type` is loaded with."""
LARGEST = 32 << 20
"""Bytes of JSON."""
COMMIT = re.compile(r"\*|[\w-]{1,100}")
SHARD = re.compile(r"[\w-][\w.-]{0,200}")
REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",), ("tokenizer.model",))
"""Files that make a tokenizer, any of these rows; without them transformers would make an empty one."""
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
FETCHED = ("*.json", "*.txt", "*.model", "model*.safetensors")
"""Of a repository; its `pytorch_model*.bin` only where it has no safetensors."""


def find_folder(argument: str) -> Path | None:
    """Find the folder of a checkpoint; None for an ORG/REPO that the cache does not hold in full."""
    path = Path(argument).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not REPO.fullmatch(argument):
        problem = "is a file" if path.exists() else "no such folder"
        raise ModelError(f"transformers:{argument}: {problem}; expected a folder of save_pretrained, or ORG/REPO")
    home = cache_folder() / f"models--{argument.replace('/', '--')}"
    main = home / "refs" / "main"
    commit = main.read_bytes()[:200].decode("ascii", "replace").strip() if main.is_file() else "*"
    if not COMMIT.fullmatch(commit):
        raise ModelError(f"{main}: expected the name of a snapshot, got {commit!a}; download it again")
    complete = [snapshot for snapshot in home.glob(f"snapshots/{commit}") if not missing_part(snapshot)]
    return complete[0] if len(complete) == 1 else None


def check_folder(folder: Path, argument: str) -> str:
    """Look whether a folder holds all parts of a checkpoint that can be loaded, and give its `model_type`."""
    what = f"transformers:{argument}"
    model_type = read_json(folder / "config.json", what).get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ModelError(f"{what}: model_type {model_type!a:.60} is not supported; expected {' or '.join(FAMILIES)}")
    if (folder / "adapter_config.json").is_file():
        raise ModelError(f"{what}: holds an adapter; merge it into the weights and save those")
    if missing := missing_part(folder):
        raise ModelError(f"{what}: {missing}")
    return str(model_type)


def missing_part(folder: Path) -> str:
    """Say which part of a checkpoint a folder lacks and what is expected; "" for none."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    if not weight_files(folder):
        return f"no complete weights; expected {' or '.join(WEIGHTS)}, or an index and all its shards"
    if not any(all((folder / name).is_file() for name in row) for row in TOKENIZERS):
        return f"no tokenizer; expected {' or '.join('+'.join(row) for row in TOKENIZERS)}"
    if not any((folder / name).is_file() for name in PROCESSORS):
        return f"no image processor; expected {' or '.join(PROCESSORS)}"
    return ""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Give the weight files that are loaded, safetensors where there are any; () where one is missing."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return (folder / name,)
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = read_json(index, f"transformers:{folder}").get("weight_map", {})
            names = shards.values() if isinstance(shards, dict) else [None]
            if not all(isinstance(one, str) and SHARD.fullmatch(one) for one in names):
                raise ModelError(f"transformers:{folder}: {index.name}: expected names of files here as its weight_map")
            files = tuple(folder / shard for shard in sorted(set(names)))
            return files if all(file.is_file() for file in files) else ()
    return ()


def cache_folder() -> Path:
    """Give the hub cache: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(hub)).expanduser()


def is_offline() -> bool:
    """Tell whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids downloads."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE")


def fetch(repo: str) -> Path:
    """Download a repository's checkpoint into the cache; the weights as safetensors where it has them."""
    from huggingface_hub import snapshot_download

    for patterns in (FETCHED, (*FETCHED, "pytorch_model*.bin")):
        try:
            got = snapshot_download(
                repo, cache_dir=cache_folder(), allow_patterns=list(patterns), ignore_patterns=["*/*"]
            )
        except Exception as error:  # whatever hub, network and disk may raise
            raise ModelError(f"transformers:{repo}: cannot be downloaded: {one_line(error)}") from error
        if weight_files(Path(got)):
            break
    return Path(got)


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """Give the files that decide how prompts are read, in order of name."""
    names = {name for row in TOKENIZERS for name in row} | set(TOKENIZER_SETTINGS)
    return tuple(folder / name for name in sorted(names) if (folder / name).is_file())


def sha256(files: Sequence[Path]) -> str:
    """Give the SHA-256 of the contents of files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while part := content.read(1 << 22):
                digest.update(part)
    return digest.hexdigest()


def read_json(file: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; `ModelError`, beginning with `what`, where there is none."""
    try:
        if not file.is_file() or (size := file.stat().st_size) > LARGEST:
            raise OSError(f"a file of {size:,} bytes, over {LARGEST:,}" if file.is_file() else "no such file")
        content = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(f"{what}: expected {file.name} to be text in UTF-8, got other bytes") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ModelError(f"{what}: expected {file.name} to be JSON, got other text ({place})") from error
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"
        raise ModelError(f"{what}: expected {file.name} to be JSON of a checkpoint, got {why}") from error
    except OSError as error:
        raise ModelError(f"{what}: cannot read {file.name}: {one_line(error)}") from error
    if not isinstance(content, dict):
        got = "a list" if isinstance(content, list) else "one value"
        raise ModelError(f"{what}: {file.name}: expected a JSON object, got {got}")
    return content
