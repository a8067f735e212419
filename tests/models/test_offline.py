"""Remote routes are refused before torch is imported, and local ones open no connection."""

import json
import os
import subprocess
import sys

import pytest

REFUSED = {
    "ViT-B-32/openai": "timm/vit_base_patch32_clip_224.openai",
    "ViT-B-16-SigLIP/webli": "timm/ViT-B-16-SigLIP",
    "hf-hub:org/repo": "org/repo",
    "torchvision:resnet50/IMAGENET1K_V2": "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
    "timm:resnet50.a1_in1k": "timm/resnet50.a1_in1k",
}
PROGRAM = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a connection was opened")

socket.socket.connect = socket.getaddrinfo = refuse
from ood_toolkit.errors import ModelError
from ood_toolkit.models.names import find_model
from ood_toolkit.api.registry import get_registry

name, download, load = json.loads(sys.argv[1])
choice = find_model(name, get_registry(), download=download)
try:
    choice.load() if load else choice.check()
    said = ""
except ModelError as error:
    said = str(error)
heavy = [m for m in ("torch", "torchvision", "open_clip", "timm", "transformers", "PIL") if m in sys.modules]
print(json.dumps([said, heavy]))
"""


def tried(tmp_path, name, *, download=False, load=True):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps([name, download, load])],
        env=os.environ
        | {
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "TORCH_HOME": str(tmp_path / "torch"),
            "OODKIT_NO_PLUGINS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said, heavy = json.loads(run.stdout)
    return said, heavy


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("download", [False, True])
def test_a_remote_route_is_refused_with_what_to_do(tmp_path, name, download):
    said, heavy = tried(tmp_path, name, download=download)
    assert heavy == []
    assert REFUSED[name] in said
    assert "\n" not in said
    assert ("HF_HUB_OFFLINE forbids" if download else "pass --download") in said
    assert "local-dir" in said or "FILE" in said


def test_local_routes_open_no_connection(tmp_path, folder, tiny):
    path, _ = folder(tiny())
    for name in (f"local-dir:{path}", "digits-clip"):
        assert tried(tmp_path, name)[0] == ""


def test_a_hub_that_does_not_answer_is_no_empty_repository(monkeypatch, tmp_path):
    from huggingface_hub.errors import LocalEntryNotFoundError

    from ood_toolkit.errors import ModelError
    from ood_toolkit.models.pretrained import Hub

    def silent(*arguments, **options):
        raise LocalEntryNotFoundError("nothing in the cache and no connection")

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", silent)
    with pytest.raises(ModelError, match="the weights: cannot be downloaded from org/repo: no answer from the Hub"):
        Hub(download=True).file("org/repo", ("a.safetensors", "b.bin"), "the weights", "pass a local file")
