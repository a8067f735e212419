"""Tiny networks on disk, in the layouts that open_clip, the Hugging Face Hub and its cache have."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.api.registry import get_registry

TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def built(config):
    """Build open_clip's network of a configuration, with weights far enough from zero to tell paths apart."""
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    config = copy.deepcopy(config)
    custom = config.pop("custom_text", False)
    kind = CLIP if not custom else CoCa if "multimodal_cfg" in config else CustomTextCLIP
    torch.manual_seed(0)
    net = kind(**config)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "token_embedding" not in name and "logit" not in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    return net.eval()


@pytest.fixture
def network():
    """Give what builds open_clip's network of a configuration."""
    return built


@pytest.fixture
def tiny():
    """Give a copy of a tiny configuration with changes to its parts."""

    def make(vision=None, text=None, **changes):
        config = copy.deepcopy(TINY) | changes
        if "vision_cfg" not in changes:
            config["vision_cfg"] |= vision or {}
        config["text_cfg"] |= text or {}
        return config

    return make


@pytest.fixture
def folder(tmp_path):
    """Write a network into a folder as open_clip does; gives the folder and the network."""

    def write(config, preprocess=None, where="model"):
        path = tmp_path / where
        path.mkdir(parents=True, exist_ok=True)
        net = built(config)
        (path / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": config, "preprocess_cfg": preprocess or {}}), encoding="utf-8"
        )
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path / "open_clip_model.safetensors")
        return path, net

    return write


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """Give a function that puts files into an empty cache of the Hub."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def put(repository: str, files: dict[str, bytes]) -> Path:
        base = cache / ("models--" + repository.replace("/", "--"))
        snapshot = base / "snapshots" / "abc"
        snapshot.mkdir(parents=True, exist_ok=True)
        (base / "refs").mkdir(exist_ok=True)
        (base / "refs" / "main").write_text("abc")
        for name, content in files.items():
            (snapshot / name).write_bytes(content)
        return snapshot

    return put


@pytest.fixture(scope="session")
def registry():
    return get_registry()
