import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

from ood_toolkit.errors import ModelError
from ood_toolkit.models import torchvision_models
from ood_toolkit.models.classifiers import imagenet_names
from ood_toolkit.models.describe import describe_model
from ood_toolkit.models.names import find_model
from ood_toolkit.models.timm_models import known_names, load_timm
from ood_toolkit.models.torchvision_models import load_torchvision, registered_weights


@pytest.fixture
def saved(tmp_path):
    """Write a network with random weights; gives the file and the network in eval mode."""

    def save(net, name="w.pth"):
        torch.save(net.state_dict(), tmp_path / name)
        return str(tmp_path / name), net.eval()

    return save


@pytest.fixture
def batch():
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (280, 350, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_registered_weights_read_without_torchvision_are_torchvisions():
    names = torchvision.models.list_models(module=torchvision.models)
    theirs = {
        name: {
            member: weights.url for member, weights in torchvision.models.get_model_weights(name).__members__.items()
        }
        for name in names
    }
    assert {name: dict(members) for name, members in registered_weights().items()} == theirs


def test_architectures_read_without_timm_are_timms():
    assert set(known_names()) == set(timm.list_models())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_features_and_head_of_torchvision_give_the_networks_own_logits(saved, batch, name, registry):
    file, net = saved(torchvision.models.get_model(name, weights=None))
    model = find_model(f"torchvision:{name}:weights={file}", registry).load()
    torch.testing.assert_close(model.head.logits(model.encode_images(batch)), net(batch), rtol=1e-4, atol=1e-4)
    assert model.encode(batch, ["features"])["features"].shape == (2, model.head.width)
    assert model.fingerprint == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert (model.head.kind, model.label_space, model.head.class_names[:2]) == ("linear", "", ("0", "1"))
    assert model.name == f"torchvision:{name}:weights={file}"
    theirs = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    assert torch.equal(model.preprocess(picture()), theirs(picture()))
    assert not model.net.training
    with pytest.raises(ModelError, match="reads no prompts"):
        model.encode_texts(["a"])
    with pytest.raises(ModelError, match="cannot give 'local'"):
        model.encode(batch, ["local"], model.head)


@pytest.mark.parametrize("name", ["resnet18", "test_vit", "test_convnext"])
def test_features_and_head_of_timm_give_the_networks_own_logits(saved, name, registry):
    file, net = saved(timm.create_model(name))
    model = find_model(f"timm:{name}:weights={file}", registry).load()
    config = timm.data.resolve_data_config({}, model=net)
    inputs = torch.randn(2, *config["input_size"])
    torch.testing.assert_close(model.head.logits(model.encode_images(inputs)), net(inputs), rtol=1e-4, atol=1e-4)
    theirs = timm.data.create_transform(**config)
    assert torch.equal(model.preprocess(picture()), theirs(picture()))
    assert json.loads(model.architecture) == {"timm": name, "classes": 1000}


@pytest.mark.parametrize("family", ["torchvision", "timm"])
def test_another_number_of_classes_and_their_names(saved, batch, tmp_path, family, registry):
    build = torchvision.models.resnet18 if family == "torchvision" else timm.models.resnet18
    file, net = saved(build(num_classes=3))
    (tmp_path / "names.txt").write_text("cat\n\ndog\nfish\n")
    model = find_model(f"{family}:resnet18:weights={file}:classes={tmp_path / 'names.txt'}", registry).load()
    assert model.head.class_names == ("cat", "dog", "fish")
    torch.testing.assert_close(model.head.logits(model.encode_images(batch)), net(batch), rtol=1e-4, atol=1e-4)
    (tmp_path / "names.txt").write_text("cat\n")
    with pytest.raises(ValueError, match="class_names: expected 3, one a class, got 1"):
        find_model(f"{family}:resnet18:weights={file}:classes={tmp_path / 'names.txt'}", registry).load()


def test_registered_weights_come_from_the_cache_and_name_their_classes(saved, torch_home, monkeypatch, registry):
    file, _ = saved(torchvision.models.resnet18())
    sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    url = f"https://download.pytorch.org/models/resnet18-{sha256[:8]}.pth"
    known = {"resnet18": {"IMAGENET1K_V1": url, "DEFAULT": url}}
    monkeypatch.setattr(torchvision_models, "registered_weights", lambda: known)
    Path(file).rename(torch_home / Path(url).name)
    for name in ("resnet18/IMAGENET1K_V1", f"resnet18:weights={torch_home / Path(url).name}"):
        model = find_model(f"torchvision:{name}", registry).load()
        assert (model.label_space, model.head.class_names[:2]) == ("imagenet-1k", ("tench", "goldfish"))
    about = describe_model(model)
    assert (about["classes"], about["label space"], "tokenizer" in about) == (1000, "imagenet-1k", False)
    known["resnet18"]["IMAGENET1K_V1"] = url.replace(sha256[:8], "00000000")
    (torch_home / Path(url).name).rename(torch_home / "resnet18-00000000.pth")
    with pytest.raises(ModelError, match="is damaged: expected a SHA-256 that starts with 00000000"):
        load_torchvision("resnet18/IMAGENET1K_V1")


def test_a_tag_of_timm_comes_from_the_hubs_cache(hub_cache, saved):
    file, net = saved(timm.create_model("test_resnet"), "w.bin")
    hub_cache("timm/test_resnet.r160_in1k", {"pytorch_model.bin": Path(file).read_bytes()})
    model = load_timm("test_resnet.r160_in1k")
    assert (model.label_space, model.head.class_names) == ("imagenet-1k", imagenet_names())
    assert model.preprocessing["crop"] == [160, 160]
    inputs = torch.randn(2, 3, 160, 160)
    torch.testing.assert_close(model.head.logits(model.encode_images(inputs)), net(inputs), rtol=1e-4, atol=1e-4)


def test_densenets_published_names_are_understood(saved, batch):
    file, net = saved(torchvision.models.densenet121(num_classes=3))
    old = {
        name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2.") if "denselayer" in name else name: value
        for name, value in net.state_dict().items()
    }
    assert old.keys() != net.state_dict().keys()
    torch.save(old, file)
    model = load_torchvision("densenet121", weights=file)
    with torch.no_grad():
        torch.testing.assert_close(model.head.logits(model.encode_images(batch)), net(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_near_and_given_as_float32(saved, batch, precision):
    file, _ = saved(torchvision.models.resnet18())
    full = load_torchvision("resnet18", weights=file)
    half = load_torchvision("resnet18", weights=file, precision=precision)
    with torch.inference_mode():
        rows, exact = half.encode_images(batch), full.encode_images(batch)
    assert rows.dtype == torch.float32
    assert 1e-6 < (rows - exact).norm() / exact.norm() < 3e-2


@pytest.mark.parametrize(
    ("name", "net", "message"),
    [
        ("torchvision:squeezenet1_1", torchvision.models.squeezenet1_1, "has no linear layer"),
        (
            "timm:deit_tiny_distilled_patch16_224",
            lambda: timm.create_model("deit_tiny_distilled_patch16_224"),
            "its logits are not what its last linear layer, head_dist, gives",
        ),
        ("torchvision:resnet18", torchvision.models.resnet34, r"unexpected \(first layer1.2.conv1.weight, "),
    ],
)
def test_networks_that_have_no_such_head(saved, registry, name, net, message):
    file, _ = saved(net())
    with pytest.raises(ModelError, match=message):
        find_model(f"{name}:weights={file}", registry).load()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet19/X", "unknown classifier 'resnet19'; did you mean 'resnet18'"),
        ("torchvision:resnet18", "expected resnet18/WEIGHTS, one of IMAGENET1K_V1, DEFAULT, or :weights=FILE"),
        ("torchvision:resnet18/IMAGENET1K_V1", "put resnet18-f37072fd.pth into .*checkpoints"),
        ("torchvision:resnet18/IMAGENET1K_V1:weights=w.pt", "names other weights; leave one out"),
        ("torchvision:resnet18:weights=w.pt", "no file w.pt"),
        ("torchvision:resnet18/IMAGENET1K_V1:classes=none.txt", "classes: expected a text file"),
        ("timm:resnet52", "unknown classifier 'resnet52'; did you mean 'resnet"),
        ("timm:resnet18", r"expected resnet18.TAG, or :weights=FILE; tags: a1_in1k"),
        ("timm:resnet18.a1_in2k", "unknown tag 'a1_in2k'; did you mean 'a1_in1k'"),
        ("timm:resnet18.a1_in1k", "not on this machine.*timm/resnet18.a1_in1k, or pass a local file"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_to_pass(registry, torch_home, hub_cache, name, message):
    with pytest.raises(ModelError, match=message):
        find_model(name, registry).check()


def test_a_download_goes_to_torchs_cache(torch_home, monkeypatch):
    calls = []

    def download(url, file, hash_prefix, progress):
        calls.append((url, file, hash_prefix, progress))
        raise OSError("no\nroute")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    url = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    with pytest.raises(ModelError, match=f"cannot download {url}: no route"):
        load_torchvision("resnet18/IMAGENET1K_V1", download=True)
    assert calls == [(url, str(torch_home / "resnet18-f37072fd.pth"), "f37072fd", False)]
