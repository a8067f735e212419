import hashlib
import json

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.models import templates as prompts

pytestmark = pytest.mark.quick


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


YES = "b6c115442a72f3d7167d201a02149541be98d50d99c3a905632bb177b1f09269"
NO = "06fa24f96e695eee96d017f3bb258be8fc5d5e22de6e20e06e07d93c9366ba80"
"""SHA-256 of the two lists, one template a line; as long as the files of CLIPN, 3,357 and 3,561 letters."""


def test_clipns_lists_as_its_code_reads_them():
    yes, no = prompts.clipn_templates()
    for templates, letters, sha256 in ((yes, 3357, YES), (no, 3561, NO)):
        text = "\n".join(templates)
        assert (len(templates), len(text), hashlib.sha256(text.encode()).hexdigest()) == (128, letters, sha256)
        assert {template.count("{}") for template in templates} == {1}
        assert [i + 1 for i, template in enumerate(templates) if template.endswith(",")] == [35, 99]
        assert {template[0] for template in templates} == {"'"}
    assert (len(set(yes)), len(set(no))) == (128, 98)
    assert [i + 1 for i, template in enumerate(yes) if template.startswith("'the")] == [36, 100]
    assert (yes[34], no[34]) == ("'a photo of a {}.',", "'a photo of no {}.',")
    assert (yes[1], no[1], yes[65], no[65]) == (
        "'a photo of many {}.'",
        "'a photo of no many {}.'",
        "'a photo with many {}.'",
        "'a photo without many {}.'",
    )
    games = [(31, "'no a {} in a video game.'"), (36, "'the {} not in a video game.'")]
    games += [(95, "'a {} not appearing in a video game.'"), (100, "'the {} not appearing in a video game.'")]
    assert [no[line - 1] for line, _ in games] == [text for _, text in games]
    assert yes[94] == "'a {} appearing in a video game.'"


def test_the_tokenizer_reads_clipns_quotes():
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    words = [tokenizer.decoder[token] for token in tokenizer.encode(prompts.clipn_templates()[0][35].format("hen"))]
    assert words[:2] == ["'t</w>", "he</w>"]


def test_clipns_lists_as_plain_sentences():
    quoted, plain = prompts.clipn_templates(), prompts.clipn_templates(quotes=False)
    for with_quotes, without in zip(quoted, plain, strict=True):
        assert [text.rstrip(",").strip("'") for text in with_quotes] == list(without)
    assert plain[0][:2] == ("a bad photo of a {}.", "a photo of many {}.")
