import json

import pytest

from ood_toolkit import prompts
from ood_toolkit.errors import DataError


def test_the_named_sets(data):
    published = json.loads((data / "names" / "templates_openai_clip.json").read_text())["ImageNet"]
    assert list(prompts.named_templates("openai")) == published
    assert prompts.named_templates("simple") == ("a photo of a {}.",)


def test_another_list_under_the_same_name_is_refused(monkeypatch):
    assert len(prompts.named_templates("openai")) == 80
    monkeypatch.setattr("open_clip.OPENAI_IMAGENET_TEMPLATES", (lambda name: f"a {name}",))
    with pytest.raises(DataError, match="this open_clip carries other templates"):
        prompts.named_templates("openai")
    with pytest.raises(DataError, match="prompts 'best': expected simple or openai"):
        prompts.named_templates("best")
