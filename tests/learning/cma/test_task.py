import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.errors import DataError, ModelError, OutputsError, TrainingError
from ood_toolkit.learning.cma.run import fine_tune, material_of
from ood_toolkit.learning.cma.task import PLAN, CMARecipe, CMATask, cma_loss
from ood_toolkit.learning.cma.watch import Watched, measured
from ood_toolkit.learning.loop import Plan, learn, seeded
from ood_toolkit.models.clip import load_local_dir
from ood_toolkit.models.digits_clip import load_digits_clip

SHORT = Plan(epochs=2, batch=8, learning_rate=1e-3, weight_decay=0.1, decay_vectors=True, warmup=1)
CALM = replace(SHORT, eps=1e-3)
"""With an eps that rounding does not reach: the gradient of an attention's key bias is 0, and Adam divides by it."""


def unit_rows(n, d, *name):
    return F.normalize(torch.randn(n, d, generator=seeded(*name)), dim=-1)


def by_loops(images, texts, scale, weight):
    """Both forms of the loss, an entry at a time in float64."""
    n = len(images)
    s = [[scale * sum(float(a) * float(b) for a, b in zip(u, w, strict=True)) for w in texts] for u in images]
    rows = [math.log(sum(math.exp(s[i][j]) for j in range(n))) for i in range(n)]
    columns = [math.log(sum(math.exp(s[i][j]) for i in range(n))) for j in range(n)]
    to_texts = sum(-s[i][i] + rows[i] for i in range(n)) / n + weight * sum(-value for value in rows) / n
    to_images = sum(-s[j][j] + columns[j] for j in range(n)) / n + weight * sum(-value for value in columns) / n
    short = -sum(s[i][i] for i in range(n)) / n + (1 - weight) / 2 * (sum(rows) / n + sum(columns) / n)
    return (to_texts + to_images) / 2, short


@pytest.mark.quick
@pytest.mark.parametrize("weight", [0.0, 0.001, 0.3])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_loss_is_that_of_the_paper_in_both_its_forms(weight, scale):
    images, texts = unit_rows(9, 5, "u"), unit_rows(9, 5, "w")
    long, short = by_loops(images.double(), texts.double(), scale, weight)
    assert long == pytest.approx(short, abs=1e-9)
    assert cma_loss(images.double(), texts.double(), scale, weight).item() == pytest.approx(long, abs=1e-9)
    assert cma_loss(images, texts, scale, weight).item() == pytest.approx(long, rel=1e-5, abs=1e-5)


def test_without_lambda_it_is_clips_loss():
    images, texts, scale = unit_rows(12, 7, "u"), unit_rows(12, 7, "w"), torch.tensor(20.0)
    assert cma_loss(images, texts, scale, 0.0).item() == pytest.approx(
        open_clip.ClipLoss()(images, texts, scale).item(), abs=1e-5
    )
    assert cma_loss(images, texts, scale, 0.1) < cma_loss(images, texts, scale, 0.0)


def test_equal_captions_make_own_targets_those_of_the_class():
    """What the docstring claims: with one text a class, arange targets are soft targets over the class."""
    labels = torch.tensor([0, 1, 1, 2, 0, 1])
    classes = unit_rows(3, 4, "classes").double().requires_grad_()
    images = unit_rows(6, 4, "images").double().requires_grad_()
    same = (labels[:, None] == labels[None]).double()
    logits = 10 * images @ classes[labels].T
    soft = F.cross_entropy(logits, same / same.sum(1, keepdim=True))
    soft = (soft + F.cross_entropy(logits.T, same / same.sum(1, keepdim=True))) / 2
    own = cma_loss(images, classes[labels], 10.0, 0.0)
    assert own.item() == pytest.approx(soft.item(), abs=1e-12)
    for a, b in zip(
        torch.autograd.grad(own, [images, classes]), torch.autograd.grad(soft, [images, classes]), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-12)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(OutputsError, match=r"expected two \(n, d\), got \(3, 4\) and \(2, 4\)"):
        cma_loss(torch.ones(3, 4), torch.ones(2, 4), 1.0, 0.0)


@pytest.fixture
def digits(tmp_path):
    """24 digits to learn from and 30 to watch, with what is said of them."""
    train, val = (labelled(split, count) for split, count in (("train", 24), ("val", 30)))
    return material_of("digits", train, val, ("a photo of a {}",), store=tmp_path / "store", seed=0, threads=1)


def labelled(split, count):
    whole = DIGITS.open(split, Path())
    return replace(whole, items=whole.items[:count], ids=whole.ids[:count], labels=whole.labels[:count])


def by_hand(material, weight, plan):
    """The same in plain torch, with open_clip's own network, loss and optimiser: FLYP where weight is 0."""
    model = load_digits_clip()
    clip = model.clip.requires_grad_(True)
    pixels = torch.stack([model.preprocess(item.image) for item in material.pairs.items])
    tokens = model.tokenize([material.pairs.caption(row) for row in range(len(pixels))])
    optimizer = torch.optim.AdamW(
        clip.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, eps=plan.eps
    )
    steps, done = len(pixels) // plan.batch, 0
    for epoch in range(1, plan.epochs + 1):
        order = torch.randperm(len(pixels), generator=seeded("order", plan.seed, epoch))
        for step in range(steps):
            rows = order[step * plan.batch : (step + 1) * plan.batch]
            share = (done - plan.warmup) / (plan.epochs * steps - plan.warmup)
            rate = plan.learning_rate * (1 if done < plan.warmup else (1 + math.cos(math.pi * share)) / 2)
            for group in optimizer.param_groups:
                group["lr"] = rate
            images = F.normalize(clip.encode_image(pixels[rows].expand(-1, 3, -1, -1)), dim=-1)
            texts = F.normalize(clip.encode_text(tokens[rows]), dim=-1)
            logits = clip.logit_scale.exp() * images @ texts.T
            loss = open_clip.ClipLoss()(images, texts, clip.logit_scale.exp())
            loss = loss - weight / 2 * (logits.logsumexp(1).mean() + logits.logsumexp(0).mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
    return clip


@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_the_weights_are_those_of_a_plain_loop_over_all_parameters(digits, weight):
    model = load_digits_clip()
    task = CMATask(model, digits.pairs, CMARecipe(weight, CALM, crop=False), digits.watched, 1)
    learn(task, CALM)
    plain, before = by_hand(digits, weight, CALM).state_dict(), load_digits_clip().clip.state_dict()
    for name, weights in model.clip.state_dict().items():
        assert torch.allclose(weights, plain[name], atol=1e-6), name
        if name != "attn_mask":
            assert not torch.equal(weights, before[name]), name  # the scale and all of both towers have learnt


def test_a_crop_and_a_template_are_drawn_for_each_epoch_and_row(digits):
    templates = ("a photo of a {}", "The nice {}", "{}")
    pairs = Pairs(digits.pairs.items, digits.pairs.ids, digits.pairs.subjects, templates)
    task = CMATask(load_digits_clip(), pairs, CMARecipe(plan=SHORT), digits.watched, 1)
    first, again, later = task.prepare(range(20), 1), task.prepare(range(20), 1), task.prepare(range(20), 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert set(first["template"].tolist()) == {0, 1, 2}
    assert first["template"].tolist() != later["template"].tolist()
    assert not torch.equal(first["pixels"], later["pixels"])
    backwards = task.prepare(range(19, -1, -1), 1)
    assert torch.equal(backwards["pixels"].flip(0), first["pixels"])  # the place in a batch does not matter


@pytest.mark.quick
def test_what_is_measured_is_what_loops_measure(digits):
    model = load_digits_clip()
    said = measured(model, digits.watched, 1)
    texts = F.normalize(model.encode_texts([f"a photo of a {name}" for name in DIGITS.classes]), dim=-1)
    pictures = labelled("val", 30)
    right, cosines, rows = 0, [], []
    for image, label in zip(pictures.images, pictures.labels.tolist(), strict=True):
        row = F.normalize(model.encode_images(model.preprocess(image)[None]), dim=-1)[0]
        name = digits.watched.texts.index(f"a photo of a {DIGITS.classes[label]}")
        right += int((texts @ row).argmax()) == label
        cosines.append(float(texts[label] @ row))
        rows.append((row, texts[label]))
        assert digits.watched.places[len(rows) - 1] == name
    centre = torch.stack([u for u, _ in rows]).mean(0) - torch.stack([w for _, w in rows]).mean(0)
    assert said["accuracy"] == pytest.approx(right / 30)
    assert said["alignment"] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert said["gap"] == pytest.approx(float(centre.norm()), abs=1e-5)


def test_a_large_training_split_is_watched_in_part(digits, monkeypatch):
    monkeypatch.setattr("ood_toolkit.learning.cma.watch.MOST", 10)
    watched = Watched.of(digits.pairs, "train", 0, labelled=True)
    assert len(watched.items) == len(watched.places) == 10
    assert len(watched.texts) == len(set(digits.pairs.subjects))  # all classes may be predicted
    assert Watched.of(digits.pairs, "train", 0, labelled=True).places == watched.places
    assert len(Watched.of(digits.pairs, "val", 0, labelled=True).items) == 24


def test_a_larger_lambda_closes_the_gap(digits, tmp_path):
    recipes = [CMARecipe(weight, SHORT) for weight in (0.0, 0.3)]
    model = load_digits_clip()
    plain, drawn = fine_tune(model, digits, recipes, tmp_path / "runs")
    assert plain.before == drawn.before == measured(load_digits_clip(), digits.watched, 1)
    assert drawn.after["gap"] < plain.after["gap"] - 0.05
    assert drawn.after["alignment"] > plain.after["alignment"] + 0.05
    saved = load_local_dir(str(drawn.folder / "model"))
    assert drawn.after == measured(saved, digits.watched, 1)
    assert saved.scale != model.scale
    untouched = load_digits_clip()  # what has the fingerprint of the model must have its weights
    assert (model.fingerprint, model.scale) == (untouched.fingerprint, untouched.scale)
    assert plain.before == measured(model, digits.watched, 1)
    assert not any(parameter.requires_grad for parameter in model.clip.parameters())


def test_no_run_begins_where_another_cannot(digits, tmp_path):
    (tmp_path / "lambda-0.3").mkdir()
    (tmp_path / "lambda-0.3" / "notes").touch()
    model = load_digits_clip()
    with pytest.raises(TrainingError, match=r"lambda-0\.3: expected a new or empty folder"):
        fine_tune(model, digits, [CMARecipe(weight, SHORT) for weight in (0.0, 0.3)], tmp_path)
    assert not list((tmp_path / "lambda-0").iterdir())
    with pytest.raises(TrainingError, match=r"different values, got 0\.1, 0\.10000001"):  # one name for both
        fine_tune(model, digits, [CMARecipe(0.1, SHORT), CMARecipe(0.10000001, SHORT)], tmp_path)


def test_the_same_seed_gives_the_same_weights(digits, tmp_path):
    states = []
    for name in ("one", "two"):
        model = load_digits_clip()
        fine_tune(model, digits, [CMARecipe(0.1, SHORT)], tmp_path / name)
        states.append((tmp_path / name / "model" / "digits_clip.safetensors").read_bytes())
    assert states[0] == states[1]


def test_what_cannot_be_learnt_is_refused(digits, tmp_path):
    model = load_digits_clip()
    with pytest.raises(TrainingError, match=r"warmup: expected fewer than the 10 steps .*got 500; give --warmup"):
        fine_tune(model, digits, [CMARecipe(plan=PLAN)], tmp_path / "a")
    with pytest.raises(TrainingError, match=r"different values, got 0\.1, 0\.1"):
        fine_tune(model, digits, [CMARecipe(0.1, SHORT), CMARecipe(0.1, SHORT)], tmp_path / "a")
    with pytest.raises(DataError, match="expected at least two pictures with captions"):
        material_of("x", labelled("train", 1), None, ("{}",), store=tmp_path, seed=0, threads=1)
    with pytest.raises(TrainingError, match="got neither"):
        material_of(None, None, None, (), store=tmp_path, seed=0, threads=1)
    assert not (tmp_path / "a").exists()
    model.context = object()
    with pytest.raises(ModelError, match="leave context= out"):
        fine_tune(model, digits, [CMARecipe(0.1, SHORT)], tmp_path / "a")
