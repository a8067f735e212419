"""Checkpoints on the command line: averages beside plain weights, and WordNet ids under a head of ImageNet."""

import re

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from ood_toolkit.data.catalogue.imagenet import imagenet_wnids

KINDS = ["hot dog", "ice cream", "apple pie"]


def always(net, place):
    """Give the weights of a network that says one class of every picture."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["fc.weight"].zero_()
    state["fc.bias"].zero_()
    state["fc.bias"][place] = 5.0
    return state


def pictures(folder, classes, count):
    draw = np.random.default_rng(len(classes[0]))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for row in range(count):
            Image.fromarray(draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / name / f"{row}.png")
    return folder


def accuracy(done):
    assert done.code == 0, done.err
    return float(re.search(r"accuracy ([\d.]+) %", done.out)[1])


@pytest.fixture
def net():
    torch.manual_seed(0)
    return timm.create_model("resnet10t", pretrained=False, num_classes=3)


@pytest.mark.parametrize(
    ("plain", "average"), [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("state_dict", "model_ema")]
)
def test_of_plain_weights_and_an_average_the_average_is_taken_and_said(oodkit, tmp_path, net, plain, average):
    food, other = tmp_path / "food", pictures(tmp_path / "other", ["x"], 3)
    for count, name in enumerate(KINDS, 1):
        pictures(food, [name], count)  # 1, 2 and 3 pictures, so that each class has an accuracy of its own
    (tmp_path / "classes.txt").write_text("\n".join(KINDS))
    wrapped = {f"_orig_mod.{name}": value for name, value in always(net, 2).items()}
    torch.save({plain: always(net, 0), average: wrapped, "epoch": 3}, tmp_path / "w.pth")
    model = f"timm:resnet10t:weights={tmp_path / 'w.pth'}:classes={tmp_path / 'classes.txt'}"
    line = ("bench", "--id", f"folder:{food}", "--ood", f"folder:{other}", "--val-split", "0", "--scorers", "msp")
    done = oodkit(*line, "--model", model)
    assert accuracy(done) == 50.0  # 3 of 6; the plain weights would be right on 1 of 6
    said = f"weights of {average} were taken, as timm does; the file also holds {plain}"
    assert said in " ".join((done.out + done.err).split())


def test_folders_called_by_wordnet_ids_under_a_head_of_imagenet(oodkit, tmp_path):
    net = timm.create_model("resnet10t", pretrained=False)
    torch.save(always(net, 388), tmp_path / "w.pth")
    ids = [imagenet_wnids()[at] for at in (388, 1, 999)]
    other = pictures(tmp_path / "other", ["x"], 3)
    line = ("--ood", f"folder:{other}", "--val-split", "0", "--scorers", "msp")
    for count, names in ((4, ids), (4, ["giant_panda", "Goldfish", "Toilet-Paper"])):
        folder = pictures(tmp_path / names[0], names, count)
        model = f"timm:resnet10t:weights={tmp_path / 'w.pth'}"
        done = oodkit("bench", "--id", f"folder:{folder}", *line, "--model", f"{model}:classes=imagenet-1k")
        assert accuracy(done) == 33.33
        if names is ids:
            nameless = oodkit("bench", "--id", f"folder:{folder}", *line, "--model", model)
            assert "the 1000 classes of the head have no names" in " ".join(nameless.out.split())
            assert not re.search(r"accuracy [\d.]+ %", nameless.out)
            assumed = model.replace("resnet10t", "resnet10t.c3_in1k")
            oodkit("bench", "--id", f"folder:{folder}", *line, "--model", assumed).is_refused(f"'{ids[0]}'")
    folder = pictures(tmp_path / "unknown", ["n99999999"], 2)
    refused = oodkit("bench", "--id", f"folder:{folder}", *line, "--model", f"{model}:classes=imagenet-1k")
    refused.is_refused("'n99999999'")
