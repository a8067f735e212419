"""What the tests share: the folder of real data, patient property tests, outputs with nothing special about them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

settings.register_profile("patient", deadline=None, max_examples=60)
settings.load_profile("patient")


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
