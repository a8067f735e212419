"""What is wrong with a request is said at once, each thing with what to do; nothing is encoded by then."""

import json

import numpy as np
import pytest

from ood_toolkit.benchmark.refusals import Refusals
from ood_toolkit.errors import DataError, SpecError, UsageError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("errors", "kind", "said"),
    [
        ([DataError("a")], DataError, "a"),
        ([DataError("a"), SpecError("b")], DataError, "a\n  b"),
        ([SpecError("a"), UsageError("b"), SpecError("a")], UsageError, "a\n  b"),
    ],
)
def test_gathered_errors_are_one(errors, kind, said):
    refused = Refusals()
    for error in errors:
        with refused:
            raise error
    with pytest.raises(kind) as caught:
        refused.raise_all()
    assert (type(caught.value), str(caught.value)) == (kind, said)


def test_other_errors_pass_and_none_is_none():
    refused = Refusals()
    with refused:
        pass
    refused.raise_all()
    with pytest.raises(KeyError), refused:
        raise KeyError("x")


@pytest.fixture
def put(oodkit, tmp_path):
    def put(name, model, *more, **arrays):
        np.savez(tmp_path / "arrays.npz", **arrays)
        assert oodkit("import", name, tmp_path / "arrays.npz", "--model", model, *more).code == 0

    return put


@pytest.fixture
def toys(put):
    """Two sets of a label `toy`, and ready scores of both under `mine`."""
    logits = np.random.default_rng(0).normal(size=(20, 3))
    for name in ("toys", "odd"):
        put(name, "toy", logits=logits, labels=np.arange(20) % 3)
        put(name, "mine", "--scores", scores=logits[:, 0])


NAMED = "--ood: name the OOD sets"
ROUNDS = [
    ("bench --id digit", (NAMED, "not here: digit (did you mean 'digits'?)")),
    (
        "bench --id digits --ood leters,patchse",
        ("leters (did you mean 'letters'?), patchse (did you mean 'patches'?)",),
    ),
    (
        "bench --id digit --scorers mps --protocol opnood",
        ("unknown name 'opnood'", "unknown scorer 'mps'; did you mean 'msp'?", NAMED, "not here: digit (did you mean"),
    ),
    ("bench --combiners vot --id digits --ood leters", ("unknown combiner 'vot'", "not here: leters (did you mean")),
    (
        "bench --id cifar10 --ood leters --model ViT-B-32/openai",
        ("not here: leters (did", "model ViT-B-32/openai: not on this machine", "data set cifar10: no test images"),
    ),
    (
        "bench --id cifar10 --ood food101 --model ViT-B-32/openai --model RN50/openai",
        ("4 of the 4 things", "model ViT-B-32/openai: ", "model RN50/openai: ", "data set cifar10", "data set food101"),
    ),
    ("bench --scorers msp,mps --paired --against energy --ood letterz", ("unknown scorer 'mps'", "not here: letterz")),
]


@pytest.mark.parametrize(("line", "parts"), ROUNDS)
def test_all_that_is_wrong_is_said_at_once(oodkit, tmp_path, line, parts):
    done = oodkit(line)
    assert done.code in (1, 2)
    assert done.out == ""
    for part in parts:
        assert done.err.count(part) == 1, part
    assert not (tmp_path / "store").exists()


def test_a_preset_without_a_model_counts_what_it_needs(oodkit, tmp_path):
    said = oodkit("bench", "--preset", "imagenet1k-mos", "--data-root", tmp_path).err
    assert said.startswith("oodkit: 5 of the 5 things that this run needs are not here\n")
    assert "\n  no model was named: pass --model; one of the models of published values is enough\n" in said
    assert "\n    model ViT-B-16/openai: not on this machine" in said
    named = oodkit("bench", "--preset", "imagenet1k-mos", "--data-root", tmp_path, "--model", "ViT-B-16/openai").err
    assert named.startswith("oodkit: 6 of the 6 things that this run needs are not here\n")
    (tmp_path / "textures" / "dotted").mkdir(parents=True)
    (tmp_path / "textures" / "dotted" / "a.png").touch()
    fewer = oodkit("bench", "--preset", "imagenet1k-mos", "--data-root", tmp_path).err
    assert fewer.startswith("oodkit: 4 of the 5 things that this run needs are not here\n")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("bench --id toys --ood odd --scorers msp,mine", "it is a label of ready scores, which --scores mine takes"),
        ("bench --id toys --ood odd --scorers mine", "unknown scorer 'mine'; it is a label of ready scores"),
        ("bench --id toys --ood odd --scorers toy", "it is a label of imported arrays, which --model toy takes"),
        ("bench --id digits --ood letters --model toy", "digits, letters: pictures, and toy is a label of imported"),
        ("bench --id toys --ood letters --model toy", "or sets of toy: odd, toys."),
        ("score msp --id digits --model toy", "Leave --model out, or name a model that encodes"),
        ("bench --id toys --ood letters", "toys is held of toy; letters is held of any model that encodes"),
    ],
)
def test_labels_in_the_wrong_place_are_told_from_what_is_meant(oodkit, toys, line, part):
    done = oodkit(line)
    assert done.code == 1
    assert part in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("words", "code", "notes"),
    [
        (("digits", "letters"), 0, {"digits": "360 test images, embedded", "letters": "720 test images, embedded"}),
        (("digits,leters",), 1, {"leters": "no data set of that name; did you mean 'letters'?"}),
        (("textures", "toys"), 1, {"textures": "no test images below", "toys": "20 images, imported arrays of "}),
        (
            ("cifar10", "--model", "ViT-B-32/openai"),
            1,
            {"ViT-B-32/openai": "not on this machine", "cifar10": "no test"},
        ),
    ],
)
def test_data_sets_are_checked_by_name(oodkit, toys, words, code, notes):
    done = oodkit("datasets", "check", *words, "--json")
    assert done.code == code
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert set(notes) <= set(rows)
    for name, note in notes.items():
        assert rows[name]["note"].startswith(note)
        assert name not in rows[name]["note"].partition(";")[0]  # it stands before it
    shown = oodkit("datasets", "check", *words).out
    assert all(name in shown for name in rows)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("check", "digits", "textures"), "oodkit encode textures --model MODEL --download"),
        (("check", "--preset", "imagenet1k-mos"), "oodkit bench --preset imagenet1k-mos --model ViT-B-16/openai --d"),
        (("show", "textures"), "oodkit encode textures --model MODEL --download"),
        (("check", "cifar10", "--model", "RN50/openai"), "oodkit encode cifar10 --model RN50/openai --download"),
    ],
)
def test_where_a_note_says_download_a_command_that_does_it_is_told(oodkit, tmp_path, words, command):
    assert command in oodkit("datasets", *words, "--data-root", tmp_path).err
    assert "--download" not in oodkit("datasets", "check", "digits").err


@pytest.mark.parametrize("words", [(), ("digits", "--preset", "imagenet1k-mos")])
def test_names_or_a_preset_are_checked(oodkit, words):
    done = oodkit("datasets", "check", *words)
    assert (done.code, "expected names of data sets, or --preset NAME, and not both" in done.err) == (2, True)


def test_one_of_several_models_is_enough():
    from ood_toolkit.benchmark.preflight import Needed, all_here

    a, b = (Needed("model", name, here, "", suggested=True) for name, here in (("a", True), ("b", False)))
    data = Needed("data set", "d", True, "")
    assert all_here([a, b, data])
    assert not all_here([b, data])
    assert not all_here([Needed("model", "b", False, ""), data])
    assert all_here([data])


@pytest.mark.parametrize("key", ["embeddings", "features", "logits"])
def test_a_file_of_vectors_in_the_place_of_a_set_is_told_to_be_imported(oodkit, tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", **{key: np.eye(3)})
    assert "\n  oodkit import mine mine.npz [--text TEXT.npz]\n" in oodkit("bench --id mine.npz --ood letters").err
    said = oodkit("bench --id npz:mine.npz --ood letters --model digits-clip").err
    assert f"expected an array `images`, got {key}; vectors come in with oodkit import NAME FILE.npz" in said


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_too_few_images_for_validation_say_what_to_do(oodkit, toys, limit):
    done = oodkit("score", "msp", "--id", "toys", "--model", "toy", "--limit", limit)
    assert "too few to split 0.2 of them off for validation; take more, or --val-split 0" in done.err
    assert oodkit("score", "msp", "--id", "toys", "--model", "toy", "--limit", limit, "--val-split", "0").code == 0
