"""`oodkit bench` with HF_HUB_OFFLINE=1: what would need the network is refused before torch is imported."""

import importlib.util
import json
import os
import subprocess
import sys

import open_clip
import pytest
import torch
from safetensors.torch import save_file

REMOTE = (
    "ViT-B-32/openai", "hf-hub:org/repo", "timm:resnet50.a1_in1k", "torchvision:resnet50/IMAGENET1K_V1",
    "transformers:openai/clip-vit-base-patch32",
)  # fmt: skip
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PROGRAM = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a connection was opened")

socket.socket.connect = socket.getaddrinfo = refuse
from ood_toolkit.cli import main
try:
    main(sys.argv[2:])
finally:
    names = ("torch", "torchvision", "open_clip", "timm", "transformers", "PIL")
    heavy = [name for name in names if name in sys.modules]
    with open(sys.argv[1], "w") as file:
        json.dump(heavy, file)
"""


@pytest.fixture
def bench(tmp_path):
    """Run `oodkit bench` in a process of its own with empty caches; gives it and the heavy modules it imported."""

    def run(model, *more):
        line = ["bench", "--id", "digits", "--ood", "letters", "--model", model, *more]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / "heavy.json", *line],
            env={name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_", "OODKIT_"))}
            | {
                "HF_HUB_OFFLINE": "1",
                "HF_HOME": str(tmp_path / "hf"),
                "TORCH_HOME": str(tmp_path / "torch"),
                "OODKIT_STORE": str(tmp_path / "store"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done, json.loads((tmp_path / "heavy.json").read_text())

    return run


@pytest.mark.parametrize("model", REMOTE)
@pytest.mark.parametrize("download", [False, True])
def test_a_remote_route_is_refused_in_one_line_before_torch_is_imported(bench, tmp_path, model, download):
    if model.startswith("transformers:") and importlib.util.find_spec("oodkit_transformers") is None:
        pytest.skip("oodkit-transformers is not installed")
    done, heavy = bench(model, *(["--download"] if download else []))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("oodkit: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert heavy == []
    assert "--download" in done.stderr or "HF_HUB_OFFLINE" in done.stderr
    assert "local-dir" in done.stderr or "FILE" in done.stderr or "folder" in done.stderr
    if download:
        assert "HF_HUB_OFFLINE" in done.stderr
    assert not (tmp_path / "store").exists()


def test_local_routes_work_offline(bench, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    torch.manual_seed(0)
    net = open_clip.CLIP(
        CONFIG["embed_dim"],
        open_clip.CLIPVisionCfg(**CONFIG["vision_cfg"]),
        open_clip.CLIPTextCfg(**CONFIG["text_cfg"]),
    )
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "open_clip_model.safetensors")
    for model in ("digits-clip", f"local-dir:{folder}"):
        done, heavy = bench(model, "--limit", "20", "--scorers", "msp", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert "torch" in heavy
        read = json.loads(done.stdout)
        assert read["model"] == model
        assert {row["status"] for row in read["rows"]} == {"ok"}


def test_a_weights_file_works_offline(bench, tmp_path):
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=10)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    (tmp_path / "names.txt").write_text("\n".join(names))
    model = f"torchvision:resnet18:weights={tmp_path / 'net.safetensors'}:classes={tmp_path / 'names.txt'}"
    done, _ = bench(model, "--limit", "8", "--scorers", "msp", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {row["n_ood"] for row in json.loads(done.stdout)["rows"] if row["kind"] == "ood"} == {8}
