import json

import pytest
import torch
from PIL import Image

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.errors import ModelError
from ood_toolkit.learning.loop import seeded
from ood_toolkit.models import saving
from ood_toolkit.models.clip import load_local_dir
from ood_toolkit.models.digits_clip import load_digits_clip
from ood_toolkit.models.names import find_model
from ood_toolkit.models.saving import check_savable, save_model

TEXTS = ("a photo of a cat", "a dog")
GREY = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


def moved(model):
    """Take a step, as learning does, to weights that no half-precision number is equal to."""
    with torch.no_grad():
        for name, weight in model.clip.named_parameters():
            weight.add_(1e-3 * torch.randn(weight.shape, generator=seeded(name)))
    return model


def photo():
    draw = seeded("photo")
    return Image.fromarray(torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8, generator=draw).numpy())


def encodings(model):
    pixels = torch.stack([model.preprocess(photo()), model.preprocess(photo().rotate(90))])
    with torch.no_grad():
        return model.encode_images(pixels), model.encode_texts(TEXTS)


@pytest.mark.parametrize(
    ("config", "preprocess"),
    [
        ({}, {}),
        ({"quick_gelu": False}, {**GREY, "interpolation": "bilinear"}),
        ({"vision": {"image_size": [24, 32]}}, {**GREY, "resize_mode": "squash"}),
        ({"vision": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}}, {}),  # a ResNet: convolutions, batch norms
        ({"custom_text": True}, {}),
        ({"init_logit_bias": -10.0}, {}),
    ],
)
def test_a_model_of_open_clip_comes_back_to_the_bit(tiny, folder, tmp_path, registry, config, preprocess):
    path, _ = folder(tiny(**config), preprocess)
    model = moved(load_local_dir(str(path)))
    images, texts = encodings(model)
    save_model(model, tmp_path / "saved")
    again = find_model(f"local-dir:{tmp_path / 'saved'}", registry).load()
    found = encodings(again)
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], texts)
    assert (again.preprocessing, again.architecture) == (model.preprocessing, model.architecture)
    assert again.scale == pytest.approx(float(model.clip.logit_scale.exp()))
    assert again.bias == float(getattr(model.clip, "logit_bias", None) or 0.0)
    before = encodings(load_local_dir(str(path)))
    assert not torch.equal(before[0], images)  # what came back is not what was there first


def test_open_clip_itself_reads_the_folder(tiny, folder, tmp_path):
    import open_clip

    model = moved(load_local_dir(str(folder(tiny())[0])))
    save_model(model, tmp_path / "saved")
    net, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'saved'}")
    net.eval()
    pixels = preprocess(photo())[None]
    assert torch.allclose(net.encode_image(pixels), model.encode_images(model.preprocess(photo())[None]), atol=1e-5)
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'saved'}")(list(TEXTS))
    assert torch.allclose(net.encode_text(tokens), model.encode_texts(TEXTS), atol=1e-5)


def test_a_tokenizer_of_its_own_comes_along(tiny, folder, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[UNK]": 0, "a": 1, "photo": 2, "of": 3, "cat": 4, "dog": 5, "[PAD]": 6}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    path, _ = folder(tiny(text={"hf_tokenizer_name": "org/words", "context_length": 8}, custom_text=True))
    made.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"})
    )
    model = moved(load_local_dir(str(path)))
    save_model(model, tmp_path / "saved")
    again = load_local_dir(str(tmp_path / "saved"))
    assert torch.equal(encodings(again)[1], encodings(model)[1])
    assert again.tokenizer == model.tokenizer


def test_digits_clip_comes_back_to_the_bit(tmp_path, registry):
    model = moved(load_digits_clip())
    model.no_templates = ("no {}", "without a {}")
    images, texts = encodings(model)
    save_model(model, tmp_path / "saved")
    name = f"local-dir:{tmp_path / 'saved'}"
    choice = find_model(name, registry)
    choice.check()
    again = choice.load()
    found = encodings(again)
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], texts)
    assert (again.name, again.no_templates) == (name, model.no_templates)
    assert again.fingerprint != model.fingerprint
    assert again.preprocess(DIGITS.open("test", tmp_path).images[0]).shape == (1, 16, 16)


def test_digits_clip_has_no_options_of_open_clip(tmp_path, registry):
    save_model(load_digits_clip(), tmp_path / "saved")
    for option in ("resize=256", "interpolation=bilinear", "precision=bf16"):
        choice = find_model(f"local-dir:{tmp_path / 'saved'}:{option}", registry)
        with pytest.raises(ModelError, match=rf"holds a digits-clip, which has no {option.split('=')[0]}"):
            choice.check()


def test_a_folder_is_there_whole_or_not_at_all(tiny, folder, tmp_path, monkeypatch):
    model = load_local_dir(str(folder(tiny())[0]))
    monkeypatch.setattr(saving, "_weights", lambda clip: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_model(model, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    assert not list(tmp_path.glob(".saved*"))


def test_what_a_folder_cannot_hold_is_refused(tiny, folder, tmp_path):
    path, _ = folder(tiny())
    with pytest.raises(ModelError, match="leave resize= out here"):
        check_savable(load_local_dir(str(path), resize="40"))
    model = load_digits_clip()
    model.context = object()
    with pytest.raises(ModelError, match="leave context= out"):
        save_model(model, tmp_path / "saved")
    model.context, model.has_no_tower = None, True
    with pytest.raises(ModelError, match="second text tower"):
        save_model(model, tmp_path / "saved")

    class Other:
        name = "timm:thing"

    with pytest.raises(ModelError, match="timm:thing: expected a model of open_clip or digits-clip"):
        check_savable(Other())
    assert not (tmp_path / "saved").exists()
