import numpy as np
import pytest
import torch

from ood_toolkit import Prompts
from ood_toolkit.encode.noise import KINDS, noise_pictures, with_noise
from ood_toolkit.models.digits_clip import DIGITS_CLIP
from ood_toolkit.outputs.head import Head

pytestmark = pytest.mark.quick


def test_each_kind_has_the_law_that_it_is_named_after():
    made = noise_pictures((3, 40, 50), 3)
    assert made.shape == (15, 3, 40, 50)
    assert (float(made.min()), float(made.max())) == (0.0, 1.0)
    kind = dict(zip(KINDS, made.reshape(5, -1).double(), strict=True))
    assert abs(float(kind["uniform"].mean()) - 0.5) < 0.01
    assert abs(float(kind["uniform"].var()) - 1 / 12) < 0.002
    assert set(kind["salt and pepper"].tolist()) == {0.0, 1.0}
    assert abs(float(kind["salt and pepper"].mean()) - 0.5) < 0.01
    # Stretched ones by what stretching leaves: skewness 0, 1/sqrt(mean), 2/sqrt(shape); whole steps for counts.
    for name, wanted in (("gaussian", 0.0), ("poisson", 5**-0.5), ("gamma", 2 / 2**0.5)):
        apart = kind[name] - kind[name].mean()
        skewness = float((apart**3).mean() / (apart**2).mean() ** 1.5)
        assert abs(skewness - wanted) < 0.1, name
    assert 10 < len(kind["poisson"].unique()) < 25


def test_the_pictures_are_the_same_each_time_and_nothing_global_is_drawn():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(noise_pictures((1, 8, 8), 2), noise_pictures((1, 8, 8), 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_head_gets_the_embeddings_as_a_bank():
    model = DIGITS_CLIP.load()
    texts = model.encode_texts(["zero", "one"]).detach()
    head = Head.zero_shot(texts, ["zero", "one"], texts={"negatives": texts})
    assert with_noise(model, head, 0) is head
    more = with_noise(model, head, 2)
    assert set(more.banks) == {"negatives", "noise"}
    from PIL import Image

    shape = model.preprocess(Image.new("RGB", (9, 9))).shape
    with torch.inference_mode():
        rows = model.encode_images(noise_pictures(tuple(shape), 2)).numpy()
    wanted = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(more.bank("noise").rows.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_a_store_keeps_them_and_no_network_runs_again(tmp_path, monkeypatch):
    model = DIGITS_CLIP.load()
    head = Head.zero_shot(model.encode_texts(["zero", "one"]).detach(), ["zero", "one"])
    first = with_noise(model, head, 2, store=tmp_path)
    assert first.fingerprint == with_noise(model, head, 2).fingerprint
    monkeypatch.setattr(model, "encode_images", None)
    assert with_noise(model, head, 2, store=tmp_path).fingerprint == first.fingerprint
    for changed in ({"fingerprint": "other"}, {"preprocessing": {"crop": [9, 9]}}, {"precision": "bf16"}):
        with monkeypatch.context() as patch:
            for name, value in changed.items():
                patch.setattr(model, name, value, raising=False)
            with pytest.raises(TypeError):
                with_noise(model, head, 2, store=tmp_path)


def test_prompts_of_other_noise_are_other_prompts():
    assert Prompts(("{}",)) != Prompts(("{}",), noise=3)
    assert len({Prompts(("{}",), noise=n) for n in (0, 3, 3)}) == 2
