"""`oodkit bench` encodes each image once, and again only what a change of weights, pictures or prompts touches."""

import hashlib
import json
import os

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.cli import main
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.models.clip import OpenClip, load_local_dir
from ood_toolkit.models.digits_clip import WEIGHTS, load_digits_clip

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
CLASSES = ("ant", "bee")
OOD = {"near": 15, "far": 10, "mixed": 12}
IMAGES = 40 + sum(OOD.values())


class Counter:
    """What went through the towers since it was last asked."""

    def __init__(self):
        self.images, self.texts = [], []

    def taken(self):
        """Give how many images and texts there were, the images all distinct."""
        images, texts = self.images, self.texts
        assert len(set(images)) == len(images)
        self.images, self.texts = [], []
        return len(images), len(texts)


@pytest.fixture
def counter(monkeypatch):
    counts, images, texts = Counter(), OpenClip.encode_images, OpenClip.encode_texts

    def count_images(self, batch):
        real = batch[batch.flatten(1).any(dim=1)]  # zeros are gaps
        counts.images += [hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in real]
        return images(self, batch)

    def count_texts(self, given):
        counts.texts += given
        return texts(self, given)

    monkeypatch.setattr(OpenClip, "encode_images", count_images)
    monkeypatch.setattr(OpenClip, "encode_texts", count_texts)
    return counts


@pytest.fixture
def sets(tmp_path):
    """Write noise to files: an ID set of two classes, and OOD sets of which `mixed` has five ID images too."""
    draw = np.random.default_rng(0)

    def write(folder, count):
        folder.mkdir(parents=True)
        for place in range(count):
            file = folder / f"{place:03d}.png"
            Image.fromarray(draw.integers(0, 256, (24, 30, 3), dtype=np.uint8)).save(file)
            os.utime(file, ns=(10**18, 10**18))

    for name in CLASSES:
        write(tmp_path / "id" / name, 20)
    for name, count in OOD.items():
        write(tmp_path / name, count)
    for place in range(5):
        (tmp_path / "mixed" / f"copy{place}.png").write_bytes(
            (tmp_path / "id" / "ant" / f"{place:03d}.png").read_bytes()
        )
    return tmp_path


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(0)
    net = open_clip.CLIP(
        CONFIG["embed_dim"],
        open_clip.CLIPVisionCfg(**CONFIG["vision_cfg"]),
        open_clip.CLIPTextCfg(**CONFIG["text_cfg"]),
    )
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def bench(sets, model, capsys, monkeypatch):
    """Run `oodkit bench` on the sets; gives the AUROC by scorer and OOD set."""
    monkeypatch.setenv("OODKIT_STORE", str(sets / "store"))

    def run(*more, scorers="msp,mcm,energy,maxlogit", name=f"local-dir:{model}", val="0"):
        capsys.readouterr()
        ood = ",".join(f"folder:{sets / one}" for one in OOD)
        line = ["bench", "--id", f"folder:{sets / 'id'}", "--ood", ood, "--scorers", scorers, "--format", "json"]
        with pytest.raises(SystemExit) as stop:
            main([*line, "--model", name, "--val-split", val, *more])
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        rows = [row for row in json.loads(out)["rows"] if row["kind"] == "ood"]
        assert {row["status"] for row in rows} == {"ok"}
        return {(row["scorer"], row["ood"].rpartition("/")[2]): row["metrics"]["auroc"] for row in rows}

    return run


def change_one_weight(file):
    """Write one weight of the image tower anew, in a file of the same name and size."""
    weights = load_file(file)
    size = file.stat().st_size
    weights["visual.conv1.weight"].view(-1)[7] += 1.0
    save_file(weights, file)
    assert file.stat().st_size == size


def direct(folder, sets):
    """Compute AUROCs of the largest logit from the files, without store, heads or scorers."""
    model = load_local_dir(str(folder))
    texts = model.clip.encode_text(model.tokenize([f"a photo of a {name}" for name in CLASSES]))
    texts = texts / texts.norm(dim=1, keepdim=True)

    def scores(place):
        files = sorted(place.rglob("*.png"))
        with torch.inference_mode():
            x = model.clip.encode_image(torch.stack([model.preprocess(Image.open(file)) for file in files]))
        return (x / x.norm(dim=1, keepdim=True) @ texts.T).amax(dim=1).numpy()

    high = scores(sets / "id")
    found = {}
    for name in OOD:
        low = scores(sets / name)
        found[name] = ((high[:, None] > low).sum() + 0.5 * (high[:, None] == low).sum()) / (len(high) * len(low))
    return found


def test_scorers_and_sets_share_one_encoding(bench, counter):
    bench()
    assert counter.taken() == (IMAGES, len(CLASSES))
    bench()
    assert counter.taken() == (0, 0)
    bench(scorers="entropy,msp")
    assert counter.taken() == (0, 0)
    bench(scorers="classwise,grid,mean", val="0.5")
    assert counter.taken()[0] == 0


def test_a_changed_weight_encodes_all_again_and_the_numbers_are_fresh(bench, counter, model, sets):
    """The name and size of the file stay: a name alone never finds old features."""
    file = model / "open_clip_model.safetensors"
    before = bench()
    for name, auroc in direct(model, sets).items():
        assert before["maxlogit", name] == pytest.approx(auroc, abs=0.002)
    counter.taken()
    change_one_weight(file)
    after = bench()
    assert counter.taken() == (IMAGES, len(CLASSES))
    for name, auroc in direct(model, sets).items():
        assert after["maxlogit", name] == pytest.approx(auroc, abs=0.002)
    assert after != before


def test_another_interpolation_or_resize_encodes_the_images_again_and_no_text(bench, counter, model):
    plain = bench()
    counter.taken()
    for option in ("interpolation=bilinear", "resize=40"):
        assert bench(name=f"local-dir:{model}:{option}") != plain
        assert counter.taken() == (IMAGES, 0)
    assert bench() == plain
    assert counter.taken() == (0, 0)


def test_another_precision_encodes_all_again(bench, counter):
    bench()
    counter.taken()
    bench("--precision", "bf16")
    assert counter.taken() == (IMAGES, len(CLASSES))


def test_a_changed_file_is_encoded_again_alone(bench, counter, sets):
    plain = bench()
    counter.taken()
    Image.new("RGB", (24, 30), (0, 200, 0)).save(sets / "near" / "004.png")
    assert {key for key, auroc in bench().items() if auroc != plain[key]} <= {
        key for key in plain if key[1] in ("near", "all")
    }
    assert counter.taken() == (1, 0)
    (sets / "near" / "004.png").rename(sets / "near" / "900.png")  # the same bytes elsewhere
    bench()
    assert counter.taken() == (0, 0)


def test_another_prompt_encodes_texts_alone(bench, counter):
    plain = bench()
    counter.taken()
    assert bench("--prompts", "a drawing of {}") != plain
    assert counter.taken() == (0, len(CLASSES))
    bench("--prompts", "a drawing of {}")
    assert counter.taken() == (0, 0)


def _first(pictures, count):
    return Pictures(pictures.items[:count], pictures.ids[:count])


def test_one_weight_of_the_embedded_model_decides_under_the_same_name(tmp_path):
    pictures, file = _first(DIGITS.open("val", tmp_path), 64), tmp_path / "weights.safetensors"
    content = bytearray(WEIGHTS.read_bytes())
    content[-1] ^= 1  # the last bit of a float16's exponent
    file.write_bytes(content)
    shipped, changed = load_digits_clip(), load_digits_clip(file)
    assert shipped.name == changed.name
    assert encode_pictures(shipped, pictures, tmp_path / "store").fresh == len(pictures)
    assert encode_pictures(changed, pictures, tmp_path / "store").fresh == len(pictures)
    assert encode_pictures(load_digits_clip(), pictures, tmp_path / "store").fresh == 0
