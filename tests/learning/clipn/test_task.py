"""CLIPN's losses against two plain loops in float64, and what its task learns, writes and leaves as it is."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ood_toolkit.api.model import Model
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.errors import ModelError, TrainingError
from ood_toolkit.learning.clipn.loss import clipn_losses
from ood_toolkit.learning.clipn.task import PAPER, ClipnTask, Wording, double_text_tower
from ood_toolkit.learning.loop import Plan, learn, seeded
from ood_toolkit.models.clipn import load_clipn, save_clipn
from ood_toolkit.models.digits_clip import DigitsClip, build_clip, load_digits_clip
from ood_toolkit.models.templates import clipn_templates
from ood_toolkit.models.text_tower import embed_no, embed_texts

SUBJECTS = ("one", "two", "three", "two", "one", "three")
PLAN = Plan(epochs=2, batch=3, learning_rate=1e-3, weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6)


pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.quick]


def rows(count=6, width=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [F.normalize(torch.randn(count, width, generator=draw), dim=1) for _ in range(3)]


def by_loops(f, g, h, s, alike=None):
    """Write the losses down pair by pair, in float64, as the paper and its code give them."""
    f, g, h = (np.asarray(part, dtype=np.float64) for part in (f, g, h))
    count = len(f)
    yes = no = apart = far = 0.0
    for i in range(count):
        for j in range(count):
            a, b = math.exp(s * float(f[i] @ g[j])), math.exp(s * float(f[i] @ h[j]))
            p_yes, p_no = a / (a + b), b / (a + b)
            if i == j:
                yes -= math.log(p_yes)
                far += 2 - math.sqrt(2 - 2 * float(g[i] @ h[i]) + 1e-4)
            elif alike is None or alike[i] != alike[j]:
                no -= math.log(p_no)
                apart += 1
    if alike is None:
        assert apart == count * (count - 1)
    terms = {"itbo_yes": yes / count, "itbo_no": no / apart, "tso": far / count}
    return {"loss": 0.5 * sum(terms.values()), **terms}


@pytest.mark.parametrize("scale", [1.0, 13.7, 100.0])
@pytest.mark.parametrize("alike", [None, [0, 1, 0, 2, 2, 2]])
def test_losses_are_those_of_two_loops(scale, alike):
    f, g, h = rows()
    given = None if alike is None else torch.tensor(alike)
    found, slow = clipn_losses(f, g, h, scale, given), by_loops(f, g, h, scale, alike)
    assert found.keys() == slow.keys()
    for name, value in slow.items():
        assert found[name].item() == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_captions_that_all_differ_give_the_loss_of_the_paper():
    f, g, h = rows()
    assert clipn_losses(f, g, h, 20.0)["loss"] == clipn_losses(f, g, h, 20.0, torch.arange(6))["loss"]


def test_losses_stay_finite_where_probabilities_round_to_nothing():
    f = rows()[0]
    losses = clipn_losses(f, f, -f, 1e4)
    assert all(math.isfinite(value) for value in losses.values())
    assert losses["itbo_yes"] == 0
    wrong = clipn_losses(f, -f, f, 1e4)
    assert wrong["itbo_yes"].item() == pytest.approx(2e4, rel=1e-5)  # -log sigmoid(-2 s)


@pytest.mark.parametrize("alike", [None, [0, 1, 0, 2, 2, 2]])
def test_gradient_is_that_of_finite_differences(alike):
    f, g, h = (part.double() for part in rows())
    h.requires_grad_(True)
    given = None if alike is None else torch.tensor(alike)
    clipn_losses(f, g, h, 7.0, given)["loss"].backward()
    step = 1e-6
    for i, j in [(0, 0), (2, 3), (5, 4)]:
        up, down = h.detach().clone(), h.detach().clone()
        up[i, j] += step
        down[i, j] -= step
        slope = (by_loops(f, g, up, 7.0, alike)["loss"] - by_loops(f, g, down, 7.0, alike)["loss"]) / (2 * step)
        assert h.grad[i, j].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_gradient_is_finite_where_both_towers_still_agree():
    f, g, _ = rows()
    h = g.clone().requires_grad_(True)
    clipn_losses(f, g, h, 14.0)["loss"].backward()
    assert torch.isfinite(h.grad).all()
    assert h.grad.norm() > 0.1


def taught(*, learned=True, wording=None, seed=0, skip_alike=True):
    """Make a task of six embeddings with captions for the shipped model."""
    model = load_digits_clip()
    clip = double_text_tower(model, learned_prompts=learned)
    pairs = Pairs([None] * 6, tuple(map(str, range(6))), SUBJECTS)
    images = torch.randn(6, 64, generator=seeded("images"))
    wording = wording or Wording(("a photo of a {}", "the number {}"))
    return model, clip, ClipnTask(model, pairs, [wording] * 6, images, seed, skip_alike=skip_alike)


@pytest.mark.parametrize("learned", [True, False])
def test_only_the_second_tower_learns(learned):
    wording = None if learned else Wording(("a photo of a {}",), ("a photo of no {}",))
    _, clip, task = taught(learned=learned, wording=wording)
    before = {name: weight.clone() for name, weight in clip.state_dict().items()}
    learn(task, PLAN)
    changed = {name for name, weight in clip.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if "_no." in name or name.endswith("_no")}
    assert ("prompt_no" in changed) == learned
    assert set(task.parameters()) == changed


def test_a_step_minimises_the_loss_of_the_embedded_captions():
    _, clip, task = taught()
    batch = task.prepare(range(6), 1)
    held = task.embed(batch)
    texts = [task.captions(row, 1) for row in range(6)]
    for row, (text, _, drawn) in enumerate(texts):
        tokens = task.tokenize([text])
        assert torch.allclose(held["yes"][row], F.normalize(embed_texts(clip, tokens), dim=1)[0], atol=1e-6)
        assert torch.allclose(
            held["no"][row], F.normalize(embed_no(clip, tokens, torch.tensor([drawn])), dim=1)[0], atol=1e-6
        )
    slow = by_loops(*(held[name].detach() for name in ("images", "yes", "no")), task.scale, [0, 1, 2, 1, 0, 2])
    assert task.loss(held)["loss"].item() == pytest.approx(slow["loss"], rel=1e-5)
    first = learn(task, Plan(epochs=30, batch=6, learning_rate=1e-3))
    assert first[-1]["loss"] < first[0]["loss"] - 0.3


def test_pairs_of_one_class_can_stay_in_the_loss():
    held = taught()[2].embed(taught()[2].prepare(range(6), 1))
    kept = taught(skip_alike=False)[2]
    rows_of = [held[name].detach() for name in ("images", "yes", "no")]
    assert kept.loss(held)["loss"].item() == pytest.approx(by_loops(*rows_of, kept.scale)["loss"], rel=1e-5)


def test_captions_follow_from_seed_epoch_and_row_alone():
    yes, no = clipn_templates()
    task = taught(learned=False, wording=Wording(yes, no))[2]
    said = [task.captions(row, epoch) for epoch in range(200) for row in range(6)]
    assert said == [task.captions(row, epoch) for epoch in range(200) for row in range(6)]
    other = taught(learned=False, wording=Wording(yes, no), seed=1)[2]
    assert said != [other.captions(row, epoch) for epoch in range(200) for row in range(6)]
    paired = {(a.format(name), b.format(name)) for a, b in zip(yes, no, strict=True) for name in SUBJECTS}
    assert {(a, b) for a, b, _ in said} <= paired
    assert len({a for a, _, _ in said}) > 300  # of 384
    assert {drawn for _, _, drawn in said} == set(range(17))
    assert "no" in task.prepare(range(6), 1)
    assert "no" not in taught()[2].prepare(range(6), 1)


def test_a_drawn_prompt_is_added_and_their_mean_else():
    _, clip, task = taught()
    tokens = task.tokenize(["a one", "the number two"])
    with torch.no_grad():
        clip.prompt_no.copy_(torch.randn(clip.prompt_no.shape, generator=seeded("prompts")))
        both = embed_no(clip, tokens, torch.tensor([3, 16]))
        mean = embed_no(clip, tokens)
        clip.prompt_no.copy_(clip.prompt_no[3].expand_as(clip.prompt_no))
        third = embed_no(clip, tokens)
    assert torch.allclose(both[0], third[0], atol=1e-5)
    assert torch.allclose(both[1], mean[1], atol=1e-5)
    assert not torch.allclose(both[0], mean[0], atol=1e-2)


def test_a_second_tower_begins_as_the_first():
    model, clip, task = taught()
    tokens = task.tokenize(["a photo of a one", "seven"])
    assert torch.allclose(embed_no(clip, tokens), embed_texts(clip, tokens), atol=1e-6)
    assert clip.prompt_no.shape == (16, 77, 64)
    assert task.scale == pytest.approx(model.scale)


def test_a_scale_above_a_hundred_is_taken_as_a_hundred():
    model = load_digits_clip()
    model.scale = 250.0
    double_text_tower(model, learned_prompts=False)
    assert ClipnTask(model, Pairs([None], ("a",), ("x",)), [Wording()], torch.zeros(1, 64), 0).scale == 100


@pytest.mark.parametrize("trained_with", [(("a {}",), ("no {}",)), ((), ())])
def test_a_saved_model_reads_as_it_did(tmp_path, trained_with):
    model, clip, task = taught()
    learn(task, PLAN)
    name = save_clipn(model, tmp_path / "epoch_2.pt", 2, {"state": {}}, trained_with)
    assert name == f"clipn:digits-clip/{tmp_path / 'epoch_2.pt'}"
    held = torch.load(tmp_path / "epoch_2.pt", weights_only=True)
    assert {"epoch", "name", "state_dict", "optimizer"} <= set(held)
    assert held["epoch"] == 2
    bare = build_clip().state_dict().keys()
    texts = {n for n in bare if n.split(".")[0] in
             ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")}  # fmt: skip
    doubled = {n.split(".")[0] + "_no" + n[len(n.split(".")[0]) :] for n in texts}
    assert set(held["state_dict"]) == set(bare) | doubled | {"prompt_no"}
    again = load_clipn(name.removeprefix("clipn:"))
    assert isinstance(again, DigitsClip)
    said = ["a photo of a one", "seven"]
    assert torch.allclose(again.encode_no_texts(said), embed_no(clip, task.tokenize(said)).detach(), atol=1e-5)
    assert torch.equal(again.encode_texts(said), load_digits_clip().encode_texts(said))
    assert again.no_templates == (trained_with[1] or ("a photo of a {}",))
    assert again.templates == trained_with[0]
    assert again.architecture != DigitsClip.architecture


class Other(Model):
    name = "other"

    def preprocess(self, image):
        raise NotImplementedError

    encode_images = to = preprocess


def test_what_cannot_be_doubled_is_refused(tmp_path):
    model, _, _ = taught()
    save_clipn(model, tmp_path / "w.pt", 1, {}, (("{}",), ("{}",)))
    with pytest.raises(ModelError, match="it has a second text tower"):
        double_text_tower(load_clipn(f"digits-clip/{tmp_path / 'w.pt'}"), learned_prompts=True)
    with pytest.raises(ModelError, match="expected a model of open_clip or digits-clip"):
        double_text_tower(Other(), learned_prompts=True)
    biased = load_digits_clip()
    biased.bias = -10.0
    with pytest.raises(TrainingError, match="whose text tower is like OpenAI's"):
        double_text_tower(biased, learned_prompts=True)


def test_defaults_are_those_of_the_paper():
    assert (PAPER.epochs, PAPER.batch, PAPER.learning_rate, PAPER.weight_decay) == (10, 2048, 3e-4, 0.2)
    assert (PAPER.betas, PAPER.eps, PAPER.warmup, PAPER.optimizer) == ((0.9, 0.98), 1e-6, 0, "adamw")
