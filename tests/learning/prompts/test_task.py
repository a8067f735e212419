"""Context learning: its losses against loops in float64, what is learnt and what is not, and the same end again."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.errors import DataError, ModelError, OutputsError, TrainingError
from ood_toolkit.learning.loop import learn
from ood_toolkit.learning.pictures import PictureLoader
from ood_toolkit.learning.prompts import frozen
from ood_toolkit.learning.prompts.frozen import Known, Seen, patches_of
from ood_toolkit.learning.prompts.loss import is_outside, patch_entropy
from ood_toolkit.learning.prompts.shots import few
from ood_toolkit.learning.prompts.task import PLAN, ContextRecipe, Contexts, Examples, check_learnable, with_warmup
from ood_toolkit.models.contexts import read_context, write_context
from ood_toolkit.models.digits_clip import load_digits_clip

NAMES = ("zero", "one", "two", "three", "four")
N, R, D = 12, 4, 64


pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.quick]


@pytest.fixture
def model():
    return load_digits_clip()


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def examples(local=True, seed=0):
    """Rows in which each class has a direction of its own, with as much noise."""
    labels = torch.arange(N) % len(NAMES)
    centre = drawn(len(NAMES), D, seed=9)
    outputs = {"features": centre[labels] + drawn(N, D, seed=seed)}
    if local:
        outputs["local"] = drawn(N, R, D, seed=seed + 1)
    return Examples(Known(outputs), labels)


def softmax(row):
    largest = max(row)
    powers = [math.exp(value - largest) for value in row]
    return [power / sum(powers) for power in powers]


def slow_terms(features, local, labels, texts, scale, top):
    """Cross-entropy and mean entropy of the patches without the class, one number after the other."""
    unit = lambda row: row / math.sqrt(sum(v * v for v in row))  # noqa: E731
    match, entropies = [], []
    for v, patches, label in zip(features, local, labels, strict=True):
        match.append(-math.log(softmax([scale * sum(unit(v) * unit(t)) for t in texts])[label]))
        for patch in patches:
            p = softmax([scale * sum(unit(patch) * unit(t)) for t in texts])
            if label not in sorted(range(len(p)), key=lambda k: -p[k])[:top]:
                entropies.append(-sum(q * math.log(q + 1e-5) for q in p))
    return np.mean(match), np.mean(entropies) if entropies else 0.0, len(entropies)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_patches_without_the_class_and_their_entropy(top):
    logits, labels = drawn(6, R, 5) * 3, torch.tensor([0, 1, 2, 3, 4, 0])
    outside = is_outside(logits, labels, top)
    found, count = [], 0
    for i in range(6):
        for r in range(R):
            p = softmax(logits[i, r].double().tolist())
            best = sorted(range(5), key=lambda k: -p[k])[:top]
            assert bool(outside[i, r]) == (int(labels[i]) not in best)
            if int(labels[i]) not in best:
                count += 1
                found.append(-sum(q * math.log(q + 1e-5) for q in p))
    assert count == int(outside.sum()) > 0
    assert float(patch_entropy(logits, outside)) == pytest.approx(np.mean(found), abs=1e-6)


def test_the_small_number_stands_inside_the_logarithm():
    sure = torch.tensor([[[50.0, 0.0]]])
    assert float(patch_entropy(sure, torch.tensor([[True]]))) == pytest.approx(-math.log(1 + 1e-5), abs=2e-7)


def test_without_a_patch_outside_there_is_no_entropy_and_no_gradient():
    logits = torch.tensor([[[3.0, 0.0, 0.0]]], requires_grad=True)
    outside = is_outside(logits, torch.tensor([0]), 1)
    assert not outside.any()
    assert float(patch_entropy(logits, outside)) == 0.0


@pytest.mark.parametrize("top", [0, 5, 200])
def test_k_lies_below_the_number_of_classes(top):
    with pytest.raises(OutputsError, match=f"expected a number from 1 to 4, fewer than the classes, got {top}"):
        is_outside(drawn(2, R, 5), torch.tensor([0, 1]), top)


def test_k_is_a_fifth_of_the_classes_unless_it_is_given():
    recipe = ContextRecipe("locoop")
    assert [recipe.top_of(classes) for classes in (1000, 100, 10, 3)] == [200, 20, 2, 1]
    assert replace(recipe, top=7).top_of(10) == 7
    with pytest.raises(TrainingError, match="--topk: expected a number below the 10 classes, got 200"):
        replace(recipe, top=200).top_of(10)
    assert ContextRecipe("coop", top=200).top_of(10) == 200  # CoOp has no K


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("method", "top", "lam"), [("coop", None, 0.25), ("locoop", 2, 0.25), ("locoop", 1, 1.5)])
def test_losses_against_a_loop_in_double_precision(model, tmp_path, method, top, lam, own):
    recipe = ContextRecipe(method, 5, class_specific=own, entropy_weight=lam, top=top)
    task = Contexts(model, NAMES, recipe, examples())
    batch = task.embed(task.prepare(range(N), 1))
    losses = {name: value.item() for name, value in task.loss(batch).items()}

    write_context(tmp_path / "context.npz", task.vectors, NAMES)
    other = load_digits_clip(context=str(tmp_path / "context.npz"))
    with torch.inference_mode():
        texts = other.encode_texts(NAMES).double().numpy()
    match, entropy, count = slow_terms(
        batch["features"].double().numpy(), batch["local"].double().numpy(), batch["labels"].tolist(), texts,
        model.scale, top or 1,
    )  # fmt: skip
    if method == "coop":
        assert losses["loss"] == pytest.approx(match, abs=1e-5)
        assert "entropy" not in losses
    else:
        assert 0 < count < N * R
        assert losses["match"] == pytest.approx(match, abs=1e-5)
        assert losses["entropy"] == pytest.approx(entropy, abs=1e-5)
        assert losses["outside"] == pytest.approx(count / (N * R))
        assert losses["loss"] == pytest.approx(match - lam * entropy, abs=1e-5)


def test_vectors_start_small_random_and_as_the_seed_says(model):
    first = Contexts(model, NAMES, ContextRecipe(length=60, class_specific=True), examples()).vectors.detach()
    again = Contexts(model, NAMES, ContextRecipe(length=60, class_specific=True), examples()).vectors
    other = Contexts(model, NAMES, ContextRecipe(length=60, class_specific=True, seed=1), examples()).vectors
    assert first.shape == (5, 60, D)
    assert float(first.std()) == pytest.approx(0.02, rel=0.03)
    assert abs(float(first.mean())) < 1e-3
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def learnt(model, plan, **more):
    recipe = ContextRecipe("locoop", 4, class_specific=True)
    held = examples(seed=5)
    task = Contexts(model, NAMES, recipe, examples(), (held.tower.outputs["features"], held.labels))
    return learn(task, plan, **more), task


QUICK = replace(PLAN, epochs=20, batch=6, learning_rate=0.05, warmup=2)


def test_vectors_are_learnt_and_nothing_else(model):
    before = {name: weight.clone() for name, weight in model.clip.state_dict().items()}
    history, task = learnt(model, QUICK)
    assert history[0]["accuracy"] < 0.7
    assert history[-1]["accuracy"] > 0.95
    assert history[-1]["match"] < 0.5 * history[0]["match"]
    assert history[-1]["val_accuracy"] > history[0]["val_accuracy"]
    assert all(torch.equal(weight, before[name]) for name, weight in model.clip.state_dict().items())
    assert all(weight.grad is None for weight in model.clip.parameters())
    assert list(task.parameters()) == ["ctx"]


def test_one_epoch_at_a_low_constant_rate_comes_first(model):
    plan = with_warmup(replace(PLAN, batch=6, epochs=1), N, None)
    assert (plan.warmup, plan.warmup_rate) == (2, 1e-5)
    assert with_warmup(PLAN, N, None).warmup == 1  # a batch holds all
    assert with_warmup(PLAN, 100, None).warmup == 3
    assert with_warmup(PLAN, 100, 7).warmup == 7
    start = Contexts(model, NAMES, ContextRecipe("locoop", 4, class_specific=True), examples()).vectors.detach()
    _, task = learnt(model, plan)
    moved = (task.vectors.detach() - start).abs().max()
    assert 0 < float(moved) < 1e-3


def test_a_seed_decides_everything_and_a_stopped_run_ends_the_same(model, tmp_path, monkeypatch):
    plan = replace(QUICK, epochs=3)
    history, whole = learnt(model, plan)
    assert torch.equal(learnt(model, plan)[1].vectors, whole.vectors)
    real, calls = Contexts.texts, []

    def stops(task):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(Contexts, "texts", stops)
    with pytest.raises(KeyboardInterrupt):
        learnt(model, plan, folder=tmp_path, identity="x")
    monkeypatch.setattr(Contexts, "texts", real)
    again, task = learnt(model, plan, folder=tmp_path, identity="x", resume=True)
    assert again == history
    assert torch.equal(task.vectors, whole.vectors)


def test_what_cannot_be_learnt_is_refused(model, tmp_path):
    def refused(kind, message, names=NAMES, **changed):
        with pytest.raises(kind, match=message):
            Contexts(model, names, ContextRecipe(**changed), examples())

    refused(TrainingError, "--context: expected at most 74 vectors before a class name, got 75", length=75)
    refused(TrainingError, "class name 'one' occurs twice", names=("one", "two", "one"), class_specific=True)
    model.kinds = ("features",)
    refused(ModelError, r"has no patch embeddings \(it gives features\); use --method coop", method="locoop")
    write_context(tmp_path / "context.npz", drawn(3, D), NAMES)
    model.put_context(read_context(str(tmp_path / "context.npz"), model.clip, "digits-clip"))
    refused(ModelError, "digits-clip: its prompt is learned already; leave out context=")
    model.clip = None
    with pytest.raises(ModelError, match="expected a text tower like OpenAI's CLIP"):
        check_learnable(model, NAMES, ContextRecipe())


# -- shots ------------------------------------------------------------------------------------------------------------


def test_shots_are_drawn_of_each_class_and_fewer_are_a_part_of_more():
    whole = DIGITS.open("train", None)
    four, two = few(whole, 4, seed=3), few(whole, 2, seed=3)
    assert np.bincount(four.labels).tolist() == [4] * 10
    assert np.bincount(two.labels).tolist() == [2] * 10
    assert set(two.ids) < set(four.ids)
    assert few(whole, 4, seed=3).ids == four.ids
    assert few(whole, 4, seed=4).ids != four.ids
    truth = dict(zip(whole.ids, whole.labels, strict=True))
    assert [truth[one] for one in four.ids] == four.labels.tolist()
    assert len(few(whole, None, seed=0)) == len(whole)
    assert few(whole, None, seed=0).notes == whole.notes


def test_classes_with_too_few_pictures():
    items = pixels([Image.new("L", (1, 1))] * 6)
    held = Pictures(items, tuple("abcdef"), np.array([0, 0, 0, 1, -1, -1]), ("ant", "bee", "cat"))
    with pytest.raises(DataError, match="shots: class 'cat' has no pictures to learn from"):
        few(held, 2, 0)
    part = few(held, 2, 0, every=False)
    assert np.bincount(part.labels, minlength=3).tolist() == [2, 1, 0]
    assert part.notes == ("2 classes, such as 'bee', have fewer than 2 pictures",)
    with pytest.raises(DataError, match="shots: expected pictures with labels and class names"):
        few(replace(held, labels=None), 2, 0)


# -- the frozen tower -------------------------------------------------------------------------------------------------


def test_patches_kept_in_memory_are_those_of_each_batch(model, monkeypatch):
    items = few(DIGITS.open("train", None), 4, 0).items  # 40, more than go through at once
    kept = patches_of(model, items, 1)
    assert {kind: tuple(rows.shape) for kind, rows in kept.items()} == {"features": (40, 64), "local": (40, 16, 64)}
    seen = Seen(model, PictureLoader(model, items, 0, crop=False, threads=1), local=True)
    batch = seen.embed(seen.prepare([35, 2], 1))
    assert batch["rows"].tolist() == [35, 2]
    known = Known(kept).prepare([35, 2], 7)
    for kind in ("features", "local"):
        torch.testing.assert_close(batch[kind], known[kind], rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        alone = model.encode_images(model.preprocess(items[35].image)[None])
    torch.testing.assert_close(known["features"][:1], alone, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(frozen, "IN_MEMORY", 40 * 16 * 64 * 4 - 1)
    assert patches_of(model, items, 1) is None
