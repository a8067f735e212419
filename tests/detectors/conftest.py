"""A digits detector with its model, as a user would fit one, and pictures of it in a folder."""

import numpy as np
import pytest
from PIL import Image

from ood_toolkit import Detector, Outputs, find_model, get_registry
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.detectors.identity import identity_of


@pytest.fixture(scope="session")
def digits_model():
    return find_model("digits-clip", get_registry()).load()


@pytest.fixture(scope="session")
def digits(digits_model, tmp_path_factory):
    """Give outputs of 200 digits, their pictures, and the head of the model for them."""
    import torch

    from ood_toolkit.api.prompts import Prompts
    from ood_toolkit.encode.texts import zero_shot_head

    opened = DIGITS.open("test", tmp_path_factory.mktemp("data"))
    head = zero_shot_head(
        digits_model, DIGITS.classes, Prompts(("a photo of the digit {}",)), tmp_path_factory.mktemp("s")
    )
    images = [opened.items[row].decode(opened.items[row].read()) for row in range(200)]
    with torch.inference_mode():
        features = digits_model.encode_images(torch.stack([digits_model.preprocess(one) for one in images]))
    labels = np.array(opened.labels[:200])
    return Outputs(features.clone(), labels=labels, head=head), images


@pytest.fixture
def detector(digits_model, digits):
    return Detector.fit("msp", digits[0], rule="conformal", encoder=identity_of(digits_model), set="digits")


@pytest.fixture
def mixed(tmp_path, digits):
    """A folder of pictures, and of files that are none, below other folders."""
    folder = tmp_path / "mixed"
    (folder / "more").mkdir(parents=True)
    for row in range(6):
        digits[1][row].save(folder / ("more" if row % 2 else ".") / f"{row}.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(folder / "noise.png")
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder
