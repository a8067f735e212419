import pytest

from ood_toolkit.api.model import ModelEntry
from ood_toolkit.errors import ModelError
from ood_toolkit.models.names import canonical, find_model, parse

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "entry", "argument", "options"),
    [
        ("digits-clip", "digits-clip", "", {}),
        ("ViT-B-32/openai", "open_clip", "ViT-B-32/openai", {}),
        ("open_clip:ViT-B-32/openai", "open_clip", "ViT-B-32/openai", {}),
        ("ViT-B-32/./w.pt:precision=bf16", "open_clip", "ViT-B-32/./w.pt", {"precision": "bf16"}),
        ("ViT-B-32//abs/w.pt", "open_clip", "ViT-B-32//abs/w.pt", {}),
        ("ViT-B-32//abs/c:d/w.pt", "open_clip", "ViT-B-32//abs/c:d/w.pt", {}),
        ("ViT-B-32/'./a:b=c.pt':like=openai", "open_clip", "ViT-B-32/./a:b=c.pt", {"like": "openai"}),
        ("ViT-B-32:weights='x:y.pt'", "ViT-B-32", "", {"weights": "x:y.pt"}),
        ("hf-hub:org/repo", "hf-hub", "org/repo", {}),
        ("local-dir:/a:b/c:resize=256", "local-dir", "/a:b/c", {"resize": "256"}),
        ('local-dir:"/a=b"', "local-dir", "/a=b", {}),
        ("timm:resnet50.a1_in1k:b=2:a=1", "timm", "resnet50.a1_in1k", {"a": "1", "b": "2"}),
    ],
)
def test_names_parse(text, entry, argument, options):
    request = parse(text)
    assert (request.entry_name, request.argument, dict(request.options)) == (entry, argument, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b=1:b=2", "b is given twice"),
        ("ViT-B-32:weights=/p:q/w.pt", "expected key=value after 'weights=/p', got 'q/w.pt'; put text .* in quotes"),
        ("ViT-B-32/'a.pt", "a quote is not closed"),
    ],
)
def test_names_that_do_not_parse(text, message):
    with pytest.raises(ModelError, match=message):
        parse(text)


@pytest.mark.parametrize(
    "parts",
    [
        ("digits-clip", "", {}),
        ("open_clip", "ViT-B-32/./a b.pt", {"like": "openai"}),
        ("open_clip", "ViT-B-32//a:b=c.pt", {"precision": "bf16"}),
        ("local-dir", "/x/it's", {}),
        ("timm", "resnet50.a1_in1k", {"weights": "c:\\w.pt", "classes": "n.txt"}),
    ],
)
def test_a_canonical_name_parses_back(parts):
    request = parse(canonical(*parts))
    assert (request.entry_name, request.argument, dict(request.options)) == parts


def test_canonical_names_sort_options_and_leave_defaults_out():
    assert canonical("local-dir", "x", {"resize": "256", "precision": "fp32", "interpolation": "bilinear"}) == (
        "local-dir:x:interpolation=bilinear:resize=256"
    )
    assert canonical("hf-hub", "a/b", {"download": True}) == "hf-hub:a/b"
    assert canonical("open_clip", "ViT-B-32", {"weights": "./w.pt"}) == "ViT-B-32/./w.pt"


def test_a_bare_architecture_is_of_open_clip(registry):
    choice = find_model("ViT-B-32:weights=./w.pt", registry)
    assert (choice.entry.name, choice.argument, choice.name) == ("open_clip", "ViT-B-32", "ViT-B-32/./w.pt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ViT-B-32:openai", "did you mean ViT-B-32/openai?"),
        ("ViT-B-23:precision=bf16", "unknown model 'ViT-B-23'; did you mean 'ViT-B-32'"),
        ("digitsclip", "did you mean 'digits-clip'"),
        ("zzzzzz", "known: digits-clip, open_clip, hf-hub, local-dir, torchvision, timm"),
        ("local-dir", "expected local-dir:PATH"),
        ("digits-clip:x", "is one model and takes no argument, got 'x'"),
        ("local-dir:x:resise=256", "local-dir: unknown option 'resise'; did you mean 'resize'"),
        ("local-dir:x:precision=fp8", "precision: expected fp32, bf16, fp16, got 'fp8'"),
        ("local-dir:x:download=true", "download is no part of a model's name; pass --download"),
    ],
)
def test_what_does_not_resolve(registry, text, message):
    with pytest.raises(ModelError, match=message):
        find_model(text, registry)


def test_defaults_are_options_that_the_text_overrides(registry):
    assert find_model("local-dir:x", registry, precision="bf16", download=True).options == {
        "precision": "bf16",
        "download": True,
    }
    assert find_model("local-dir:x:precision=fp16", registry, precision="bf16").name == "local-dir:x:precision=fp16"
    assert find_model("local-dir:x:precision=fp32", registry, precision="bf16").name == "local-dir:x"
    assert find_model("digits-clip", registry, download=True, precision="fp32").options == {}
    with pytest.raises(ModelError, match="digits-clip: has no precision, so 'bf16' cannot be had"):
        find_model("digits-clip", registry, precision="bf16")


def test_a_choice_checks_and_loads_with_what_was_asked_for():
    calls = []

    class Registry:
        def names(self, kind):
            return ["mine"]

        def disabled(self, kind):
            return {}

        def get(self, kind, name):
            return ModelEntry(
                "mine",
                "",
                load=lambda *a, **k: calls.append(("load", a, k)) or type("M", (), {})(),
                argument="PATH",
                check=lambda *a, **k: calls.append(("check", a, k)),
                options={"width": "how wide"},
            )

    model = find_model("mine:a/b:width=3", Registry(), download=None).load()
    assert calls == [("check", ("a/b",), {"width": "3"}), ("load", ("a/b",), {"width": "3"})]
    assert model.name == "mine:a/b:width=3"
