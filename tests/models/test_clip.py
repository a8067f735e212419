import hashlib
import json
import math
from dataclasses import replace

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file

from ood_toolkit.errors import ModelError
from ood_toolkit.models import open_clip_recipe as recipes
from ood_toolkit.models.clip import build_clip, load_hf_hub, load_local_dir, load_open_clip
from ood_toolkit.models.describe import describe_model
from ood_toolkit.models.names import find_model
from ood_toolkit.models.open_clip_recipe import of_name
from ood_toolkit.models.pretrained import Hub, config_of

TEXTS = ["a photo of a cat", "two dogs, and a very long sentence about a house that goes on"]


@pytest.fixture
def batch():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small_clip(tmp_path, monkeypatch, tiny, folder):
    """Give weights of an architecture that open_clip calls ViT-B-32, ViT-L-14, ..., made small."""
    monkeypatch.setattr(recipes, "config_of", lambda name: config_of(name) and tiny(quick_gelu="quickgelu" in name))
    path, net = folder(tiny(quick_gelu=False))
    file = tmp_path / "w.safetensors"
    (path / "open_clip_model.safetensors").rename(file)
    return file, net


def test_a_weights_file_by_name(small_clip, batch, registry):
    file, net = small_clip
    model = find_model(f"ViT-B-32/{file}", registry).load()
    torch.testing.assert_close(model.encode_images(batch), net.encode_image(batch))
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    torch.testing.assert_close(model.encode_texts(TEXTS), net.encode_text(tokens))
    assert model.name == f"ViT-B-32/{file}"
    assert model.fingerprint == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (model.scale, model.bias) == (pytest.approx(1 / 0.07, rel=1e-5), 0.0)
    assert not model.clip.training
    assert not any(weight.requires_grad for weight in model.clip.parameters())
    image = Image.radial_gradient("L").resize((50, 40)).convert("RGB")
    theirs = open_clip.image_transform(32, is_train=False)
    assert torch.equal(model.preprocess(image), theirs(image))
    assert (model.image_size, model.precision, model.licence) == (32, "fp32", "unknown")


def test_loading_leaves_the_callers_random_numbers_alone(small_clip):
    torch.manual_seed(5)
    load_open_clip(f"ViT-B-32/{small_clip[0]}")
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_what_a_checkpoint_of_training_holds_is_taken_out(small_clip, batch, tmp_path):
    _, net = small_clip
    held = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": held}, tmp_path / "epoch_1.pt")
    model = load_open_clip("ViT-B-32", weights=str(tmp_path / "epoch_1.pt"))
    torch.testing.assert_close(model.encode_images(batch), net.encode_image(batch))


def test_cmas_checkpoint_is_one_of_openais_architecture(small_clip, batch, tmp_path, registry):
    _, net = small_clip
    held = {f"module.{name}": value for name, value in net.state_dict().items()}
    file = tmp_path / "epoch10.pt"
    torch.save({"epoch": 10, "model_state_dict": held, "optimizer_state_dict": {"state": {}}}, file)
    model = find_model(f"ViT-B-16-quickgelu/{file}", registry).load()
    assert isinstance(model.clip.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in model.clip.state_dict().items())


@pytest.mark.parametrize("architecture", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_the_name_states_the_activation_of_a_file(small_clip, architecture):
    model = load_open_clip(f"{architecture}/{small_clip[0]}")
    quick = architecture.endswith("quickgelu")
    assert isinstance(model.clip.visual.transformer.resblocks[0].mlp.gelu, QuickGELU) == quick
    assert isinstance(model.clip.transformer.resblocks[0].mlp.gelu, QuickGELU) == quick
    assert json.loads(model.architecture)["open_clip"]["quick_gelu"] == quick


def test_like_a_tag_means_its_activation_and_preprocessing(small_clip):
    model = load_open_clip(f"ViT-L-14/{small_clip[0]}", like="openai")
    assert isinstance(model.clip.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert model.preprocessing["mean"][0] == 0.48145466
    model = load_open_clip(f"ViT-L-14/{small_clip[0]}", like="laion2b_s32b_b82k")
    assert not isinstance(model.clip.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert model.preprocessing["mean"] == [0.5, 0.5, 0.5]


def test_a_siglip_file_gets_siglips_preprocessing(small_clip):
    model = load_open_clip(f"ViT-B-16-SigLIP/{small_clip[0]}")
    assert (model.preprocessing["mean"], model.preprocessing["resize_mode"]) == ([0.5, 0.5, 0.5], "squash")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "ViT-L-14/{file}",
            {},
            r"a file does not tell; pass like=openai \(mean 0.481.*\| like=laion2b_s32b_b82k \(mean",
        ),
        ("ViT-S-32/{file}", {}, "ViT-S-32: open_clip has no tag of it.*pass like=ARCH/TAG"),
        ("ViT-B-32/{file}", {"like": "opena"}, "like: ViT-B-32 has no tag 'opena'; did you mean 'openai'"),
        (
            "ViT-B-32-quickgelu/{file}",
            {"like": "ViT-B-32/laion2b_s34b_b79k"},
            "has QuickGELU, but weights like ViT-B-32/laion2b_s34b_b79k were trained with GELU",
        ),
        ("ViT-B-32", {}, "expected ViT-B-32/TAG or ViT-B-32/FILE; its tags: openai, laion400m_e31"),
        ("ViT-B-32/opena", {}, "no file and no tag 'opena'; did you mean 'openai'"),
        ("ViT-B-32/none/w.pt", {}, "no file none/w.pt"),
        ("ViT-B-32/openai", {"weights": "w.pt"}, "names other weights too"),
        ("ViT-B-32/openai", {"like": "openai"}, "like= is for weights files"),
        ("ViT-B-32/{file}", {"precision": "fp8"}, "precision: expected fp32, bf16, fp16, got 'fp8'"),
        ("ViT-B-32/{file}", {"resize": "16"}, "resize: expected at least 32"),
        (
            "ViT-B-32/laion400m_e32",
            {},
            "trained with QuickGELU, but ViT-B-32 has GELU; pass ViT-B-32-quickgelu/laion400m_e32",
        ),
        (
            "roberta-ViT-B-32/laion2b_s12b_b32k",
            {},
            "trained with GELU, but roberta-ViT-B-32 has QuickGELU; pass a file",
        ),
    ],
)
def test_what_is_not_certain_is_refused_with_what_to_pass(small_clip, name, options, message, monkeypatch):
    if name.startswith("roberta"):
        monkeypatch.setattr(recipes, "config_of", config_of)
    with pytest.raises(ModelError, match=message):
        load_open_clip(name.format(file=small_clip[0]), **options)


def test_an_architecture_without_tags_takes_another_ones(small_clip):
    model = load_open_clip(f"ViT-S-32/{small_clip[0]}", like="ViT-B-16-SigLIP/webli")
    assert model.preprocessing["mean"] == [0.5, 0.5, 0.5]


def test_a_known_file_under_the_wrong_activation_is_refused(small_clip, monkeypatch):
    monkeypatch.setattr(recipes, "known_tag", lambda architecture, sha256: "laion400m_e32")
    with pytest.raises(ModelError, match=r"known as laion400m_e32, which was trained with QuickGELU.*-quickgelu/"):
        load_open_clip(f"ViT-B-32/{small_clip[0]}")
    assert load_open_clip(f"ViT-B-32-quickgelu/{small_clip[0]}").clip is not None
    monkeypatch.setattr(recipes, "known_tag", lambda architecture, sha256: "laion2b_s32b_b82k")
    assert load_open_clip(f"ViT-L-14/{small_clip[0]}").preprocessing["mean"] == [0.5, 0.5, 0.5]


def test_a_configuration_beside_the_file_that_says_otherwise_is_heeded(small_clip):
    beside = small_clip[0].with_name("open_clip_config.json")
    beside.write_text(json.dumps({"model_cfg": {"quick_gelu": True}}), encoding="utf-8")
    with pytest.raises(
        ModelError, match=r"beside it says .* QuickGELU, but ViT-B-32 has GELU; pass ViT-B-32-quickgelu/"
    ):
        load_open_clip(f"ViT-B-32/{small_clip[0]}")


def test_weights_of_another_network_are_refused_in_one_line(small_clip):
    file, net = small_clip
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    weights["visual.proj"] = torch.zeros(32, 8)
    weights["extra"] = weights.pop("ln_final.bias")
    save_file(weights, file)
    message = (
        r"keys, 1 missing \(first ln_final.bias\); 1 unexpected \(first extra\); "
        r"1 of another shape \(first visual.proj: expected \(32, 16\), got \(32, 8\)\)$"
    )
    with pytest.raises(ModelError, match=message):
        load_open_clip(f"ViT-B-32/{file}")


def test_openai_always_means_quickgelu(hub_cache):
    """open_clip itself only warns and loads these weights with GELU; one block of the real width is enough to see."""
    hub_cache("timm/vit_base_patch32_clip_224.openai", {"open_clip_model.safetensors": b""})
    of_tag = of_name("ViT-B-32/openai", Hub())
    assert of_tag.licence == "MIT"
    config = dict(of_tag.config)
    config["vision_cfg"] = config["vision_cfg"] | {"layers": 1}
    config["text_cfg"] = config["text_cfg"] | {"layers": 1}
    net = build_clip(replace(of_tag, config=config))
    for tower in (net.visual.transformer, net.transformer):
        assert type(tower.resblocks[0].mlp.gelu) is QuickGELU
    assert of_name("ViT-B-32-quickgelu/openai", Hub()).config == of_tag.config


def test_a_tag_of_the_cache_is_loaded(hub_cache, small_clip, batch, registry):
    file, net = small_clip
    hub_cache("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", {"open_clip_model.safetensors": file.read_bytes()})
    model = find_model("ViT-L-14/laion2b-s32b-b82k", registry).load()
    torch.testing.assert_close(model.encode_images(batch), net.encode_image(batch))
    assert model.preprocessing["mean"] == [0.5, 0.5, 0.5]
    assert (model.licence, model.name) == ("MIT", "ViT-L-14/laion2b-s32b-b82k")


def test_a_repository_of_the_cache_is_loaded(hub_cache, folder, tiny, batch):
    path, net = folder(tiny(), {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"})
    files = {file.name: file.read_bytes() for file in path.iterdir()}
    hub_cache("me/tiny", files | {"README.md": b"---\ntags: [x]\nlicense: apache-2.0\n---\nlicense: none\n"})
    model = load_hf_hub("me/tiny", resize=None)
    torch.testing.assert_close(model.encode_images(batch), net.encode_image(batch))
    assert model.preprocessing == {
        "resize": [32, 32],
        "resize_mode": "squash",
        "crop": [32, 32],
        "interpolation": "bicubic",
        "mode": "RGB",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5, 0.5, 0.5],
    }
    assert model.licence == "apache-2.0"
    with pytest.raises(ModelError, match=r"hf-hub:me/other: not on this machine.*local-dir:FOLDER"):
        load_hf_hub("me/other")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_near_and_given_as_float32(folder, tiny, batch, precision):
    path, _ = folder(tiny())
    full, half = load_local_dir(str(path)), load_local_dir(str(path), precision=precision)
    with torch.inference_mode():
        for give in (lambda m: m.encode_images(batch), lambda m: m.encode_texts(TEXTS)):
            assert give(half).dtype == torch.float32
            difference = (give(half) - give(full)).norm() / give(full).norm()
            assert 1e-6 < difference < {"bf16": 3e-2, "fp16": 4e-3}[precision]
    assert half.precision == precision
    assert half.clip.visual.proj.dtype == torch.float32


def test_siglips_scale_and_bias_are_kept(folder, tiny):
    text = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 16}
    config = tiny(text=text, custom_text=True, init_logit_scale=math.log(10), init_logit_bias=-10.0)
    path, net = folder(config)
    model = load_local_dir(str(path))
    assert (model.scale, model.bias) == (pytest.approx(10, rel=1e-6), -10.0)
    tokens = open_clip.SimpleTokenizer(context_length=16)(TEXTS)
    torch.testing.assert_close(model.encode_texts(TEXTS), net.encode_text(tokens))
    weights = {name: value.clone() for name, value in net.state_dict().items() if name != "logit_bias"}
    save_file(weights, path / "open_clip_model.safetensors")
    with pytest.raises(ModelError, match=r"1 missing \(first logit_bias\)"):
        load_local_dir(str(path))


def word_tokenizer(path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: place for place, word in enumerate(["<pad>", "<unk>", "a", "photo", "of", "cat"])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    (path / "tokenizer_config.json").write_text(json.dumps(config))


def test_a_hugging_face_tokenizer_comes_from_the_folder(folder, tiny, hub_cache):
    config = tiny(text={"hf_tokenizer_name": "org/words", "context_length": 8}, custom_text=True)
    path, _ = folder(config)
    with pytest.raises(ModelError, match=r"its tokenizer org/words is no part of open_clip; put tokenizer.json beside"):
        load_local_dir(str(path))
    word_tokenizer(path)
    model = load_local_dir(str(path))
    assert model.tokenize(["a photo of cat"]).tolist() == [[2, 3, 4, 5, 0, 0, 0, 0]]
    sha256 = hashlib.sha256((path / "tokenizer.json").read_bytes()).hexdigest()
    assert model.tokenizer == f"org/words, context 8, sha256 {sha256}"
    files = {file.name: file.read_bytes() for file in path.iterdir()}
    weights = {name: files[name] for name in ("open_clip_config.json", "open_clip_model.safetensors")}
    hub_cache("me/tiny", weights)
    with pytest.raises(ModelError, match=r"the tokenizer org/words of hf-hub:me/tiny: not on this machine"):
        load_hf_hub("me/tiny")
    hub_cache("org/words", {name: files[name] for name in ("tokenizer.json", "tokenizer_config.json")})
    torch.testing.assert_close(load_hf_hub("me/tiny").encode_texts(["a cat"]), model.encode_texts(["a cat"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": {"hf_model_name": "org/bert"}}, "the configuration of the text tower org/bert .*not on this machine"),
        ({"vision": {"timm_model_name": "hf-hub:a/b"}}, "its image tower 'hf-hub:a/b' would be read from the network"),
        ({"vision": {"depth": 3}}, "open_clip cannot build its configuration: .*depth"),
    ],
)
def test_configurations_that_cannot_be_had(folder, tiny, hub_cache, change, message):
    path, _ = folder(tiny())
    held = {"model_cfg": tiny(**change)}
    (path / "open_clip_config.json").write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_local_dir(str(path))


def test_folders_that_hold_no_model(tmp_path, folder, tiny):
    with pytest.raises(ModelError, match=r"expected a folder with open_clip_config.json"):
        load_local_dir(str(tmp_path))
    path, _ = folder(tiny())
    (path / "open_clip_model.safetensors").rename(path / "mine.safetensors")
    assert load_local_dir(str(path)).clip is not None
    (path / "other.pt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"or one weights file, found mine.safetensors, other.pt"):
        load_local_dir(str(path))
    (path / "open_clip_config.json").write_text("[1]")
    (path / "other.pt").unlink()
    with pytest.raises(ModelError, match="to hold an object, got a list"):
        load_local_dir(str(path))
    (path / "open_clip_config.json").write_text('{"model_cfg": {}}')
    with pytest.raises(ModelError, match="expected model_cfg with embed_dim"):
        load_local_dir(str(path))


def test_describe_tells_what_the_outputs_depend_on(folder, tiny, registry):
    path, _ = folder(tiny())
    about = describe_model(find_model(f"local-dir:{path}:resize=40", registry).load())
    assert about["name"] == f"local-dir:{path}:resize=40"
    assert about["weights sha256"] == hashlib.sha256((path / "open_clip_model.safetensors").read_bytes()).hexdigest()
    assert about["architecture"]["open_clip"]["embed_dim"] == 16
    assert about["preprocessing"]["resize"] == 40
    assert (about["tokenizer"], about["precision"]) == ("open_clip SimpleTokenizer, context 77", "fp32")
    assert about["gives"] == ["features", "pre_projection", "local"]
    assert json.loads(json.dumps(about)) == about
