"""What the tests share: real data, patient property tests, outputs with nothing special about them, the commands."""

import json
import os
import signal
from pathlib import Path
from typing import NamedTuple

import messages
import numpy as np
import pytest
import torch
from hypothesis import settings

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

settings.register_profile("patient", deadline=None, max_examples=60)
settings.load_profile("patient")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so their children
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


TESTS = Path(__file__).parent
QUOTING = ("fuzz", "testing")
"""Folders whose tests have messages that quote errors of plugins' own code, as those of tests marked `quotes` do; and
one of random files, which are to fail no run by the words of one message."""


@pytest.fixture(autouse=True)
def _words_of_ours(request):
    """Hold every message that a test provokes to be in our words: none of the system's, of numpy's or of torch's."""
    yield
    said = messages.foreign(messages.taken())
    ours = request.path.is_relative_to(TESTS) and request.path.relative_to(TESTS).parts[0] not in QUOTING
    if said and ours and request.node.get_closest_marker("quotes") is None:
        pytest.fail("\n".join(["messages in the words of the system or of a library:", *said]), pytrace=False)


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("OODKIT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the folder of real data is absent; OODKIT_TEST_DATA names it")
    return folder


@pytest.fixture(scope="session")
def clip(data: Path) -> dict[str, Outputs]:
    """Real ViT-B/32 vectors: CIFAR-10 (ID, labelled) and Food-101 (OOD) under the head of the CIFAR-10 texts."""
    folder = data / "embeddings" / "openai_clip_vit_b32"
    texts = np.load(folder / "text_cifar10_a.npz")
    head = Head.zero_shot(texts["embeddings"], texts["names"].tolist())
    images = np.load(folder / "image_cifar10_test500.npz")
    assert images["classes"].tolist() == list(head.class_names)
    ood = np.load(folder / "image_food101_10classes_test500.npz")
    return {
        "cifar10": Outputs.from_embeddings(images["embeddings"], head, images["labels"]),
        "food101": Outputs.from_embeddings(ood["embeddings"], head),
    }


@pytest.fixture
def make_outputs():
    """Make zero-shot outputs with labels, a "no" bank and two further banks; the same for the same arguments."""

    def make(n: int = 60, k: int = 5, d: int = 8, seed: int = 0, scale: float = 10.0, bias: float = 0.0) -> Outputs:
        draw = torch.Generator().manual_seed(seed)
        texts = torch.Generator().manual_seed(1000)
        head = Head.zero_shot(
            torch.randn(k, d, generator=texts),
            [f"class {i}" for i in range(k)],
            scale,
            bias,
            no=torch.randn(k, d, generator=texts),
            negatives=torch.randn(7, d, generator=texts),
            texts={"prompts": torch.randn(3, k, d, generator=texts)},
        )
        labels = torch.randint(0, k, (n,), generator=draw)
        features = head.weight[labels] * 2 + torch.randn(n, d, generator=draw) * 0.6
        return Outputs(features, labels=labels, head=head)

    return make


@pytest.fixture
def one_thread():
    """Compute in one thread: arrays this small only wait for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Done(NamedTuple):
    """What a command came to: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    def is_refused(self, *parts: str) -> None:
        """Check that it ended with one line on stderr that says these parts."""
        assert self.code == 1
        assert self.out == ""
        assert self.err.startswith("oodkit: ")
        assert self.err.count("\n") == 1, self.err
        for part in parts:
            assert part in self.err

    @property
    def read(self):
        """What was printed, read as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="session")
def done_type() -> type[Done]:
    return Done


@pytest.fixture
def no_plugins(monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")


@pytest.fixture
def oodkit(capsys):
    """Run the command line, as one text or as words, in this process."""
    from ood_toolkit.cli import main

    def run(*arguments) -> Done:
        capsys.readouterr()
        words = arguments[0].split() if len(arguments) == 1 and isinstance(arguments[0], str) else arguments
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        done = Done(stop.value.code or 0, *capsys.readouterr())
        for line in done.err.splitlines():
            messages.record(line)
        return done

    return run
