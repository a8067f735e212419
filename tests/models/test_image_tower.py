"""Values of pre-projection features and of local scores against slow formulas written from the paper's description."""

import pytest
import torch
from torch import nn

from ood_toolkit.errors import ModelError
from ood_toolkit.models.clip import load_local_dir
from ood_toolkit.outputs.head import Head

TEXTS = ["a cat", "a dog", "a small house", "a tree"]


def loaded(folder, config):
    path, _ = folder(config)
    model = load_local_dir(str(path))
    batch = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return model, batch, Head.zero_shot(model.encode_texts(TEXTS), TEXTS, model.scale)


def largest(local, head):
    """Softmax over classes at temperature 1 of cosines, patch by patch, then the largest of all."""
    best = []
    for patches in local.double():
        shares = []
        for patch in patches:
            cosine = torch.stack([patch @ t.double() / patch.norm() / t.double().norm() for t in head.weight])
            shares.append((cosine.exp() / cosine.exp().sum()).max())
        best.append(torch.stack(shares).max())
    return torch.stack(best).float()


def layer_norm(x, norm):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def slow_local_of_a_transformer(visual, batch):
    """Let each patch attend to itself alone in the last block: val = W_O (W_V y + b_V) + b_O, u = x + val, MLP, ..."""
    caught = []
    block = visual.transformer.resblocks[-1]
    handle = block.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    visual(batch)
    handle.remove()
    width = visual.conv1.out_channels
    w_v, b_v = block.attn.in_proj_weight[2 * width :], block.attn.in_proj_bias[2 * width :]
    rows = []
    for image in caught[0]:
        patches = []
        for x in image[1:]:
            y = layer_norm(x, block.ln_1)
            val = block.attn.out_proj.weight @ (w_v @ y + b_v) + block.attn.out_proj.bias
            u = x + val
            hidden = quick_gelu(block.mlp.c_fc.weight @ layer_norm(u, block.ln_2) + block.mlp.c_fc.bias)
            u = u + block.mlp.c_proj.weight @ hidden + block.mlp.c_proj.bias
            patches.append(layer_norm(u, visual.ln_post) @ visual.proj)
        rows.append(torch.stack(patches))
    return torch.stack(rows)


@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_local_scores_of_a_vision_transformer(folder, tiny, monkeypatch, at_once):
    monkeypatch.setattr("ood_toolkit.models.image_tower.COSINES_AT_ONCE", at_once)
    model, batch, head = loaded(folder, tiny())
    assert model.kinds == ("features", "pre_projection", "local")
    with torch.inference_mode():
        found = model.encode(batch, ["local"], head)
        slow = slow_local_of_a_transformer(model.clip.visual, batch)
    assert slow.shape == (3, 16, 16)
    torch.testing.assert_close(found["local"], largest(slow, head), rtol=1e-5, atol=1e-6)
    assert found["local"].std() > 1e-4
    torch.testing.assert_close(found["features"], model.encode_images(batch))


def test_a_patch_that_attends_to_itself_alone_is_what_attention_masked_to_it_gives(folder, tiny):
    """Mask the attention of the last block to the diagonal: another way to say what local features are."""
    model, batch, head = loaded(folder, tiny())
    visual, caught = model.clip.visual, []
    block = visual.transformer.resblocks[-1]
    handle = block.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    visual(batch)
    handle.remove()
    tokens = caught[0].shape[1]
    alone = torch.full((tokens, tokens), float("-inf")).fill_diagonal_(0)
    local = visual.ln_post(block(caught[0], attn_mask=alone))[:, 1:] @ visual.proj
    torch.testing.assert_close(model.encode(batch, ["local"], head)["local"], largest(local, head))


def test_pre_projection_features_of_a_vision_transformer(folder, tiny):
    model, batch, _ = loaded(folder, tiny())
    found = model.encode(batch, ["pre_projection"])
    assert set(found) == {"features", "pre_projection"}
    assert found["pre_projection"].shape == (3, 32)
    torch.testing.assert_close(found["pre_projection"] @ model.clip.visual.proj, found["features"])
    torch.testing.assert_close(found["features"], model.clip.encode_image(batch))


def test_layer_scale_is_applied_in_local_features(folder, tiny):
    model, batch, head = loaded(folder, tiny(vision={"ls_init_value": 0.5}))
    with_scale = model.encode(batch, ["local"], head)["local"]
    model.clip.visual.transformer.resblocks[-1].ls_1 = nn.Identity()
    assert (model.encode(batch, ["local"], head)["local"] - with_scale).abs().max() > 1e-5


def test_local_scores_of_a_resnet(folder, tiny):
    """l_r = c_proj(v_proj(x_r)) on the map of the last stage, without positions."""
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
    model, _, head = loaded(folder, tiny(vision_cfg=vision))
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert model.kinds == ("features", "local")
    visual = model.clip.visual
    x = visual.stem(batch)
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = stage(x)
    pool = visual.attnpool
    cells = [
        [
            pool.c_proj.weight @ (pool.v_proj.weight @ image[:, i, j] + pool.v_proj.bias) + pool.c_proj.bias
            for i in range(2)
            for j in range(2)
        ]
        for image in x
    ]
    local = torch.stack([torch.stack(cell) for cell in cells])
    found = model.encode(batch, ["features", "local"], head)
    torch.testing.assert_close(found["local"], largest(local, head), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["features"], model.clip.encode_image(batch))


def timm_vision(**changes):
    return {"image_size": 224, "timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"} | changes


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_what_is_projected_of_a_tower_of_timm(folder, tiny, projection):
    model, _, _ = loaded(folder, tiny(vision_cfg=timm_vision(timm_proj=projection)))
    assert model.kinds == ("features", "pre_projection")
    batch = torch.randn(2, 3, 160, 160)
    found = model.encode(batch, ["pre_projection"])
    torch.testing.assert_close(found["pre_projection"], model.clip.visual.trunk(batch))
    torch.testing.assert_close(found["features"], model.clip.visual(batch))


def test_a_tower_without_a_projection_gives_features_alone(folder, tiny):
    model, batch, _ = loaded(folder, tiny(vision_cfg=timm_vision(timm_proj="none"), embed_dim=64))
    assert model.kinds == ("features",)
    with pytest.raises(ModelError, match="cannot give 'local'; it has features"):
        model.encode(batch, ["local"])


def test_local_scores_need_a_head(folder, tiny):
    model, batch, _ = loaded(folder, tiny())
    with pytest.raises(ModelError, match="give a head"):
        model.encode(batch, ["local"])
