import hashlib
import json
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.data.catalogue.letters import LETTERS
from ood_toolkit.data.catalogue.patches import PATCHES
from ood_toolkit.errors import ModelError
from ood_toolkit.models.describe import describe_model
from ood_toolkit.models.digits_clip import CONFIG, DIGITS_CLIP, WEIGHTS, load_digits_clip
from ood_toolkit.outputs.head import Head

pytestmark = pytest.mark.quick

UNSEEN = (
    "a blurry picture of the number {}",
    "this shows {}.",
    "the digit {} on a black background",
    "itap of a {}",
    "a drawing of the {}",
    "handwriting: {}",
    "a bad photo of the {}.",
    "a tattoo of the {}.",
    "a hard to see photo of the {}.",
    "the origami {}.",
    "my favourite is {}, really!",
    "{} as seen by a camera",
)
"""Prompts with words that the training script does not know; its own test holds that."""


@pytest.fixture(scope="module")
def model():
    return DIGITS_CLIP.load()


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=-1)


def encode(model, pictures):
    return unit(model.encode_images(torch.stack([model.preprocess(image) for image in pictures.images])))


def texts(model, template):
    return unit(model.encode_texts([template.format(name) for name in DIGITS.classes]))


@pytest.fixture(scope="module")
def test_digits():
    return DIGITS.open("test")


@pytest.fixture(scope="module")
def images(model, test_digits):
    return {
        "digits": encode(model, test_digits),
        "letters": encode(model, LETTERS.open("test")),
        "patches": encode(model, PATCHES.open("test")),
    }


def accuracy(model, images, test_digits, template):
    prediction = (images["digits"] @ texts(model, template).T).argmax(1)
    return float((prediction.numpy() == test_digits.labels).mean())


@pytest.mark.parametrize("template", [*DIGITS.templates, "{}"])
def test_accuracy_with_the_prompts_of_the_set_and_bare_names(model, images, test_digits, template):
    assert accuracy(model, images, test_digits, template) >= 0.97


@pytest.mark.parametrize("template", UNSEEN)
def test_accuracy_with_prompts_never_seen_in_training(model, images, test_digits, template):
    assert accuracy(model, images, test_digits, template) >= 0.95


AUROC = {"letters": 0.93, "patches": 0.99}
"""The least that each score must reach."""


def scores(model, rows):
    yes, no = texts(model, DIGITS.templates[0]), texts(model, model.no_templates[0])
    cosine = rows @ yes.T
    logits = (model.scale * cosine).double()
    is_class = torch.sigmoid(logits - model.scale * (rows @ no.T))
    return {
        "msp": logits.softmax(1).amax(1),
        "mcm": cosine.softmax(1).amax(1),
        "ctw": is_class.gather(1, logits.argmax(1, keepdim=True))[:, 0],
        "atd": (logits.softmax(1) * is_class).sum(1),
    }


@pytest.mark.parametrize("score", ["msp", "mcm", "ctw", "atd"])
@pytest.mark.parametrize("ood", ["letters", "patches"])
def test_what_is_no_digit_scores_lower(model, images, score, ood):
    id_scores, ood_scores = scores(model, images["digits"])[score], scores(model, images[ood])[score]
    is_id = np.r_[np.ones(len(id_scores)), np.zeros(len(ood_scores))]
    assert roc_auc_score(is_id, torch.cat([id_scores, ood_scores])) >= AUROC[ood]


def test_a_no_prompt_is_nearer_where_the_class_is_not(model, images, test_digits):
    yes, no = texts(model, DIGITS.templates[0]), texts(model, model.no_templates[0])
    says_yes = (images["digits"] @ yes.T > images["digits"] @ no.T).numpy()
    is_class = np.eye(10, dtype=bool)[test_digits.labels]
    assert says_yes[is_class].mean() >= 0.95
    assert (~says_yes[~is_class]).mean() >= 0.9
    assert (images["patches"] @ yes.T <= images["patches"] @ no.T).float().mean() >= 0.9


def test_size_of_file_and_model(model):
    assert WEIGHTS.stat().st_size < 1_500_000
    assert 300_000 <= sum(weight.numel() for weight in model.clip.parameters()) <= 600_000


def test_the_fingerprint_is_the_hash_of_the_weights_file(model):
    assert model.fingerprint == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_scale_is_that_of_a_clip(model):
    assert 1 < model.scale <= 100.001
    assert model.scale == pytest.approx(float(np.exp(model.clip.logit_scale.item())))
    assert model.bias == 0


def test_the_tokenizer_reads_letter_by_letter(model):
    assert model.tokenize.vocab_size == model.clip.vocab_size == 515
    tokens = model.tokenize(["a three"])[0]
    assert model.tokenize.decode(tokens[1:7].tolist()) == "a three "
    assert [int(tokens[0]), int(tokens[7])] == [513, 514]
    assert not tokens[8:].any()


def test_a_batch_is_encoded_as_its_parts_are(model, test_digits):
    batch = torch.stack([model.preprocess(image) for image in test_digits.images[:7]])
    alone = torch.cat([model.encode_images(picture.unsqueeze(0)) for picture in batch])
    torch.testing.assert_close(model.encode_images(batch), alone, rtol=1e-5, atol=1e-5)
    prompts = ["a photo of a two", "nine", "this is a much longer prompt about the number four on paper"]
    alone = torch.cat([model.encode_texts([prompt]) for prompt in prompts])
    torch.testing.assert_close(model.encode_texts(prompts), alone, rtol=1e-5, atol=1e-5)


def test_rows_are_float32_without_gradient_and_not_normalised(model, test_digits):
    rows = model.encode_images(torch.stack([model.preprocess(image) for image in test_digits.images[:3]]))
    for result in (rows, model.encode_texts(["one", "two"])):
        assert (result.dtype, result.shape[1], result.requires_grad) == (torch.float32, 64, False)
        assert (result.norm(dim=1) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_preprocessing_takes_pictures_of_any_mode_and_size(model, mode):
    white = Image.new("L", (31, 20), 255).convert(mode)
    picture = model.preprocess(white)
    assert (picture.dtype, picture.shape) == (torch.float32, (1, 16, 16))
    torch.testing.assert_close(picture, torch.full((1, 16, 16), (1 - 0.305) / 0.376))


def test_upper_case_and_spaces_do_not_matter(model):
    torch.testing.assert_close(*model.encode_texts(["A  Photo of a TWO ", "a photo of a two"]))


def test_it_loads_without_a_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    DIGITS_CLIP.load().encode_texts(["one"])


def test_listing_it_loads_nothing_heavy():
    code = (
        "import sys; from ood_toolkit.models.digits_clip import DIGITS_CLIP; "
        "print(*{'numpy', 'PIL', 'torch', 'open_clip', 'safetensors'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read digits-clip weights from .*none\.safetensors"):
        load_digits_clip(tmp_path / "none.safetensors")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("not weights at all")
    with pytest.raises(ModelError, match="cannot read digits-clip weights"):
        load_digits_clip(tmp_path / "text.safetensors")


def test_the_weights_of_another_model_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="is not a digits-clip file of format 1: it gives none"):
        load_digits_clip(tmp_path / "other.safetensors")


def test_it_says_what_its_outputs_depend_on(model):
    about = describe_model(model)
    assert about["architecture"]["open_clip"] == dict(CONFIG)
    assert about["preprocessing"]["crop"] == [model.image_size] * 2 == [16, 16]
    assert (about["precision"], about["licence"]) == ("fp32", "MIT")
    assert about["gives"] == ["features", "pre_projection", "local"]
    assert about["tokenizer"] == model.tokenizer == "open_clip SimpleTokenizer without merges, context 77"
    assert about["no prompts"] == ["a photo of no {}"]


def test_features_patches_and_local_scores_come_from_one_pass(model, test_digits):
    batch = torch.stack([model.preprocess(image) for image in test_digits.images[:6]])
    names = [f"a photo of a {name}" for name in DIGITS.classes]
    with torch.inference_mode():
        head = Head.zero_shot(model.encode_texts(names), DIGITS.classes, model.scale)
        found = model.encode(batch, ("pre_projection", "local"), head)
        patches = model.run(batch, ("local",))["local"]
        features = model.encode_images(batch)
    torch.testing.assert_close(found["features"], features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["pre_projection"] @ model.clip.visual.proj, features, rtol=1e-4, atol=1e-5)
    assert patches.shape == (6, 16, 64)
    largest = (unit(patches.double()) @ head.weight.double().T).softmax(dim=-1).amax(dim=(1, 2))
    torch.testing.assert_close(found["local"].double(), largest, rtol=0, atol=1e-6)
    with pytest.raises(ModelError, match="local scores are of patches with class texts; give a head"):
        model.encode(batch, ("local",))
    with pytest.raises(ModelError, match="digits-clip: cannot give 'depth'; it has features, pre_projection, local"):
        model.encode(batch, ("depth",))


def test_learned_vectors_take_the_place_of_a_prompt(tmp_path):
    model = load_digits_clip()
    words = model.clip.token_embedding(model.tokenize(["a photo of a"])[0, 1:10]).detach()
    assert model.tokenize(["a photo of a"])[0, 10] == model.tokenize([""])[0, 1]  # nine letters and the end
    np.savez(tmp_path / "ctx.npz", ctx=words.numpy())
    learned = DIGITS_CLIP.load(context=str(tmp_path / "ctx.npz"))
    with torch.inference_mode():
        torch.testing.assert_close(
            learned.encode_texts(["one", "two"]), model.encode_texts(["a photo of a one.", "a photo of a two."])
        )
    assert (learned.learned_prompt, learned.templates, learned.no_templates) == (True, ("{}",), ())
    assert learned.fingerprint == model.fingerprint
    assert learned.tokenizer != model.tokenizer
    with pytest.raises(ModelError, match="context: no file"):
        DIGITS_CLIP.check(context=str(tmp_path / "none.npz"))


def test_weights_that_ask_for_a_network_larger_than_themselves_are_refused(tmp_path):
    wide = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "layers": 1000, "width": 1000}}
    about = {"format": 1, "config": wide, "no_templates": ["no {}"]}
    save_file({"w": torch.zeros(3)}, tmp_path / "a.safetensors", {"digits-clip": json.dumps(about)})
    with pytest.raises(ModelError, match=r"its towers need at least [\d,]+ parameters, but .* bytes"):
        load_digits_clip(tmp_path / "a.safetensors")


def test_a_configuration_whose_sizes_do_not_fit_each_other_is_refused(tmp_path):
    odd = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "heads": 5}}
    about = {"format": 1, "config": odd, "no_templates": ["no {}"]}
    save_file({"w": torch.zeros(300_000)}, tmp_path / "a.safetensors", {"digits-clip": json.dumps(about)})
    with pytest.raises(ModelError, match="a configuration that a network can be built from, got"):
        load_digits_clip(tmp_path / "a.safetensors")
