import numpy as np
import pytest
import torch

from ood_toolkit import Prompts
from ood_toolkit.encode.texts import class_texts, zero_shot_head

pytestmark = pytest.mark.quick


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def vectors(template, names):
    texts = [template.replace("{}", name) for name in names]
    return np.array([[1.0 + t.count("a"), 1.0 + t.count("b"), 1.0 + len(t)] for t in texts])


NAMES, TEMPLATES = ("a", "bb", "aaab"), ("b {}", "{} and a")


def test_the_two_recipes_by_hand(toy):
    parts = np.stack([vectors(t, NAMES) for t in TEMPLATES])
    first = class_texts(toy(), NAMES, Prompts(TEMPLATES))
    np.testing.assert_allclose(first.numpy(), unit(unit(parts).mean(axis=0)), rtol=1e-6)
    second = class_texts(toy(), NAMES, Prompts(TEMPLATES, "mean-then-normalise"))
    np.testing.assert_allclose(second.numpy(), unit(parts.mean(axis=0)), rtol=1e-6)
    assert not torch.allclose(first, second)


def test_many_texts_go_in_batches_and_names_with_braces_stay(toy):
    model = toy()
    names = [f"a{i}{{}}" for i in range(200)]
    found = class_texts(model, names, Prompts(TEMPLATES))
    assert [len(batch) for batch in model.texts] == [256, 144]
    wanted = np.stack([vectors(t, names) for t in TEMPLATES])
    np.testing.assert_allclose(found.numpy(), unit(unit(wanted).mean(axis=0)), rtol=1e-6)


def test_the_head_of_a_model_has_its_scale_bias_and_no_texts(toy):
    plain = zero_shot_head(toy(), NAMES, Prompts(("b {}",)))
    assert (plain.kind, plain.scale, plain.bias.tolist(), dict(plain.banks)) == ("zero_shot", 20.0, [0.5] * 3, {})
    np.testing.assert_allclose(plain.weight.numpy(), unit(vectors("b {}", NAMES)), rtol=1e-6)
    head = zero_shot_head(toy(("no b {}",)), NAMES, Prompts(TEMPLATES, "mean-then-normalise"))
    assert list(head.banks) == ["no"]
    np.testing.assert_allclose(head.bank("no").rows.numpy(), unit(vectors("no b {}", NAMES)), rtol=1e-6)


def test_views_carry_the_texts_of_each_template(toy):
    head = zero_shot_head(toy(), NAMES, Prompts(TEMPLATES, views=True))
    assert head.bank("prompts").embeddings.shape == (2, 3, 3)
    wanted = np.stack([unit(vectors(t, NAMES)) for t in TEMPLATES])
    np.testing.assert_allclose(head.bank("prompts").embeddings.numpy(), wanted, rtol=1e-6)


def test_texts_are_encoded_once_and_again_where_anything_that_decides_them_changes(toy, tmp_path):
    def encoded(model=None, names=NAMES, prompts=Prompts(TEMPLATES)):  # noqa: B008
        model = model or toy()
        rows = class_texts(model, names, prompts, tmp_path)
        fresh = class_texts(toy(), names, prompts)
        assert torch.equal(rows, fresh)
        return sum(map(len, model.texts))

    assert encoded() == 6
    assert encoded() == 0
    assert encoded(prompts=Prompts(("c {}", TEMPLATES[1]))) == 6
    assert encoded(prompts=Prompts(TEMPLATES[::-1])) == 6
    assert encoded(prompts=Prompts(TEMPLATES, "mean-then-normalise")) == 6
    assert encoded(names=("a", "bb", "c")) == 6
    for changed in ({"fingerprint": "g"}, {"tokenizer": "t"}, {"architecture": "b"}, {"precision": "bf16"}):
        assert encoded(toy(**changed)) == 6
    assert encoded() == 0


def test_damaged_texts_are_encoded_again(toy, tmp_path):
    first = class_texts(toy(), NAMES, Prompts(TEMPLATES), tmp_path)
    (file,) = (tmp_path / "texts").glob("*.texts")
    content = bytearray(file.read_bytes())
    for spoilt in (content[:-1] + bytes([content[-1] ^ 1]), content[:20], b""):
        file.write_bytes(spoilt)
        model = toy()
        assert torch.equal(class_texts(model, NAMES, Prompts(TEMPLATES), tmp_path), first)
        assert len(model.texts) == 1
    assert file.read_bytes() == content


def test_no_texts_go_through_their_own_tower_and_are_kept_apart(toy, tmp_path):
    class Two(toy):
        has_no_tower = True

        def encode_no_texts(self, texts):
            return self.encode_texts(texts)[:, [1, 2, 0]]

    model = Two(("b {}",))
    for _ in range(2):
        head = zero_shot_head(model, NAMES, Prompts(("b {}",)), tmp_path)
        rows = unit(vectors("b {}", NAMES))
        np.testing.assert_allclose(head.weight.numpy(), rows, rtol=1e-6)
        np.testing.assert_allclose(head.bank("no").rows.numpy(), rows[:, [1, 2, 0]], rtol=1e-6)
    assert len(model.texts) == 2
    assert len(list((tmp_path / "texts").glob("*.texts"))) == 2
