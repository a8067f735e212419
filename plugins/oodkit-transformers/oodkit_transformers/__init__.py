"""CLIP (Radford et al., 2021) and SigLIP (Zhai et al., 2023) checkpoints of Hugging Face transformers as models."""

from __future__ import annotations

from pathlib import Path

from ood_toolkit import ModelEntry, format_value, hookimpl, nearest
from ood_toolkit.errors import ModelError
from oodkit_transformers.checkpoint import cache_folder, check_folder, fetch, find_folder, is_offline, weight_files
from oodkit_transformers.model import PRECISIONS, TransformersCLIP, TransformersModel

__all__ = ["TRANSFORMERS", "TransformersCLIP", "TransformersModel", "check_transformers", "load_transformers"]

OPTIONS = {
    "precision": "fp32, bf16 or fp16: what the towers compute in; fp32 by default",
    "download": "--download: fetch ORG/REPO from the Hugging Face hub where the local cache lacks it; never by default",
}


def load_transformers(argument: str, precision: str = "fp32", download: bool = False) -> TransformersModel:
    """Load a checkpoint from a folder or from the Hugging Face cache; `download` fetches what the cache lacks.

    Raises `ModelError` for what is missing, damaged, of another `model_type`, or would need a download not asked for.
    """
    check_transformers(argument, precision, download)
    folder = find_folder(argument) or fetch(argument)
    model_type = check_folder(folder, argument)
    name = f"transformers:{format_value(argument)}" + (f":precision={precision}" if precision != "fp32" else "")
    return (TransformersCLIP if model_type == "clip" else TransformersModel)(name, folder, precision)


def check_transformers(argument: str, precision: str = "fp32", download: bool = False, **options: object) -> None:
    """Refuse, without importing anything heavy, what `load_transformers` would refuse or have to download unasked."""
    for key in options:
        raise ModelError(f"transformers: unknown option {key!r}; {nearest(key, OPTIONS)}")
    if precision not in PRECISIONS:
        raise ModelError(f"transformers: precision: expected {', '.join(PRECISIONS)}, got {precision!r}")
    if not isinstance(download, bool):
        raise ModelError(f"transformers: download: expected True or False, got {download!r}")
    folder = find_folder(argument)
    if folder is not None:
        check_folder(folder, argument)
        return
    where = f"transformers:{argument}: no such folder, and nothing complete in the cache {cache_folder()}"
    if is_offline():
        raise ModelError(f"{where}; HF_HUB_OFFLINE forbids a download: unset it, or give a folder")
    if not download:
        raise ModelError(f"{where}; pass --download to fetch it from the Hugging Face hub, or give a folder")


def files_of_transformers(argument: str, **options: object) -> list[Path] | None:
    """Name the files that decide what `load_transformers` gives, the weights first; None where they are not here."""
    folder = find_folder(argument)
    return None if folder is None else [*weight_files(folder), *sorted(folder.iterdir())]


TRANSFORMERS = ModelEntry(
    name="transformers",
    description="CLIP or SigLIP of Hugging Face transformers, from a folder or the local cache.",
    load=load_transformers,
    argument="PATH|ORG/REPO",
    check=check_transformers,
    files=files_of_transformers,
    options=OPTIONS,
    notes=("The licence is that of the checkpoint.",),
)


@hookimpl
def register_models() -> list[ModelEntry]:
    """Provide the models `transformers:PATH` and `transformers:ORG/REPO`."""
    return [TRANSFORMERS]
