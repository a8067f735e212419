import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from ood_toolkit.errors import TrainingError
from ood_toolkit.learning.checkpoint import CHECKPOINT
from ood_toolkit.learning.loop import Plan, Task, learn, seeded

PLAN = Plan(epochs=3, batch=8, learning_rate=0.01, weight_decay=0.1, warmup=2, checkpoint_every=1)


class Contrast(Task):
    """Two small towers and a scale, by a contrastive loss over the whole batch."""

    def __init__(self, rows=26):
        self.rows = rows
        self.a = torch.randn(rows, 5, generator=seeded("a"))
        self.b = self.a @ torch.randn(5, 4, generator=seeded("map")) + torch.randn(rows, 4, generator=seeded("b"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.towers = nn.ModuleDict({"a": nn.Linear(5, 3), "b": nn.Linear(4, 3)})
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.embedded = 0
        self.stop_at = None

    def parameters(self):
        return {**dict(self.towers.named_parameters()), "scale": self.scale}

    def prepare(self, rows, epoch):
        noise = torch.randn(self.rows, 5, generator=seeded("noise", epoch))[rows]
        return {"a": self.a[rows] + 0.1 * noise, "b": self.b[rows]}

    def embed(self, batch):
        if self.embedded == self.stop_at:
            raise KeyboardInterrupt
        self.embedded += 1
        return {name: self.towers[name](rows) for name, rows in batch.items()}

    def loss(self, held):
        logits = self.scale * held["a"] @ held["b"].T
        target = torch.arange(len(logits))
        both = nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)
        return {"loss": both, "size": torch.tensor(float(len(logits)))}

    def state(self):
        return torch.cat([p.detach().flatten() for p in self.parameters().values()])


def trained(plan=PLAN, task=None, **more):
    task = task or Contrast()
    return learn(task, plan, **more), task.state()


def by_hand(plan):
    """The same in plain torch: one graph over the whole batch."""
    task = Contrast()
    parameters = task.parameters()
    groups = [
        {"params": [p for p in parameters.values() if p.ndim >= 2], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate)
    steps, done = task.rows // plan.batch, 0
    for epoch in range(1, plan.epochs + 1):
        order = torch.randperm(task.rows, generator=seeded("order", plan.seed, epoch)).tolist()
        for start in range(0, steps * plan.batch, plan.batch):
            if done < plan.warmup:
                rate = plan.learning_rate * (done + 1) / plan.warmup
            else:
                share = (done - plan.warmup) / (plan.epochs * steps - plan.warmup)
                rate = plan.learning_rate * (1 + torch.cos(torch.tensor(share * torch.pi)).item()) / 2
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            task.loss(task.embed(task.prepare(order[start : start + plan.batch], epoch)))["loss"].backward()
            optimizer.step()
            done += 1
    return task.state()


def test_the_weights_are_those_of_a_plain_loop():
    _, state = trained()
    assert torch.allclose(state, by_hand(PLAN), atol=1e-6)
    assert not torch.allclose(state, Contrast().state(), atol=1e-3)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulating_keeps_the_gradient_of_the_whole_batch(parts):
    _, whole = trained()
    history, state = trained(replace(PLAN, accumulate=parts))
    assert torch.allclose(state, whole, atol=1e-6)
    assert all(epoch["size"] == PLAN.batch for epoch in history)


def test_a_seed_decides_everything():
    assert torch.equal(trained()[1], trained()[1])
    assert not torch.allclose(trained()[1], trained(replace(PLAN, seed=1))[1], atol=1e-4)


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 8])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path, stop):
    history, whole = trained()
    task = Contrast()
    task.stop_at = stop
    with pytest.raises(KeyboardInterrupt):
        learn(task, PLAN, folder=tmp_path, identity="x")
    again = Contrast()
    assert learn(again, PLAN, folder=tmp_path, identity="x", resume=True) == history
    assert torch.equal(again.state(), whole)
    assert again.embedded == 9 - stop  # three epochs of three steps; none is done twice


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    trained(folder=tmp_path, identity="one")
    with pytest.raises(TrainingError, match="other settings or data") as refused:
        trained(folder=tmp_path, identity="two", resume=True)
    there, asked = str(refused.value).split("; ")[-2:]
    assert (there.split()[-1], asked.split()[-1]) == ("one", "two")
    assert "batch=" not in there + asked  # what is the same is not repeated
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        trained(folder=tmp_path, identity="one", resume=True)


def test_a_loss_that_is_not_finite_stops_the_run():
    task = Contrast()
    with torch.no_grad():
        task.scale.fill_(float("nan"))
    with pytest.raises(TrainingError, match="epoch 1, step 1: the loss is nan"):
        learn(task, PLAN)


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(TrainingError, match="expected a multiple of 1 processes times 3 parts, got 8"):
        trained(replace(PLAN, accumulate=3))


TWO = """
import sys
from pathlib import Path

import torch
sys.path.insert(0, sys.argv[1])
from test_loop import PLAN, trained
from ood_toolkit.learning.ranks import Ranks

ranks = Ranks.joined()
_, state = trained(ranks=ranks)
if ranks.first:
    torch.save(state, sys.argv[2])
ranks.leave()
names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in names if "gloo" in name], f"threads outlive the group: {names}"
"""


def test_two_processes_learn_what_one_does(tmp_path):
    program, out = tmp_path / "two.py", tmp_path / "state.pt"
    program.write_text(TWO)
    here = os.path.dirname(__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*command, str(program), here, str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "Address family not supported" in done.stderr or "Network is unreachable" in done.stderr:
        pytest.skip("needs loopback for two processes")
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.allclose(torch.load(out, weights_only=True), trained()[1], atol=1e-6)


def test_a_batch_that_is_larger_than_what_there_is_is_said():
    history, _ = trained(replace(PLAN, batch=64))
    assert [epoch["batch"] for epoch in history] == [26] * 3
    assert all(epoch["size"] == 26 for epoch in history)
    assert "batch" not in trained()[0][0]
