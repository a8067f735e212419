"""Commands on pictures: encode, bench with several models, store, datasets show, models show."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.store.leases import keep

SHAPES = ("ring", "bar")


@pytest.fixture
def drawn(tmp_path):
    """Two folders of noise: `known` with two classes, `other` without."""
    rng = np.random.default_rng(0)
    for name in ("known/ring", "known/bar", "other"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for place in range(12):
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{place}.png")
            os.utime(folder / f"{place}.png", ns=(0, 0))
    return f"folder:{tmp_path / 'known'}", f"folder:{tmp_path / 'other'}"


def test_folders_run_to_a_table_and_again_without_encoding(oodkit, drawn, clip_folder):
    known, other = drawn
    line = ("bench", "--id", known, "--ood", other, "--model", f"local-dir:{clip_folder}", "--format", "json")
    first = oodkit(*line)
    assert first.err.startswith("encoded 36 images in ")
    assert first.err.endswith("0 were in the store\n")
    result = first.read
    assert result["encoding"][f"{known}/test"]["images"] == 24
    assert result["encoder"]["precision"] == "fp32"
    again = oodkit(*line[:-2], "--scorers", "energy,entropy", "--format", "json")
    assert again.err == "encoded 0 images; 36 were in the store\n"
    assert sum(one["encoded"] for one in again.read["encoding"].values()) == 0


def test_several_models_end_in_one_table(oodkit, clip_folder, tmp_path):
    models = ("digits-clip", f"local-dir:{clip_folder}")
    line = ("bench", "--model", models[0], "--model", models[1], "--scorers", "msp", "--limit", "40")
    done = oodkit(*line, "--output", tmp_path / "run")
    assert done.code == 0
    for model in models:
        assert f"model {model}, prompts" in done.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [one["model"] for one in result["models"]] == list(models)
    assert [row["model"] for row in result["rows"]] == [model for model in models for _ in range(4)]
    alone = oodkit("bench", "--model", models[1], "--scorers", "msp", "--limit", "40", "--format", "json").read
    assert alone["rows"][0]["metrics"] == result["rows"][4]["metrics"]
    assert len(list((tmp_path / "run" / "scores" / "digits-clip" / "digits").iterdir())) == 4


def test_the_one_model_that_the_store_holds_is_taken(oodkit, drawn, clip_folder):
    known, other = drawn
    oodkit("bench", "--id", known, "--ood", other).is_refused("no model was named", "pass --model, such as digits-clip")
    done = oodkit("encode", known, other, "--model", f"local-dir:{clip_folder}")
    assert (done.code, done.out.splitlines()[1]) == (
        0,
        f"{other}/test: 12 images of model local-dir:{clip_folder}, 12 encoded now",
    )
    chosen = oodkit("bench", "--id", known, "--ood", other, "--format", "json").read
    assert chosen["model"] == f"local-dir:{clip_folder}"
    assert oodkit("encode", other, "--model", "digits-clip").code == 0
    assert oodkit("bench", "--id", known, "--ood", other, "--format", "json").read["model"] == chosen["model"]
    assert oodkit("encode", known, "--model", "digits-clip").code == 0
    oodkit("bench", "--id", known, "--ood", other).is_refused("of several models; name one with --model: digits-clip,")


def test_an_unreadable_picture_is_named_and_counted(oodkit, drawn, clip_folder, tmp_path):
    known, other = drawn
    (tmp_path / "other" / "3.png").write_bytes(b"no picture")
    line = ("bench", "--id", known, "--ood", other, "--model", f"local-dir:{clip_folder}")
    done = oodkit(*line)
    assert f"{other}/test: skipped 3.png: not a readable picture" in done.err
    assert "/other/test: 1 unreadable images are left out" in " ".join(done.out.split())
    assert "/other (11)" in " ".join(done.out.split())
    counted = oodkit(*line, "--format", "json").read["encoding"][f"{other}/test"]
    assert list(counted["unreadable"]) == ["3.png"]
    oodkit(*line, "--strict").is_refused("3.png: not a readable picture", "leave out --strict")
    (tmp_path / "known" / "bar" / "2.png").write_bytes(b"no picture")
    scored = oodkit("score", "msp", "--id", known, "--model", f"local-dir:{clip_folder}", "--val-split", "0")
    assert f"{known}/test: skipped bar/2.png: not a readable picture" in scored.err
    assert len(scored.out.splitlines()) == 1 + 23


def test_pictures_that_are_gone_are_remembered(oodkit, clip_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OODKIT_DATA", str(tmp_path))
    rng = np.random.default_rng(0)
    for split in ("airplane", "cat"):
        (tmp_path / "cifar10" / "test" / split).mkdir(parents=True)
        for place in range(6):
            picture = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            picture.save(tmp_path / "cifar10" / "test" / split / f"{place}.png")
    line = ("bench", "--id", "digits", "--ood", "cifar10", "--model", "digits-clip", "--scorers", "msp")
    first = oodkit(*line, "--format", "json").read
    assert first["encoding"]["cifar10/test"]["notes"] == ["12 of the published 10,000 images are here"]
    (tmp_path / "cifar10").rename(tmp_path / "elsewhere")
    again = oodkit(*line, "--format", "json").read
    assert again["rows"][0]["metrics"] == first["rows"][0]["metrics"]
    assert again["encoding"]["cifar10/test"]["notes"][-1].startswith("its pictures are gone")
    other = ["local-dir:" + str(clip_folder) if word == "digits-clip" else word for word in line]
    oodkit(*other).is_refused("cifar10: no test images below")


def test_prompts_by_name_and_recipes_give_other_heads(oodkit):
    found = {}
    for prompts, recipe in (
        (("simple",), "normalise-sum-normalise"),
        (("own",), "normalise-sum-normalise"),
        (("own",), "mean-then-normalise"),
        (("own",), "average-scores"),
    ):
        given = [word for text in prompts for word in ("--prompts", text)]
        line = ("bench", "--scorers", "mcm,classwise", "--recipe", recipe, "--limit", "60", "--format", "json")
        read = oodkit(*line, *given).read
        found[prompts, recipe] = tuple(row["metrics"]["auroc"] for row in read["rows"]), read["id"][0]["ece"]
        assert len(read["templates"]["digits"]) == (1 if prompts == ("simple",) else 5)
    assert len(set(found.values())) == 4
    done = oodkit("bench", "--scorers", "knn", "--recipe", "average-scores")
    done.is_refused("prompt-average: knn learns from ID data")


def test_kinds_are_kept_on_request(oodkit, drawn, clip_folder):
    model = f"local-dir:{clip_folder}"
    assert oodkit("encode", drawn[0], "--model", model, "--keep", "pre_projection").code == 0
    done = oodkit("encode", drawn[0], "--model", model, "--keep", "local", "--texts-of", drawn[0])
    assert done.out.endswith(f"24 images of model {model}, 24 encoded now\n")
    kinds = [one["what"] for one in oodkit("store", "list", "--json").read]
    assert kinds == [f"{model}: {kind} of 24 images" for kind in ("features", "local", "pre_projection")]
    assert oodkit("encode", drawn[0], "--model", model, "--keep", "local").code == 2
    done = oodkit("encode", "digits", "--model", "digits-clip", "--keep", "pre_projection")
    assert done.out.endswith("360 images of model digits-clip, 360 encoded now\n")


def test_the_store_is_listed_shown_verified_and_swept(oodkit, drawn, tmp_path):
    assert oodkit("encode", "digits", drawn[1], "--model", "digits-clip", "--split", "test").code == 0
    assert oodkit("store path").out == f"{tmp_path / 'store'}\n"
    (one,) = oodkit("store", "list", "--json").read
    assert one["what"] == "digits-clip: features of 372 images"
    assert one["sets"] == {"digits/test": "360", f"{drawn[1]}/test": "12"}
    (shown,) = oodkit("store", "show", one["name"], "--json").read
    assert shown["identity"]["kind"] == "features"
    assert shown["images"] == 372
    assert shown["model"] == "digits-clip"
    oodkit("store show nothing").is_refused("no encoder 'nothing' in the store; it holds")
    verified = oodkit("store verify")
    assert (verified.code, verified.out, verified.err) == (0, "", "all is whole\n")
    assert oodkit("store gc").out == ""
    listing = next((tmp_path / "store" / "sets").glob("folder*"))
    listing.unlink()
    keep(tmp_path / "store", f"encodings/{shown['key']}")  # as a run does that goes on
    kept = oodkit("store gc")
    assert (kept.out, kept.err.count("in use by process")) == ("", 1)
    swept = oodkit("store gc --dry-run")
    assert "no listed set has an image of it" in swept.out
    assert oodkit("store gc").code == 2  # nobody is there to be asked
    assert oodkit("store gc --dry-run").out == swept.out
    assert oodkit("store gc --yes").out == swept.out
    assert oodkit("store", "list", "--json").read[0]["what"] == "digits-clip: features of 360 images"
    oodkit("store gc --model digits-clp").is_refused(
        "nothing in the store was encoded by 'digits-clp'; it holds digits-"
    )
    assert "encoded by digits-clip" in oodkit("store gc --yes --model digits-clip").out
    empty = oodkit("store", "list", "--json")
    assert (empty.read, empty.err) == ([], f"the store {tmp_path / 'store'} is empty\n")


def test_what_is_known_of_a_data_set(oodkit, drawn, tmp_path):
    shown = oodkit("datasets", "show", "cifar10", "--data-root", tmp_path, "--json").read
    assert shown["splits"]["test"]["published"] == 10000
    assert "cifar10: no test images below" in shown["splits"]["test"]["missing"]
    assert oodkit("datasets", "show", drawn[0], "--json").read["splits"]["test"]["here"] == 24
    assert "class_count: 10" in oodkit("datasets show digits").out
    oodkit("datasets show cifar1").is_refused("unknown data set 'cifar1'; did you mean 'cifar10'?")
    oodkit("datasets show folder:gone").is_refused("folder:gone: no such folder")


def test_what_is_known_of_a_model(oodkit, clip_folder):
    shown = oodkit("models", "show", f"local-dir:{clip_folder}:precision=bf16", "--json").read
    assert (shown["precision"], shown["gives"]) == ("bf16", ["features", "pre_projection", "local"])
    assert shown["architecture"]["open_clip"]["embed_dim"] == 16
    assert "tokenizer: " in oodkit("models show digits-clip").out
    oodkit("models show digits-clp").is_refused("did you mean 'digits-clip'?")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("encode cifar10 --model digits-clip --data-root nowhere", "--data-root: no such folder: nowhere"),
        ("encode digits --model ViT-B-32/openai", "--download"),
        ("encode digits --model digits-clip --batch-size 48", "--batch-size: expected a divisor of 1024"),
        ("encode digits --model digits-clip --precision bf16", "digits-clip: has no precision"),
        ("encode folder: --model digits-clip", "folder:: expected a place after folder:"),
        ("bench --id folder:gone --ood digits --model digits-clip", "folder:gone: no such folder"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(oodkit, line, said):
    oodkit(line).is_refused(said)


def test_one_image_and_empty_folders(oodkit, clip_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "single").mkdir()
    Image.new("RGB", (9, 9), "red").save(tmp_path / "single" / "a.png")
    model = ("--model", f"local-dir:{clip_folder}")
    oodkit("encode", f"folder:{tmp_path / 'empty'}", *model).is_refused("expected images, found none")
    done = oodkit("bench", "--id", "digits", "--ood", f"folder:{tmp_path / 'single'}", *model, "--scorers", "msp")
    assert done.code == 0
    assert "(1)" in done.out
