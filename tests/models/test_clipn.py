"""CLIPN's checkpoints, written as its training writes them, against its two towers written out in torch operations."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer

from ood_toolkit.api.scorer import Prompts
from ood_toolkit.encode.texts import class_texts, zero_shot_head
from ood_toolkit.errors import ModelError
from ood_toolkit.models import clipn as clipns
from ood_toolkit.models import open_clip_recipe as recipes
from ood_toolkit.models.clip import load_open_clip
from ood_toolkit.models.clipn import check_clipn, load_clipn
from ood_toolkit.models.names import find_model
from ood_toolkit.models.pretrained import config_of
from ood_toolkit.models.templates import clipn_templates

TEXT_PARTS = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
WIDTH, HEADS = 16, 2


def renamed(name):
    """Give the name of a text weight in the second tower: `transformer.x` becomes `transformer_no.x`."""
    part, dot, rest = name.partition(".")
    return f"{part}_no{dot}{rest}"


@pytest.fixture
def checkpoint(tmp_path, monkeypatch, tiny, network):
    """Write an epoch of CLIPN's training; gives the file and its tensors."""
    for module in (recipes, clipns):
        monkeypatch.setattr(module, "config_of", lambda name: config_of(name) and tiny(quick_gelu="quickgelu" in name))

    def write(prompts=16, prefix="module.", leave_out=(), **others):
        draw = torch.Generator().manual_seed(3)
        weights = dict(network(tiny(quick_gelu=False)).state_dict())
        weights["logit_scale"] = torch.tensor(math.log(100.0))
        for name in [name for name in weights if name.partition(".")[0] in TEXT_PARTS]:
            noise = torch.randn(weights[name].shape, generator=draw)
            weights[renamed(name)] = weights[name] + 0.2 * noise
        if prompts is not None:
            weights["prompt_no"] = torch.randn(prompts, 77, WIDTH, generator=draw)
        weights = {name: value for name, value in weights.items() if name not in leave_out} | others
        held = {prefix + name: value for name, value in weights.items()}
        state = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 3e-4, "params": [0]}]}
        file = tmp_path / "epoch_10.pt"
        torch.save({"epoch": 10, "name": "run", "state_dict": held, "optimizer": state, "scaler": {"scale": 1.0}}, file)
        return file, weights

    return write


def slow_text(weights, text, tower, prompt=None):
    """Embed one text in float64, head by head, from the checkpoint's tensors alone."""
    weights = {name: value.double() for name, value in weights.items()}
    tokens = SimpleTokenizer()([text])[0]
    x = weights[f"token_embedding{tower}.weight"][tokens] + weights[f"positional_embedding{tower}"]
    if prompt is not None:
        x = x + prompt.double()
    hidden = torch.ones(77, 77).triu(1).bool()
    base = f"transformer{tower}.resblocks.0."
    norm = lambda v, name: F.layer_norm(v, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])  # noqa: E731
    y = norm(x, base + "ln_1") @ weights[base + "attn.in_proj_weight"].T + weights[base + "attn.in_proj_bias"]
    parts = []
    for head in range(HEADS):
        width = WIDTH // HEADS
        q, k, v = (y[:, i * WIDTH + head * width : i * WIDTH + (head + 1) * width] for i in range(3))
        share = (q @ k.T / math.sqrt(width)).masked_fill(hidden, -math.inf).softmax(dim=1)
        parts.append(share @ v)
    mixed = torch.cat(parts, dim=1)
    x = x + mixed @ weights[base + "attn.out_proj.weight"].T + weights[base + "attn.out_proj.bias"]
    y = norm(x, base + "ln_2") @ weights[base + "mlp.c_fc.weight"].T + weights[base + "mlp.c_fc.bias"]
    y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))  # GELU, not QuickGELU
    x = x + y @ weights[base + "mlp.c_proj.weight"].T + weights[base + "mlp.c_proj.bias"]
    end = int((tokens == 49407).nonzero()[0])
    return norm(x, f"ln_final{tower}")[end] @ weights[f"text_projection{tower}"]


TEXTS = ["'a photo of a tench.',", "a photo without a house"]


def test_both_towers_of_the_learnable_variant(checkpoint, registry):
    file, weights = checkpoint()
    model = find_model(f"clipn:ViT-B-32/{file}", registry).load()
    mean = sum(weights["prompt_no"][i].double() for i in range(16)) / 16
    with torch.inference_mode():
        yes, no = model.encode_texts(TEXTS), model.encode_no_texts(TEXTS)
    for i, text in enumerate(TEXTS):
        torch.testing.assert_close(yes[i].double(), slow_text(weights, text, ""), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(no[i].double(), slow_text(weights, text, "_no", mean), rtol=1e-4, atol=1e-5)
        without = slow_text(weights, text, "_no")
        assert (no[i].double() - without).norm() > 0.1 * without.norm()
    assert model.templates == model.no_templates == clipn_templates()[0]
    assert model.scale == pytest.approx(100.0, rel=1e-6)
    assert model.name == f"clipn:ViT-B-32/{file}"
    assert json.loads(model.architecture)["no_tower"] == {"learned_prompts": 16}
    assert (model.kinds, model.has_no_tower) == (("features", "pre_projection", "local"), True)
    assert not any(weight.requires_grad for weight in model.clip.parameters())
    assert (model.preprocessing["interpolation"], model.preprocessing["mean"][0]) == ("bicubic", 0.48145466)


def test_the_image_tower_is_open_clips(checkpoint, tiny, network):
    file, _ = checkpoint()
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = load_clipn(f"ViT-B-32/{file}").encode_images(batch)
    torch.testing.assert_close(found, network(tiny(quick_gelu=False)).encode_image(batch).detach())


def test_the_hand_crafted_variant_reads_the_paired_sentences(checkpoint):
    file, weights = checkpoint(prompts=None, prefix="")
    model = load_clipn(f"ViT-B-32/{file}", quotes="false")
    assert (model.templates, model.no_templates) == clipn_templates(quotes=False)
    found = model.encode_no_texts(TEXTS)
    for i, text in enumerate(TEXTS):
        torch.testing.assert_close(found[i].double(), slow_text(weights, text, "_no"), rtol=1e-4, atol=1e-5)


def test_the_head_is_of_all_templates_and_both_towers(checkpoint, tmp_path):
    file, weights = checkpoint(prompts=2)
    model = load_clipn(f"ViT-B-32/{file}")
    model.templates = model.no_templates = model.templates[33:36]
    head = zero_shot_head(model, ["tench", "hen"], Prompts(model.templates), tmp_path)
    mean = weights["prompt_no"].double().mean(dim=0)
    for rows, tower, prompt in ((head.weight, "", None), (head.bank("no").rows, "_no", mean)):
        for k, name in enumerate(["tench", "hen"]):
            texts = [template.replace("{}", name) for template in model.templates]
            total = sum(F.normalize(slow_text(weights, text, tower, prompt), dim=0) for text in texts)
            torch.testing.assert_close(rows[k].double(), F.normalize(total, dim=0), rtol=1e-4, atol=1e-5)
    again = zero_shot_head(model, ["tench", "hen"], Prompts(model.templates), tmp_path)
    assert torch.equal(again.weight, head.weight)
    assert torch.equal(again.bank("no").rows, head.bank("no").rows)
    assert not torch.allclose(class_texts(model, ["hen"], Prompts(("{}",)), tmp_path, no=True), head.weight[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave_out": ["ln_final_no.weight"]}, r"of \d+ keys, 1 missing \(first ln_final_no.weight\)$"),
        ({"leave_out": ["positional_embedding"]}, r"1 missing \(first positional_embedding\)$"),
        ({"extra": torch.ones(1)}, r"1 unexpected \(first extra\)$"),
        (
            {"prompt_no": torch.zeros(4, 9, WIDTH)},
            r"1 of another shape \(first prompt_no: expected \(4, 77, 16\), got \(4, 9, 16\)\)$",
        ),
        ({"prompt_no": torch.zeros(0, 77, WIDTH)}, r"expected \(1, 77, 16\), got \(0, 77, 16\)\)$"),
        ({"prompt_no": torch.tensor(1.0)}, r"first prompt_no: expected \(1, 77, 16\), got \(\)\)$"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_by_key(checkpoint, change, message):
    file, _ = checkpoint(**change)
    with pytest.raises(ModelError, match=f"^clipn:ViT-B-32/.*another network: .*{message}"):
        load_clipn(f"ViT-B-32/{file}")


def test_what_is_not_clipns_is_refused_with_what_to_pass(checkpoint, folder, tiny, tmp_path):
    file, _ = checkpoint()
    with pytest.raises(ModelError, match=r"has a second text tower, as CLIPN's checkpoints do; pass clipn:ARCH/FILE$"):
        load_open_clip(f"ViT-B-32/{file}")
    path, _ = folder(tiny(quick_gelu=False))
    plain = tmp_path / "plain.safetensors"
    (path / "open_clip_model.safetensors").rename(plain)
    with pytest.raises(ModelError, match=rf"it has no second text tower; pass ViT-B-32/{plain}$"):
        load_clipn(f"ViT-B-32/{plain}")
    for name, message in (
        (f"ViT-B-32-quickgelu/{file}", r"has QuickGELU; pass clipn:ViT-B-32/"),
        ("ViT-B-32/openai", "weights: no file openai"),
        ("ViT-B-32", "expected clipn:ARCH/FILE"),
        ("ViT-B-23/x.pt", "unknown open_clip architecture 'ViT-B-23'; did you mean 'ViT-B-32'"),
    ):
        for refuse in (load_clipn, check_clipn):
            with pytest.raises(ModelError, match=message):
                refuse(name)
    assert check_clipn(f"ViT-L-14/{file}") is None
    with pytest.raises(ModelError, match="quotes: expected true or false, got 'maybe'"):
        check_clipn(f"ViT-B-32/{file}", quotes="maybe")


class Runs:
    def __reduce__(self):
        return (print, ("something in a file was run",))


def test_nothing_in_a_checkpoint_is_run(tmp_path, capsys):
    torch.save({"state_dict": {"prompt_no": Runs()}}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"^weights: .* holds more than tensors.*$"):
        load_clipn(f"ViT-B-32/{tmp_path / 'w.pt'}")
    assert capsys.readouterr().out == ""
