import random

import numpy as np
import pytest
import torch

from ood_toolkit import Prompts
from ood_toolkit.api.prompts import Mining, TextBank
from ood_toolkit.encode.banks import furnished, mined
from ood_toolkit.encode.texts import zero_shot_head
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.head import Bank
from ood_toolkit.store.negatives import Negatives

pytestmark = pytest.mark.quick

NAMES, TEMPLATES = ("a", "bb", "aaab"), ("b {}", "{} and a")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def vectors(texts):
    """Count letters as the toy's text tower does."""
    return np.array([[1.0 + t.count("a"), 1.0 + t.count("b"), 1.0 + len(t)] for t in texts])


def made(model, prompts, store=None):
    return furnished(model, zero_shot_head(model, NAMES, prompts, store), prompts, store)


def test_texts_are_encoded_under_the_templates_of_the_classes_or_their_own(toy):
    banks = (TextBank("mine", source=("x", "a", "x")), TextBank("bare", source=("a b",), templates=("{}",)))
    head = made(toy(), Prompts(TEMPLATES, banks=banks))
    assert head.bank("mine").texts == ("x", "a")
    wanted = unit(sum(unit(vectors([t.replace("{}", w) for w in ("x", "a")])) for t in TEMPLATES))
    np.testing.assert_allclose(head.bank("mine").rows.numpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(head.bank("bare").rows.numpy(), unit(vectors(["a b"])), rtol=1e-6)


def test_a_bank_without_a_source_stays_out(toy):
    head = made(toy(), Prompts(TEMPLATES, banks=(TextBank("outliers", source=""),)))
    assert dict(head.banks) == {}


def test_a_file_of_words_and_what_is_no_such_file(toy, tmp_path):
    (tmp_path / "words.txt").write_text("ab ba\n\n# left out\naaaa\n")
    bank = TextBank("negatives", source=str(tmp_path / "words.txt"), templates=("{}",))
    head = made(toy(), Prompts(("b {}",), banks=(bank,)))
    assert head.bank("negatives").texts == ("ab ba", "aaaa")
    gone = TextBank("negatives", source=str(tmp_path / "gone.txt"))
    with pytest.raises(DataError, match=r"gone\.txt"):
        made(toy(), Prompts(("b {}",), banks=(gone,)))


def test_mined_negatives_are_the_least_similar_ones_and_are_remembered(toy, tmp_path):
    words = tuple("a" * i + "b" * (i % 7) + "c" * (40 - i) for i in range(40))
    bank = TextBank("negatives", source=words, templates=("{}",), mining=Mining(0.2, 0.5))
    head = made(toy(), Prompts(("b {}",), banks=(bank,)), tmp_path)
    texts, rows = unit(vectors([f"b {n}" for n in NAMES])), unit(vectors(words))
    similarity = np.quantile(rows @ texts.T, 0.5, axis=1)
    wanted = np.argsort(similarity, kind="stable")[:8]
    assert head.bank("negatives").texts == tuple(words[i] for i in wanted)
    np.testing.assert_allclose(head.bank("negatives").rows.numpy(), rows[wanted], rtol=1e-6)
    (key,) = Negatives(tmp_path).listed()
    found = Negatives(tmp_path).read(key[:6])[1]
    assert [row["word"] for row in found["negatives"]] == [words[i] for i in wanted]
    np.testing.assert_allclose([row["similarity"] for row in found["negatives"]], similarity[wanted], rtol=1e-5)
    assert (found["classes"], found["candidates"], found["share"]) == (list(NAMES), 40, 0.2)
    assert head.bank("negatives").source == f"8 negatives, mined from 40 words (oodkit negatives {key[:8]})"


@pytest.mark.parametrize("count", [9, 40, 10_000])
def test_a_count_of_negatives_is_kept_in_proportion_or_all_where_there_are_fewer(toy, tmp_path, count):
    words = ["a" * i + "b" * (i % 7) + "c" * (40 - i) for i in range(40)]
    classes = zero_shot_head(toy(), NAMES, Prompts(("b {}",)))
    rows, texts = unit(vectors(words)), classes.weight.double().numpy()
    candidates, place = Bank(torch.tensor(rows), tuple(words)), int(0.4 * 3)  # of three sorted cosines the second
    similarity = np.array([sorted(float(row @ text) for text in texts)[place] for row in rows])
    found = mined(candidates, 24, Bank(classes.weight, NAMES), Mining(quantile=0.4, count=count), tmp_path, {})
    few = min(count, 40)
    of_adjectives = few * 16 // 40
    nouns = np.argsort(similarity[:24], kind="stable")[: few - of_adjectives]
    adjectives = np.argsort(similarity[24:], kind="stable")[:of_adjectives] + 24
    assert found.texts == tuple(words[i] for i in [*nouns, *adjectives])
    (key,) = Negatives(tmp_path).listed()
    held = Negatives(tmp_path).read(key)[1]
    assert (held["count"], "share" in held, len(held["negatives"])) == (few, False, few)
    np.testing.assert_allclose([row["similarity"] for row in held["negatives"]], similarity[[*nouns, *adjectives]])


def test_wordnets_nouns_and_adjectives_have_templates_of_their_own_and_are_encoded_once(toy, tmp_path):
    kept = {"noun.event", "noun.shape", "adj.ppl"}
    from ood_toolkit.data.words import CSP_HEADS, shipped_lists, wordnet_words

    without = tuple(sorted(set(shipped_lists()) - kept))
    words = wordnet_words(without)
    bank = TextBank("n", templates=("n {}",), adjectives=("{} a",), without=without, conjugated=True)
    model = toy()
    head = made(model, Prompts(("b {}",), banks=(bank,), seed=3), tmp_path)
    draw = random.Random(3)
    phrases = [f"{word} {draw.choice(CSP_HEADS)}" for word in words.adjectives]
    assert head.bank("n").texts == (*words.nouns, *phrases)
    wanted = unit(vectors([*(f"n {w}" for w in words.nouns), *(f"{p} a" for p in phrases)]))
    np.testing.assert_allclose(head.bank("n").rows.numpy(), wanted, rtol=1e-6)
    again = toy()
    assert torch.equal(
        made(again, Prompts(("b {}",), banks=(bank,), seed=3), tmp_path).bank("n").rows, head.bank("n").rows
    )
    assert again.texts == []


def test_shuffled_prompts_keep_the_name_together_and_every_word(toy):
    names = ("ant eater", "bee")
    prompts = Prompts(("a photo of a {}",), shuffles=12, seed=5)
    head = furnished(toy(), zero_shot_head(toy(), names, prompts), prompts, None)
    bank = head.bank("shuffled")
    assert bank.embeddings.shape == (12, 2, 3)
    for place, text in enumerate(bank.texts):
        name = names[place % 2]
        assert sorted(text.replace(name, "{}").split()) == sorted(["a", "photo", "of", "a", "{}"])
    assert len(set(bank.texts)) > 12
    np.testing.assert_allclose(bank.rows.numpy(), unit(vectors(bank.texts)), rtol=1e-6)
    other = furnished(
        toy(), zero_shot_head(toy(), names, prompts), Prompts(prompts.templates, shuffles=12, seed=6), None
    )
    assert other.bank("shuffled").texts != bank.texts


@pytest.mark.parametrize("count", [5, 6, 100])
def test_both_ends_are_encoded_anew_under_templates_of_their_own(toy, tmp_path, count):
    words = tuple("a" * i + "b" * (i % 5) + "c" * (20 - i) for i in range(20))
    mining = Mining(count=count, ends=True, rank=2)
    bank = TextBank("negatives", source=words, templates=("the {}",), mining=mining, kept_as=("a {}", "b {}"))
    head = made(toy(), Prompts(TEMPLATES, banks=(bank,)), tmp_path)
    texts = head.weight.double().numpy()
    similarity = np.sort(unit(vectors([f"the {word}" for word in words])) @ texts.T, axis=1)[:, -2]
    order = np.argsort(similarity, kind="stable")
    kept = order if count >= 20 else np.r_[order[: count // 2], order[20 - (count - count // 2) :]]
    found = head.bank("negatives")
    assert found.texts == tuple(words[i] for i in kept)
    far = len(kept) // 2
    prompts = [f"{'a' if place < far else 'b'} {words[i]}" for place, i in enumerate(kept)]
    np.testing.assert_allclose(found.rows.numpy(), unit(vectors(prompts)), rtol=1e-6)
