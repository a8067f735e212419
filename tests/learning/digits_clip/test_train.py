import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.learning.digits_clip.sentences import Sentences
from ood_toolkit.learning.digits_clip.shapes import SHAPES, draw_shape
from ood_toolkit.learning.digits_clip.train import DigitsClipRecipe, Trainer, augment, encode_short, main
from ood_toolkit.models.digits_clip import IMAGE_SIZE, WEIGHTS, image_to_tensor, load_digits_clip, save_digits_clip

TINY = DigitsClipRecipe(classes=("zero", "one", "seven"), epochs=3, batch=64, shapes=4, prompts=1, others=2)
HELD_OUT_WORDS = {
    *("blurry", "shows", "background", "black", "itap", "drawing", "handwriting", "bad", "tattoo"),
    *("hard", "origami", "favourite", "camera", "seen"),
}
"""Words of the prompts that the model's accuracy is tested with."""


def run(recipe):
    progress = []
    clip = Trainer(recipe).train(progress.append)
    return progress, clip.state_dict()


@pytest.fixture(scope="module")
def tiny():
    return run(TINY)


def test_the_loss_falls(tiny):
    progress, _ = tiny
    assert [step.epoch for step in progress] == [1, 2, 3]
    assert progress[-1].loss < 0.9 * progress[0].loss


def test_a_seed_gives_the_same_weights_again(tiny):
    torch.rand(3)  # the caller's random state must not matter
    progress, weights = run(TINY)
    assert progress == tiny[0]
    assert all(torch.equal(weights[name], tensor) for name, tensor in tiny[1].items())


def test_training_leaves_the_callers_random_state_alone():
    state = torch.random.get_rng_state()
    Trainer(replace(TINY, shapes=1))
    assert torch.equal(state, torch.random.get_rng_state())


def test_another_seed_gives_other_weights(tiny):
    start = Trainer(replace(TINY, seed=1)).clip.state_dict()
    assert not torch.equal(start["text_projection"], Trainer(TINY).clip.state_dict()["text_projection"])


def test_hidden_digits_are_in_no_prompt(monkeypatch):
    trainer, seen = Trainer(replace(TINY, others=50)), []
    tokenizer = trainer.tokenizer
    monkeypatch.setattr(trainer, "tokenizer", lambda texts: (seen.extend(texts), tokenizer(texts))[1])
    for _ in range(20):
        trainer.text_rows()
    images, labels = trainer.images[:4], trainer.labels[:4]
    trainer.accuracy(images, labels)
    words = {word for text in seen for word in re.findall("[a-z]+", text)}
    assert words >= set(TINY.classes)
    assert not words & (set(DIGITS.classes) - set(TINY.classes))


def test_hidden_digits_are_in_no_image():
    trainer, train = Trainer(TINY), DIGITS.open("train")
    names = np.array(DIGITS.classes)[train.labels]
    known = {image_to_tensor(image).numpy().tobytes(): name for image, name in zip(train.images, names, strict=True)}
    seen = [known[image.numpy().tobytes()] for image in trainer.images]
    assert seen == [TINY.classes[label] for label in trainer.labels]
    assert len(seen) == np.isin(names, TINY.classes).sum()


def test_only_the_train_and_val_splits_are_opened(monkeypatch):
    opened = []

    def spy(split, root):
        opened.append(split)
        return DIGITS.open(split, root)

    monkeypatch.setattr("ood_toolkit.learning.digits_clip.train.DIGITS", replace(DIGITS, open=spy))
    Trainer(replace(TINY, epochs=1)).train()
    assert opened == ["train", "val"]


def test_the_prompts_of_the_accuracy_tests_cannot_be_composed():
    prompts = Sentences(0)
    texts = [prompts.yes("three") for _ in range(20_000)]
    texts += [prompts.no("three") for _ in range(5_000)]
    assert len(set(texts)) > 10_000
    words = {word for text in texts for word in re.findall("[a-z]+", text)}
    # "in black and white" is a phrase of the training prompts, "on a black background" is not
    assert words & HELD_OUT_WORDS <= {"black"}


def test_prompts_say_yes_or_no_and_name_their_class():
    prompts = Sentences(1)
    negation = re.compile(r"\b(no|not|without|never|lacking|free of|other than|anything but)\b")
    for words in (3, 8):
        for _ in range(2_000):
            yes, no, other = prompts.yes("three", words), prompts.no("three", words), prompts.other(words)
            assert "three" in yes.split() or re.search(r"\bthree\b", yes)
            assert re.search(r"\bthree\b", no)
            assert negation.search(no)
            assert not negation.search(yes)
            assert not re.search(rf"\b({'|'.join((*DIGITS.classes, *SHAPES))})\b", other)
            assert max(len(text.replace(" ", "")) for text in (yes, no, other)) <= 75


@pytest.mark.quick
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_drawn_as_the_digits_are(shape):
    images = [draw_shape(shape, random.Random(seed)) for seed in range(30)]
    assert {(image.mode, image.size) for image in images} == {("L", (8, 8))}
    assert len({image.tobytes() for image in images}) > 20
    assert draw_shape(shape, random.Random(3)).tobytes() == images[3].tobytes()


def test_augmentation_moves_but_keeps_the_background_black():
    digits = torch.stack([image_to_tensor(image) for image in DIGITS.open("val").images[:200]])
    moved = augment(digits, torch.Generator().manual_seed(0))
    assert moved.shape == (200, 1, IMAGE_SIZE, IMAGE_SIZE)
    assert moved.min() >= digits.min() - 1e-5
    kept = (moved == digits).flatten(1).all(1).float().mean()
    assert 0.1 < kept < 0.3
    assert abs(float(moved.mean() - digits.mean())) < 0.1


def test_short_encoding_is_what_the_text_tower_computes():
    model = load_digits_clip()
    texts = [
        "one",
        "a photo of a two",
        "a very long prompt, with many words around it, about the number nine",
    ]
    with torch.no_grad():
        short = encode_short(model.clip, model.tokenize(texts))
    torch.testing.assert_close(short, model.encode_texts(texts), rtol=1e-4, atol=1e-5)


def test_the_script_writes_a_model_that_loads(tmp_path):
    path = tmp_path / "two.safetensors"
    result = CliRunner().invoke(main, ["--output", str(path), "--classes", "one,zero", "--epochs", "1"])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert re.fullmatch(r"epoch 1/1  loss \d+\.\d{3}  val accuracy \d\.\d{3}\n", result.stderr)
    assert [file.name for file in tmp_path.iterdir()] == ["two.safetensors"]
    assert load_digits_clip(path).encode_texts(["zero", "one"]).isfinite().all()


def test_equal_weights_are_equal_files(tmp_path):
    clip = load_digits_clip().clip
    for name in ("a", "b", "c"):
        save_digits_clip(
            clip, tmp_path / name, classes=DIGITS.classes, seed=DigitsClipRecipe.seed, epochs=DigitsClipRecipe.epochs
        )
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    # the shipped weights are those of the defaults
    assert (tmp_path / "a").read_bytes() == WEIGHTS.read_bytes()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("classes", "message"),
    [("one,eleven", "no digit is called eleven"), ("one", "at least two digits are needed")],
)
def test_wrong_classes_are_wrong_usage(tmp_path, classes, message):
    result = CliRunner().invoke(main, ["--output", str(tmp_path / "none"), "--classes", classes])
    assert result.exit_code == 2
    assert message in result.stderr
