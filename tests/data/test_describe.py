import json

import pytest
from PIL import Image

from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.data.describe import describe

pytestmark = pytest.mark.quick


def test_what_is_here_and_what_is_not(tmp_path):
    path = tmp_path / "food101" / "test" / "apple_pie" / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(path)
    said = describe(get_registry().get("datasets", "food101"), tmp_path)
    assert said["splits"]["test"] == {
        "published": 25_250,
        "here": 1,
        "notes": ["1 of the published 25,250 images are here"],
        "missing": None,
    }
    assert said["splits"]["train"]["here"] is None
    assert "Get it with --download" in said["splits"]["train"]["missing"]
    assert (said["class_count"], said["licence"], said["downloadable"], said["unsourced"]) == (101, "unknown", True, [])
    assert said["sources"]["checksum"] == "torchvision.datasets.Food101._MD5"
    assert json.loads(json.dumps(said)) == said


def test_embedded_and_free_sets_are_described_too(tmp_path):
    assert describe(DIGITS, tmp_path)["splits"]["test"]["here"] == 360
    Image.new("RGB", (2, 2)).save(tmp_path / "1.png")
    assert describe(free_dataset(f"folder:{tmp_path}"), tmp_path)["splits"]["test"]["here"] == 1
