"""What the plugin gives is what transformers gives by hand; checkpoints are small, random and written here."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import oodkit_transformers
import pytest
import torch
import torch.nn.functional as F
from oodkit_transformers import check_transformers, load_transformers
from oodkit_transformers.checkpoint import cache_folder
from PIL import Image
from safetensors.torch import load_file, save_file

from ood_toolkit import Head, get_registry
from ood_toolkit.errors import DataError, ModelError

CLIP_LENGTH, SIGLIP_LENGTH, SIDE = 12, 10, 16
WORDS = ["<pad>", "</s>", "<unk>", "a", "photo", "of", "cat", "dog", "car", "no"]
TEXTS = ["a cat", "a photo of a dog", "car", "a dog of a photo of a cat of a car of a dog"]
TOWER = {"intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2}
VISION = {**TOWER, "hidden_size": 24, "image_size": SIDE, "patch_size": 8}


@pytest.fixture(scope="session", autouse=True)
def _quiet():
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    symbols = [*letters, *(f"{x}</w>" for x in letters), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    end = len(symbols) - 1
    text = {**TOWER, "hidden_size": 16, "vocab_size": len(symbols), "max_position_embeddings": CLIP_LENGTH}
    text |= {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(0)
    network = CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12))
    shake(network)
    network.save_pretrained(folder)
    vocab = {symbol: i for i, symbol in enumerate(symbols)}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[("c", "a"), ("ca", "t</w>")], model_max_length=CLIP_LENGTH)
    assert tokenizer("A cat")["input_ids"] == [end - 1, 26, vocab["cat</w>"], end]
    tokenizer.save_pretrained(folder)
    crop = {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=crop).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip_folder(tmp_path_factory):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        PreTrainedTokenizerFast,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
        SiglipProcessor,
    )

    folder = tmp_path_factory.mktemp("siglip")
    reader = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    reader.pre_tokenizer = Whitespace()
    reader.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=reader, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="left"
    )
    text = {**TOWER, "hidden_size": 24, "vocab_size": len(WORDS), "max_position_embeddings": SIGLIP_LENGTH}
    torch.manual_seed(1)
    network = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    shake(network)
    network.save_pretrained(folder)
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def shake(network):
    """Weights that no release of transformers decides, and biases and norms that are not 0 and 1."""
    with torch.no_grad():
        for name, weight in sorted(network.named_parameters()):
            draw = torch.randn_like(weight)
            weight.copy_(draw * weight[0].numel() ** -0.5 if weight.dim() > 1 else ("norm" in name) + 0.1 * draw)
        network.logit_scale.fill_(1.7)
        if hasattr(network, "logit_bias"):
            network.logit_bias.fill_(-3.25)


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load_transformers(str(clip_folder))


@pytest.fixture(scope="module")
def siglip(siglip_folder):
    return load_transformers(str(siglip_folder))


@pytest.fixture(params=["clip", "siglip"])
def folder(request):
    return request.getfixturevalue(f"{request.param}_folder")


@pytest.fixture
def model(folder, clip, siglip, clip_folder):
    return clip if folder == clip_folder else siglip


@pytest.fixture
def copy(clip_folder, tmp_path):
    return shutil.copytree(clip_folder, tmp_path / "copy")


def by_hand(folder):
    """The network as transformers loads it, its PIL image processor and its tokenizer."""
    from transformers import AutoModel, AutoTokenizer, CLIPImageProcessorPil, SiglipImageProcessorPil

    network = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = CLIPImageProcessorPil if network.config.model_type == "clip" else SiglipImageProcessorPil
    return network, processor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder, padding_side="right")


def pictures(squares=0):
    draw = np.random.default_rng(0)
    sizes = [(16, 16), (23, 40), (50, 19), (3, 9), *[(16, 16)] * squares]
    return [Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def batch_of(model, squares=0):
    return torch.stack([model.preprocess(image) for image in pictures(squares)])


def close(got, expected, **tolerance):
    torch.testing.assert_close(got, expected, **({"rtol": 1e-4, "atol": 1e-5} | tolerance))


# -- pictures --------------------------------------------------------------------------------------


def test_preprocessing_is_the_image_processor(model, folder):
    processor = by_hand(folder)[1]
    for image in pictures():
        got = model.preprocess(image)
        assert got.dtype == torch.float32
        assert torch.equal(got, processor(images=image, return_tensors="pt")["pixel_values"][0])


def test_preprocessing_of_clip_with_pillow_by_hand(clip):
    image = pictures()[1]  # 23 x 40
    resized = image.resize((int(16 * 40 / 23), 16), Image.Resampling.BICUBIC)
    left = (resized.width - 16) // 2
    pixels = np.asarray(resized, dtype=np.float64)[:, left : left + 16] / 255
    expected = (pixels - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    np.testing.assert_allclose(clip.preprocess(image), expected.transpose(2, 0, 1), atol=1e-5)


def test_preprocessing_of_siglip_with_pillow_by_hand(siglip):
    image = pictures()[2]  # 50 x 19, squeezed
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC), dtype=np.float64) / 127.5 - 1
    np.testing.assert_allclose(siglip.preprocess(image), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_any_mode_is_read_as_rgb(model, mode):
    image = Image.new(mode, (20, 18)) if mode == "I;16" else pictures()[1].convert(mode if mode != "PA" else "P")
    image = image.convert("PA") if mode == "PA" else image
    assert torch.equal(model.preprocess(image), model.preprocess(image.convert("RGB")))


@pytest.mark.parametrize("size", [(2_000_000, 1), (1, 2_000_000)])
def test_a_line_is_refused_before_it_is_resized(clip, siglip, size):
    line = Image.new("RGB", size)
    with pytest.raises(DataError, match=f"got a line of {size[0]} x {size[1]} pixels"):
        clip.preprocess(line)
    assert siglip.preprocess(line).shape[0] == 3  # it squeezes any picture into a square


def test_preprocessing_is_told_as_plain_values(clip, siglip):
    assert clip.image_size == siglip.image_size == SIDE
    assert clip.preprocessing == {
        "processor": "CLIPImageProcessorPil",
        "do_convert_rgb": True,
        "do_resize": True,
        "size.shortest_edge": 16,
        "resample": "bicubic",
        "do_center_crop": True,
        "crop_size.height": 16,
        "crop_size.width": 16,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    assert siglip.preprocessing["processor"] == "SiglipImageProcessorPil"
    assert siglip.preprocessing["size.height"] == 16
    json.dumps(siglip.preprocessing)


def test_image_embeddings_are_those_of_transformers(model, folder):
    network, processor, _ = by_hand(folder)
    with torch.no_grad():
        expected = network.get_image_features(**processor(images=pictures(), return_tensors="pt")).pooler_output
    got = model.encode_images(batch_of(model))
    assert got.dtype == torch.float32
    assert not got.requires_grad
    close(got, expected)
    close(model.encode(batch_of(model), ["features"])["features"], expected)


def test_clip_before_the_projection(clip, clip_folder):
    network, processor, _ = by_hand(clip_folder)
    got = clip.encode(batch_of(clip), ["pre_projection", "features"])
    assert list(got) == ["pre_projection", "features"]
    with torch.no_grad():
        pooled = network.vision_model(**processor(images=pictures(), return_tensors="pt")).pooler_output
    close(got["pre_projection"], pooled)
    close(got["features"], pooled @ load_file(clip_folder / "model.safetensors")["visual_projection.weight"].T)


def norm(x, weights, name):
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-5)


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def test_local_scores_by_hand(clip, clip_folder):
    """methods of GL-MCM: l_r = LN_post(u) proj, u = x + W_O(W_V LN1(x)), then the MLP; one patch at a time."""
    network, processor, _ = by_hand(clip_folder)
    stored = {k: v.double() for k, v in load_file(clip_folder / "model.safetensors").items()}
    tower = {k.removeprefix("vision_model."): v for k, v in stored.items() if k.startswith("vision_model.")}
    block = {k.removeprefix("encoder.layers.2."): v for k, v in tower.items()}
    with torch.no_grad():
        pixels = processor(images=pictures(squares=20), return_tensors="pt")["pixel_values"]
        states = network.vision_model(pixels, output_hidden_states=True).hidden_states
    assert len(states) == 4
    head = Head.zero_shot(clip.encode_texts(TEXTS), TEXTS, clip.scale)
    probabilities = []
    for image in states[2].double():
        for token in image:
            u = linear(norm(token, block, "layer_norm1"), block, "self_attn.v_proj")
            u = token + linear(u, block, "self_attn.out_proj")
            inner = linear(norm(u, block, "layer_norm2"), block, "mlp.fc1")
            u = u + linear(inner * torch.sigmoid(1.702 * inner), block, "mlp.fc2")
            row = norm(u, tower, "post_layernorm") @ stored["visual_projection.weight"].T
            exponents = (head.weight.double() @ (row / row.norm())).exp()
            probabilities.append(float((exponents / exponents.sum()).max()))
    by_token = np.reshape(probabilities, (24, 5))
    assert len(set(by_token.argmax(axis=1))) == 5  # the class token, which does not count, is at times the largest
    got = clip.encode(batch_of(clip, squares=20), ["local"], head)
    assert list(got) == ["local"]
    np.testing.assert_allclose(got["local"], by_token[:, 1:].max(axis=1), rtol=1e-5)


def test_kinds_that_there_are_not(clip, siglip):
    assert clip.kinds == ("features", "pre_projection", "local")
    assert siglip.kinds == ("features",)
    with pytest.raises(ModelError, match="cannot give 'local'; it has features"):
        siglip.encode(batch_of(siglip), ["local"])
    with pytest.raises(ModelError, match="cannot give 'patches'; it has features, pre_projection, local"):
        clip.encode(batch_of(clip), ["patches"])
    with pytest.raises(ModelError, match="local needs the head"):
        clip.encode(batch_of(clip), ["local"])
    assert not clip.network.vision_model.encoder.layers[-1]._forward_pre_hooks


# -- prompts ---------------------------------------------------------------------------------------


def tokens_by_hand(tokenizer, length, **options):
    return tokenizer(TEXTS, truncation=True, max_length=length, return_tensors="pt", **options)


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_clip_reads_prompts_alike_however_they_are_filled_up(clip, clip_folder, padding):
    network, _, tokenizer = by_hand(clip_folder)
    tokens = tokens_by_hand(tokenizer, CLIP_LENGTH, padding=padding)
    assert tokens["input_ids"].shape[1] == CLIP_LENGTH  # the longest is cut
    with torch.no_grad():
        expected = network.get_text_features(**tokens).pooler_output
    close(clip.encode_texts(TEXTS), expected)
    for text, row in zip(TEXTS, expected, strict=True):
        close(clip.encode_texts([text])[0], row)


def test_siglip_fills_up_to_the_length_it_was_trained_with(siglip, siglip_folder):
    network, _, tokenizer = by_hand(siglip_folder)
    ids = tokens_by_hand(tokenizer, SIGLIP_LENGTH, padding="max_length")["input_ids"]
    assert ids[0].tolist() == [3, 6, 1, *[0] * 7]
    with torch.no_grad():
        expected = network.get_text_features(input_ids=ids).pooler_output
        short = network.get_text_features(input_ids=ids[:1, :3]).pooler_output
    close(siglip.encode_texts(TEXTS), expected)
    close(siglip.encode_texts(TEXTS[:1]), expected[:1])
    assert not torch.allclose(short, expected[:1], atol=1e-2)


def test_logits_of_a_head_are_those_of_transformers(model, folder):
    network, processor, tokenizer = by_hand(folder)
    is_clip = network.config.model_type == "clip"
    tokens = tokens_by_hand(tokenizer, model.length, padding="max_length")
    text = tokens if is_clip else {"input_ids": tokens["input_ids"]}
    with torch.no_grad():
        expected = network(**text, **processor(images=pictures(), return_tensors="pt")).logits_per_image
    assert model.scale == pytest.approx(np.exp(1.7))
    assert model.bias == (0.0 if is_clip else -3.25)
    head = Head.zero_shot(model.encode_texts(TEXTS), TEXTS, model.scale, model.bias)
    close(head.logits(model.encode_images(batch_of(model))), expected)


def test_a_tokenizer_of_another_text_tower_is_refused(siglip_folder, clip_folder, tmp_path):
    made = shutil.copytree(siglip_folder, tmp_path / "mixed")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(clip_folder / name, made / name)
    with pytest.raises(ModelError, match=r"the tokenizer gives token \d+, the text tower knows 10"):
        load_transformers(str(made)).encode_texts(TEXTS)


def test_prompts_without_the_end_that_clip_reads_are_refused(copy):
    change(copy / "config.json", lambda config: config["text_config"].update(eos_token_id=3))
    with pytest.raises(ModelError, match="does not end prompts with token 3"):
        load_transformers(str(copy)).encode_texts(["a cat"])


# -- what a model says of itself -------------------------------------------------------------------


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_fingerprint_is_that_of_the_weights(model, folder):
    assert model.fingerprint == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_shards_are_one_checkpoint(clip, clip_folder, copy):
    clip.network.save_pretrained(copy / "parts", max_shard_size="20KB")
    (copy / "model.safetensors").unlink()
    shards = sorted((copy / "parts").glob("model-*.safetensors"))
    assert len(shards) > 1
    for file in [*shards, copy / "parts" / "model.safetensors.index.json"]:
        shutil.copy(file, copy)
    loaded = load_transformers(str(copy))
    assert torch.equal(loaded.encode_images(batch_of(clip)), clip.encode_images(batch_of(clip)))
    assert loaded.fingerprint == hashlib.sha256(b"".join(file.read_bytes() for file in shards)).hexdigest()
    (copy / shards[1].name).unlink()
    with pytest.raises(ModelError, match="no complete weights"):
        check_transformers(str(copy))


def test_a_pickle_of_tensors_is_read_where_there_are_no_safetensors(clip, copy):
    weights = load_file(copy / "model.safetensors")
    # as released in 2021
    weights["text_model.embeddings.position_ids"] = torch.arange(CLIP_LENGTH)[None]
    torch.save(weights, copy / "pytorch_model.bin")
    assert load_transformers(str(copy)).fingerprint == clip.fingerprint
    (copy / "model.safetensors").unlink()
    loaded = load_transformers(str(copy))
    assert loaded.fingerprint == hashlib.sha256((copy / "pytorch_model.bin").read_bytes()).hexdigest()
    assert torch.equal(loaded.encode_images(batch_of(clip)), clip.encode_images(batch_of(clip)))


def test_a_pickle_that_runs_code_is_refused(copy, tmp_path):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (copy / "model.safetensors").unlink()
    torch.save({"logit_scale": Touch()}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot load the checkpoint"):
        load_transformers(str(copy))
    assert not (tmp_path / "ran").exists()


def test_architecture_and_tokenizer_are_the_same_for_a_copy(clip, copy):
    change(copy / "config.json", lambda config: config.update(transformers_version="4.0.0", dtype="float16"))
    loaded = load_transformers(str(copy))
    assert loaded.architecture == clip.architecture
    assert json.loads(clip.architecture)["vision_config"]["patch_size"] == 8
    assert loaded.tokenizer == clip.tokenizer
    assert clip.tokenizer.startswith(f"CLIPTokenizer length={CLIP_LENGTH} padding=longest sha256=")
    change(copy / "config.json", lambda config: config["vision_config"].update(layer_norm_eps=1e-6))
    assert load_transformers(str(copy)).architecture != clip.architecture


def test_it_is_in_eval_mode_without_gradients(model):
    assert not model.network.training
    assert not any(weight.requires_grad for weight in model.network.parameters())
    assert model.to("cpu") is model
    assert model.head is None


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_precision_of_the_towers(folder, model, precision, dtype):
    rounded = load_transformers(str(folder), precision=precision)
    assert {weight.dtype for weight in rounded.network.parameters()} == {dtype}
    assert rounded.precision == precision
    assert (rounded.scale, rounded.bias) == (model.scale, model.bias)  # of the weights before they are rounded
    for got, expected in (
        (rounded.encode_images(batch_of(model)), model.encode_images(batch_of(model))),
        (rounded.encode_texts(TEXTS), model.encode_texts(TEXTS)),
    ):
        assert got.dtype == torch.float32
        assert not torch.equal(got, expected)
        assert torch.cosine_similarity(got, expected).min() > 0.99
    assert rounded.name.endswith(f":precision={precision}")


def test_half_precision_weights_are_computed_with_in_float32(clip, copy):
    halves = {name: weight.half() for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(halves, copy / "model.safetensors", metadata={"format": "pt"})
    change(copy / "config.json", lambda config: config.update(dtype="float16"))
    loaded = load_transformers(str(copy))
    assert {weight.dtype for weight in loaded.network.parameters()} == {torch.float32}
    close(loaded.encode_images(batch_of(clip)), clip.encode_images(batch_of(clip)), rtol=0.05, atol=0.05)


# -- errors ----------------------------------------------------------------------------------------


def refused(argument, **options):
    """What both the check and the loading say, in one line."""
    with pytest.raises(ModelError) as checked:
        check_transformers(str(argument), **options)
    with pytest.raises(ModelError) as loaded:
        load_transformers(str(argument), **options)
    assert str(checked.value) == str(loaded.value)
    assert "\n" not in str(checked.value)
    return str(checked.value)


def refused_at_loading(argument):
    check_transformers(str(argument))
    with pytest.raises(ModelError) as caught:
        load_transformers(str(argument))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_weights(folder, edit):
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_damaged_weights(copy):
    whole = (copy / "model.safetensors").read_bytes()
    for part in (whole[:5000], whole[:-100], b"", b"not weights"):
        (copy / "model.safetensors").write_bytes(part)
        assert "cannot load the checkpoint" in refused_at_loading(copy)


def test_missing_unexpected_and_misshapen_weights(copy):
    whole = (copy / "model.safetensors").read_bytes()
    edit_weights(copy, lambda weights: weights.pop("visual_projection.weight"))
    assert "missing keys in the weights: visual_projection.weight (1 in all)" in refused_at_loading(copy)
    (copy / "model.safetensors").write_bytes(whole)
    edit_weights(copy, lambda weights: weights.update(extra=torch.zeros(2)))
    assert "unexpected keys in the weights: extra (1 in all)" in refused_at_loading(copy)
    (copy / "model.safetensors").write_bytes(whole)
    edit_weights(copy, lambda weights: weights.update({"visual_projection.weight": torch.zeros(3, 3)}))
    assert "cannot load the checkpoint" in refused_at_loading(copy)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["model.safetensors"], "no complete weights; expected model.safetensors or pytorch_model.bin"),
        (["config.json"], "cannot read config.json"),
        (["tokenizer.json"], "no tokenizer; expected tokenizer.json or vocab.json+merges.txt or"),
        (["preprocessor_config.json"], "no image processor; expected preprocessor_config.json"),
    ],
)
def test_missing_parts(copy, removed, message):
    for name in removed:
        (copy / name).unlink()
    assert message in refused(copy)


@pytest.mark.parametrize("model_type", ["siglip2", "clip_vision_model", "bert", None])
def test_another_model_type(copy, model_type):
    change(copy / "config.json", lambda config: config.update(model_type=model_type))
    assert f"model_type {model_type!r} is not supported; expected clip or siglip" in refused(copy)


def test_config_that_is_no_json_object(copy):
    (copy / "config.json").write_text("[1]")
    assert "config.json: expected a JSON object, got a list" in refused(copy)
    (copy / "config.json").write_text('{"a": %s}' % ("9" * 5000))
    assert "config.json to be JSON of a checkpoint, got a number of thousands of digits" in refused(copy)
    (copy / "config.json").write_text("{")
    assert "expected config.json to be JSON, got other text (line 1, column 2)" in refused(copy)
    (copy / "config.json").write_bytes(b"\xff{}")
    assert "expected config.json to be text in UTF-8, got other bytes" in refused(copy)


def test_an_adapter_is_refused(copy):
    (copy / "adapter_config.json").write_text("{}")
    assert "merge it into the weights" in refused(copy)


def test_an_image_processor_of_another_size_is_refused(copy):
    change(copy / "preprocessor_config.json", lambda said: said.update(crop_size={"height": 24, "width": 24}))
    assert "the image tower takes (3, 16, 16), the image processor gives (3, 24, 24)" in refused_at_loading(copy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision: expected fp32, bf16, fp16, got 'int8'"),
        ({"download": "maybe"}, "download: expected True or False, got 'maybe'"),
    ],
)
def test_wrong_option_values(clip_folder, options, message):
    assert message in refused(clip_folder, **options)


def test_an_unknown_option_is_refused(clip_folder):
    with pytest.raises(ModelError, match="unknown option 'precison'; did you mean 'precision'"):
        check_transformers(str(clip_folder), precison="fp16")


# -- the cache and the hub -------------------------------------------------------------------------

REPO = "org/tiny-clip"


def put_in_cache(folder, names=None, commit="abc", is_main=True):
    home = cache_folder() / "models--org--tiny-clip"
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        if names is None or file.name in names:
            shutil.copy(file, snapshot)
    if is_main:
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(commit)
    return snapshot


def test_no_such_folder(tmp_path):
    for argument in (tmp_path / "nothing", "./nothing", "nothing", "a/b/c"):
        assert "no such folder; expected a folder of save_pretrained, or ORG/REPO" in refused(argument)
    (tmp_path / "file").write_text("")
    assert "is a file; expected a folder" in refused(tmp_path / "file")


@pytest.mark.parametrize(("offline", "advice"), [("", "pass --download"), ("1", "HF_HUB_OFFLINE forbids a download")])
def test_what_is_not_cached_is_not_fetched_unasked(monkeypatch, offline, advice):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    assert advice in refused(REPO)


def test_offline_wins_over_download(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids a download" in refused(REPO, download=True)


def test_what_is_cached_is_loaded_offline(clip, clip_folder, monkeypatch):
    put_in_cache(clip_folder, ["config.json"], "older", is_main=False)
    put_in_cache(clip_folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check_transformers(REPO)
    loaded = load_transformers(REPO)
    assert loaded.name == f"transformers:{REPO}"
    assert loaded.fingerprint == clip.fingerprint


def test_a_cache_that_holds_a_part_is_as_good_as_none(clip_folder):
    put_in_cache(clip_folder, ["config.json", "model.safetensors"])
    assert "nothing complete in the cache" in refused(REPO)


def test_a_download_that_was_asked_for(clip, clip_folder, monkeypatch):
    asked = []

    def snapshot_download(repo, cache_dir, allow_patterns, ignore_patterns):
        asked.append((repo, cache_dir, allow_patterns))
        return str(put_in_cache(clip_folder))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    check_transformers(REPO, download=True)
    assert asked == []
    assert load_transformers(REPO, download=True).fingerprint == clip.fingerprint
    assert load_transformers(REPO, download=True).fingerprint == clip.fingerprint
    assert asked == [(REPO, cache_folder(), ["*.json", "*.txt", "*.model", "model*.safetensors"])]


def test_a_download_that_fails_is_one_line(monkeypatch):
    def snapshot_download(*args, **options):
        raise OSError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(ModelError, match="cannot be downloaded: OSError: no route to host"):
        load_transformers(REPO, download=True)


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "hub"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "hub"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "huggingface" / "hub"


def test_the_check_imports_nothing_heavy(clip_folder, tmp_path):
    code = """
import sys
from oodkit_transformers import check_transformers
from ood_toolkit.errors import ModelError
check_transformers(sys.argv[1])
try:
    check_transformers("org/absent")
except ModelError as error:
    print(error)
print(sorted({"torch", "transformers", "huggingface_hub", "numpy", "PIL"} & set(sys.modules)))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip_folder)], env=environment, capture_output=True, text=True, check=True
    )
    said, heavy = done.stdout.splitlines()
    assert said.startswith("transformers:org/absent: no such folder, and nothing complete in the cache")
    assert heavy == "[]"


# -- as a plugin -----------------------------------------------------------------------------------


def test_the_entry_point_provides_it(clip, clip_folder):
    registry = get_registry()
    assert registry.provider("models", "transformers") == "transformers"
    entry = registry.get("models", "transformers")
    assert entry == oodkit_transformers.TRANSFORMERS
    assert entry.argument == "PATH|ORG/REPO"
    entry.check(str(clip_folder), precision="bf16")
    assert entry.load(str(clip_folder)).fingerprint == clip.fingerprint
