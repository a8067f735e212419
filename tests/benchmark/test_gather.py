from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit import Prompts
from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.model import Model, ModelEntry
from ood_toolkit.api.picture import pixels
from ood_toolkit.api.prompts import Mining, TextBank
from ood_toolkit.benchmark.gather import gather, open_sets, ready_scores
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.benchmark.splits import stratified
from ood_toolkit.encode.choice import choose, find_dataset, finder
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.imported_sets import ImportedSets
from ood_toolkit.encode.sets import Place
from ood_toolkit.errors import AbsentError, DataError, ModelError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.imports import Imports


class Toy(Model):
    name, scale, fingerprint, preprocessing = "toy", 20.0, "weights", {}

    def __init__(self):
        self.seen = 0

    def preprocess(self, image):
        return torch.tensor([float(image.getpixel((0, 0))) + 1])

    def encode_images(self, batch):
        self.seen += int((batch != 0).sum())  # zeros are gaps
        return torch.stack([(batch[:, 0] + i).cos() for i in range(4)], dim=1)

    def encode_texts(self, texts):
        return torch.stack([torch.tensor([float(len(t)), t.count("a") + 1.0, 1.0, t.count("e")]) for t in texts])

    def to(self, device):
        return self


def data_set(name, counts, classes, shift=0):
    def open_split(split, root=None):
        n = counts[split]
        labels = np.arange(n) % len(classes) if classes else None
        first = shift + {"train": 100, "val": 50, "test": 0}[split]
        images = [Image.new("L", (1, 1), (i + first) % 256) for i in range(n)]
        return Pictures(pixels(images), tuple(f"{name}/{split}/{i}" for i in range(n)), labels, classes)

    return DataSet(name, name, open_split, counts, classes, templates=("a {}", "the {}"), embedded=True)


class Known:
    """A registry of toys."""

    def __init__(self):
        sets = [
            data_set("whole", {"train": 30, "val": 20, "test": 40}, ("ant", "bee", "cat")),
            data_set("bare", {"test": 50}, ("bee", "dog"), 7),
            data_set("nameless", {"test": 25}, (), 90),
        ]
        self.held = {
            "datasets": {s.name: s for s in sets},
            "models": {"digits-clip": ModelEntry("digits-clip", "", Toy), "toy": ModelEntry("toy", "", Toy)},
        }

    def names(self, kind):
        return list(self.held[kind])

    def disabled(self, kind):
        return {}

    def get(self, kind, name):
        return self.held[kind][name]


def sets_for(store, model, names):
    """Open the sets as a command does."""
    chosen = choose(Known(), store, model, names)
    return open_sets(chosen, finder(Known()), Place(store, store / "data"))


@pytest.fixture
def encoded(tmp_path):
    return EncodedSets(Toy(), lambda name: find_dataset(Known(), name), Place(tmp_path / "store", tmp_path))


def request(ids=("whole",), ood=("nameless",), **more):
    return Settings(ids=tuple(ids), groups={"": tuple(ood)}, **more)


# -- the full spectrum ---------------------------------------------------------------------------------------------


def test_shifted_images_get_the_labels_of_the_id_set_by_name_and_others_are_left_out(encoded):
    member = gather(request(csid=("bare",), limit=9), encoded, with_train=True).members["whole"]
    assert set(member.csid) == {"bare"}
    found = gather(request(csid=("bare",)), encoded, with_train=True)
    x, test = found.members["whole"].csid["bare"], found.members["whole"].tests["whole"]
    assert x.ids.tolist() == [f"bare/test/{place}" for place in range(0, 50, 2)]  # the bees, not the dogs
    assert x.labels.tolist() == [1] * 25
    assert x.head is test.head
    assert "25 of the 50 images of bare are of classes that whole lacks, and left out" in found.about["notes"]
    assert "33 of the 50 images of bare are also in whole" in found.about["notes"]
    assert gather(request(), encoded, with_train=False).members["whole"].csid == {}
    with pytest.raises(DataError, match="unknown data set 'gone'"):
        gather(request(csid=("gone",)), encoded, with_train=False)


def test_a_shifted_set_without_classes_has_no_labels(encoded):
    found = gather(request(csid=("nameless",), ood=("bare",)), encoded, with_train=False)
    x = found.members["whole"].csid["nameless"]
    assert (len(x), x.labels) == (25, None)


# -- splitting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_each_stratum_gives_its_share_and_keeps_a_row(share):
    strata = np.repeat([0, 1, 2, 3], [50, 10, 3, 1])
    rows = stratified(strata, share, 0)
    assert (np.diff(rows) > 0).all()
    for value, count in enumerate([50, 10, 3, 1]):
        assert (strata[rows] == value).sum() == min(int(share * count + 0.5), count - 1)


def test_the_seed_alone_decides_which_rows():
    strata = np.arange(100) % 4
    assert stratified(strata, 0.2, 0).tolist() == stratified(strata, 0.2, 0).tolist()
    assert stratified(strata, 0.2, 0).tolist() != stratified(strata, 0.2, 1).tolist()


def test_no_image_is_for_testing_and_validation(encoded):
    found = gather(request(["bare"]), encoded, with_train=False)
    member = found.members["bare"]
    test, val = member.tests["bare"], member.val["bare"]
    assert (len(test), len(val)) == (40, 10)
    assert set(test.ids) | set(val.ids) == {f"bare/test/{i}" for i in range(50)}
    assert np.bincount(val.labels).tolist() == [5, 5]
    assert found.about["validation"] == {"bare": "stratified 20 % of the test split, seed 0"}
    again = gather(request(["bare"], seed=1, val_split=0.4), encoded, with_train=False).members["bare"]
    assert (len(again.tests["bare"]), len(again.val["bare"])) == (30, 20)
    assert set(again.val["bare"].ids) != set(val.ids)


def test_the_sets_own_validation_is_taken_unless_a_share_is_asked_for(encoded):
    found = gather(request(), encoded, with_train=True)
    member = found.members["whole"]
    assert (len(member.tests["whole"]), len(member.val["whole"]), len(member.train)) == (40, 20, 30)
    assert member.val["whole"].ids[0] == "whole/val/0"
    assert found.about["validation"] == {"whole": "the set's own split"}
    assert gather(request(), encoded, with_train=False).members["whole"].train is None
    shared = gather(request(val_split=0.5), encoded, with_train=False).members["whole"]
    assert (len(shared.tests["whole"]), len(shared.val["whole"])) == (19, 21)
    assert shared.val["whole"].ids[0].startswith("whole/test/")
    none = gather(request(val_split=0), encoded, with_train=False)
    assert (len(none.members["whole"].tests["whole"]), none.members["whole"].val) == (40, None)
    assert none.about["validation"] == {"whole": "none"}


def test_a_limit_holds_for_every_set_and_too_few_images_are_an_error(encoded):
    member = gather(request(limit=10), encoded, with_train=False).members["whole"]
    assert (len(member.tests["whole"]), len(member.val["whole"]), len(member.ood["nameless"])) == (10, 10, 10)
    same = gather(request(limit=10), encoded, with_train=False).members["whole"]
    other = gather(request(limit=10, seed=5), encoded, with_train=False).members["whole"]
    assert same.ood["nameless"].ids.tolist() == member.ood["nameless"].ids.tolist()
    assert other.ood["nameless"].ids.tolist() != member.ood["nameless"].ids.tolist()
    with pytest.raises(DataError, match=r"bare: 1 image is too few to split 0\.2 of them off"):
        gather(request(["bare"], limit=1), encoded, with_train=False)


# -- heads and labels ---------------------------------------------------------------------------------------------


def test_every_image_is_encoded_once(encoded):
    """The grey levels of the sets overlap."""
    found = gather(request(["whole", "bare"]), encoded, with_train=True)
    distinct = {*range(40), *range(50, 70), *range(100, 130), *range(7, 57), *range(90, 115)}
    assert encoded.model.seen == len(distinct)
    counts = found.about["encoding"]
    assert {name: one["images"] for name, one in counts.items()} == {
        "bare/test": 50, "nameless/test": 25, "whole/test": 40, "whole/train": 30, "whole/val": 20,
    }  # fmt: skip
    assert sum(one["encoded"] for one in counts.values()) == len(distinct)
    again = EncodedSets(Toy(), encoded.find, encoded.place)
    gather(request(["bare"], ["whole"]), again, with_train=False)
    assert again.model.seen == 0


def test_labels_follow_the_class_names_to_another_head(encoded):
    found = gather(request(["whole", "bare"]), encoded, with_train=False)
    whole, bare = found.members["whole"], found.members["bare"]
    assert whole.tests["whole"].class_names == ("ant", "bee", "cat")
    assert bare.tests["whole"].class_names == ("bee", "dog")
    assert bare.tests["whole"].labels.tolist()[:3] == [-1, 0, -1]
    wanted = [1 if int(i.rpartition("/")[2]) % 2 == 0 else -1 for i in whole.tests["bare"].ids]
    assert whole.tests["bare"].labels.tolist() == wanted
    assert whole.tests["bare"].ids.tolist() == bare.tests["bare"].ids.tolist()
    assert whole.ood["nameless"].labels is None


def test_prompts_are_the_sets_first_template_or_what_is_asked_for(encoded):
    own = gather(request(), encoded, with_train=False)
    asked = gather(request(prompts=("a {}",)), encoded, with_train=False)
    other = gather(request(prompts=("some {}", "an e {}")), encoded, with_train=False)
    prints = [found.members["whole"].tests["whole"].head.fingerprint for found in (own, asked, other)]
    assert prints[0] == prints[1] != prints[2]
    assert [found.about["prompts"] for found in (own, other)] == ['"a {}"', '"some {}"; "an e {}"']
    mine = Prompts(("my {}",))
    assert own.members["whole"].heads(mine).fingerprint not in prints
    assert other.members["whole"].heads(mine).fingerprint == prints[2]


def test_a_set_without_classes_cannot_be_id(encoded):
    with pytest.raises(DataError, match="nameless: has no classes, so it can only be an OOD set"):
        gather(request(["nameless"], ["whole"]), encoded, with_train=False)


# -- imported arrays ----------------------------------------------------------------------------------------------

TEXT = np.eye(3, 4, dtype=np.float32)


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    imports = Imports(tmp_path)
    labels = np.arange(30) % 3
    images = TEXT[labels] + 0.2 * rng.normal(size=(30, 4)).astype(np.float32)
    classes = np.array(["ant", "bee", "cat"])
    imports.add("i", "m", "test", {"features": images, "labels": labels, "text": TEXT, "classes": classes}, "i.npz")
    imports.add("o", "m", "test", {"features": images[:20] + 1, "labels": np.arange(20) * 9}, "o.npz")
    imports.add("p", "n", "test", {"features": images[:5]}, "p.npz")
    imports.add("i", "n", "test", {"features": images, "text": TEXT, "classes": classes}, "i.npz")
    imports.add("r", "s", "test", {"scores": rng.normal(size=9)}, "s.npz")
    imports.add("q", "s", "test", {"scores": rng.normal(size=9)}, "s.npz")
    return tmp_path


def test_the_one_model_that_has_all_sets_is_chosen(store):
    assert isinstance(sets_for(store, None, ["i", "o"]), ImportedSets)
    assert sets_for(store, None, ["i", "o"]).label == "m"
    assert sets_for(store, None, ["i", "p"]).label == "n"
    with pytest.raises(DataError, match="the store holds i of several models; name one with --model: m, n"):
        sets_for(store, None, ["i"])
    assert sets_for(store, "n", ["i"]).label == "n"
    assert isinstance(sets_for(store, None, ["whole", "bare"]), EncodedSets)
    assert isinstance(sets_for(store, "toy", ["whole", "bare"]), EncodedSets)
    with pytest.raises(ModelError, match="unknown model 'toi'; did you mean 'toy'"):
        sets_for(store, "toi", ["i"])


@pytest.mark.parametrize(
    ("model", "names", "absent", "hint"),
    [
        (None, ["gone", "lost"], ["gone", "lost"], ""),
        (None, ["whol", "bare"], ["whol"], "(did you mean 'whole'?)"),
        ("m", ["i", "p"], ["p"], ""),
        ("toy", ["whole", "gone"], ["gone"], ""),
    ],
)
def test_sets_that_are_not_here_are_told_in_one_message(store, model, names, absent, hint):
    with pytest.raises(DataError) as caught:
        sets_for(store, model, names)
    said = str(caught.value)
    assert said.startswith(f"not here: {', '.join(absent)}{' ' + hint if hint else ''}.")
    assert f"into the store {store}:" in said
    assert hint in said
    under = f" --model {model}" if model else ""
    for name in absent:
        assert f"\n  oodkit import {name} FILE.npz [--text TEXT.npz]{under}\n" in said
    assert said.count("oodkit import") == len(absent)
    assert "Here: i (m), i (n), o (m), p (n), q (s), r (s), whole, bare, nameless;" in said


def test_sets_that_no_one_model_has_are_told_with_their_models(store):
    with pytest.raises(DataError, match=r"no one model has all of these sets: i is held of m, n; bare is held of"):
        sets_for(store, None, ["i", "bare"])


def test_imported_sets_are_memory_maps_under_the_id_head(store):
    sets = sets_for(store, None, ["i", "o"])
    found = gather(request(["i"], ["o"]), sets, with_train=False)
    member = found.members["i"]
    assert (len(member.tests["i"]), len(member.val["i"]), len(member.ood["o"])) == (24, 6, 20)
    assert member.tests["i"].ids[0].startswith("i/test/")
    assert member.ood["o"].head.fingerprint == member.tests["i"].head.fingerprint
    assert member.ood["o"].labels is None
    assert not member.reads_prompts
    assert found.about["model"] == "m"
    with pytest.raises(DataError, match="--prompts: model 'm' has no text tower here"):
        gather(request(["i"], ["o"], prompts=("a {}",)), sets, with_train=False)
    with pytest.raises(DataError, match="o: embeddings without texts or weights give no logits"):
        gather(request(["o"], ["i"]), sets, with_train=False)


def test_ready_scores_go_with_ready_scores_only(store):
    sets = sets_for(store, None, ["r", "q"])
    assert set(ready_scores(sets, ["r", "q"])) == {"r", "q"}
    assert ready_scores(sets_for(store, "m", ["i", "o"]), ["i", "o"]) is None
    with pytest.raises(DataError, match="r: only ready scores were imported under model 's'"):
        gather(request(["r"], ["q"]), sets, with_train=False)
    Imports(store).add("i", "s", "test", {"features": TEXT}, "x")
    with pytest.raises(DataError, match="r holds ready scores but i does not"):
        ready_scores(sets_for(store, "s", ["i", "r"]), ["i", "r"])


def test_every_ood_set_is_named_once():
    assert Settings(ids=("i",), groups={"near": ("a", "b"), "": ("b", "c")}).ood == ("a", "b", "c")


# -- further texts ------------------------------------------------------------------------------------------------

LISTED = Prompts(("the {}",), banks=(TextBank("negatives", adjectives=("{} a",), mining=Mining(0.5)),))


def test_words_to_mine_come_from_a_file_or_not_at_all(encoded, tmp_path):
    none = gather(request(), encoded, with_train=False).members["whole"]
    assert "negatives" not in none.heads(LISTED).banks
    (tmp_path / "words").write_text("ant hill\nbeehive\nzebra\neel\n")
    some = gather(request(negatives=str(tmp_path / "words")), encoded, with_train=False).members["whole"]
    bank = some.heads(LISTED).bank("negatives")
    assert len(bank.rows) == 2
    assert set(bank.texts) < {"ant hill", "beehive", "zebra", "eel"}
    mine = gather(request(negatives=str(tmp_path / "words"), prompts=("my {}",)), encoded, with_train=False)
    head = mine.members["whole"].heads(LISTED)
    assert torch.equal(head.weight, mine.members["whole"].tests["whole"].head.weight)
    assert len(head.bank("negatives").rows) == 2


def test_further_texts_become_banks_of_every_head(encoded, tmp_path):
    (tmp_path / "names").write_text("owl\nelk\n")
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(4)[:3])
    given = {"negatives": str(tmp_path / "names"), "opposites": str(tmp_path / "rows.npz")}
    found = gather(request(texts=given), encoded, with_train=False).members["whole"]
    for head in (found.tests["whole"].head, found.heads(Prompts(("the {}",))), found.heads(LISTED)):
        assert head.bank("negatives").texts == ("owl", "elk")
        assert torch.equal(head.bank("opposites").rows, torch.eye(4)[:3])


def test_a_file_for_a_declared_bank_keeps_what_is_declared_of_it(encoded, tmp_path):
    (tmp_path / "empty").write_text("a photo of a\n")
    declared = Prompts(("the {}",), banks=(TextBank("empty", ("a",), templates=("{}",), mining=Mining(0.5)),))
    found = gather(request(texts={"empty": str(tmp_path / "empty")}), encoded, with_train=False).members["whole"]
    rows = found.heads(declared).bank("empty").rows
    wanted = Toy().encode_texts(["a photo of a"])
    torch.testing.assert_close(rows, wanted / wanted.norm())


@pytest.mark.parametrize("given", [{"negatives": "words"}, {"texts": {"negatives": "words"}}])
def test_words_cannot_be_encoded_without_a_text_tower(store, tmp_path, given):
    with pytest.raises(DataError, match="has no text tower here to encode words with"):
        gather(request(["i"], ["o"], **given), sets_for(store, "m", ["i", "o"]), with_train=False)


def test_what_a_bank_of_ready_negatives_holds_is_not_mined_again(store):
    rows = np.eye(4)[:2]
    arrays = {"features": TEXT, "text": TEXT, "classes": np.array(["ant", "bee", "cat"])}
    imports = Imports(store)
    imports.add("i", "c", "test", {**arrays, "bank.candidates": np.ones((9, 4)), "bank.negatives": rows}, "i.npz")
    imports.add("o", "c", "test", {"features": TEXT}, "o.npz")
    member = gather(request(["i"], ["o"], val_split=0.0), ImportedSets(imports, "c"), with_train=False).members["i"]
    assert torch.equal(member.heads(LISTED).bank("negatives").rows, torch.from_numpy(rows).to(torch.float32))


def test_negatives_are_mined_from_imported_candidates(store):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20, 4)).astype(np.float32)
    arrays = {"features": TEXT, "text": TEXT, "classes": np.array(["ant", "bee", "cat"]), "bank.candidates": rows}
    imports = Imports(store)
    imports.add("i", "c", "test", {**arrays, "words.candidates": np.array([f"w{i}" for i in range(20)])}, "i.npz")
    imports.add("o", "c", "test", {"features": TEXT}, "o.npz")
    member = gather(request(["i"], ["o"], val_split=0.0), ImportedSets(imports, "c"), with_train=False).members["i"]
    assert not member.reads_prompts
    assert list(member.tests["i"].head.banks) == ["candidates"]
    bank = member.heads(LISTED).bank("negatives")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(np.quantile(unit @ TEXT.T, 0.95, axis=1), kind="stable")[:10]
    assert bank.texts == tuple(f"w{i}" for i in order)
    np.testing.assert_allclose(bank.rows.numpy(), unit[order], rtol=1e-6)
    assert torch.equal(member.heads(LISTED).weight, member.tests["i"].head.weight)


class Patchy(Toy):
    """Says in `local` under which head it was asked."""

    kinds = ("features", "local")

    def encode(self, batch, kinds, head=None):
        features = self.encode_images(batch)
        local = torch.full((len(batch),), 0.0 if head is None else float(head.weight.double().sum()))
        return {kind: features if kind == "features" else local for kind in kinds}


def test_local_scores_are_taken_under_the_prompts_of_the_scorer_that_wants_them(store):
    known, own = Known(), Prompts(("a photo of a {}",))
    known.held["models"]["toy"] = ModelEntry("toy", "", Patchy)

    def local_of(kept="kept", **more):
        chosen = choose(known, store, "toy", ["whole", "nameless"])
        place = Place(store / kept, store / "data")
        sets = open_sets(chosen, finder(known), place, wished=("local", "pre_projection"))
        assert sets.kinds == ("local",)  # what the model has of what is wished
        member = gather(request(**more), sets, with_train=True).members["whole"]
        parts = (member.tests["whole"], member.val["whole"], member.train, member.ood["nameless"])
        (found,) = {float(v) for x in parts for v in x.extras["local"]}
        assert sets.model.seen == 100  # each image once; 15 of the 115 are copies
        return found, member

    def total(head):
        return pytest.approx(float(head.weight.double().sum()), rel=1e-6)

    plain, member = local_of()
    assert plain == total(member.tests["whole"].head)
    asked, member = local_of("other", local=own)
    assert asked == total(member.heads(own)) != plain
    given, member = local_of("third", local=own, prompts=("the {}",))
    assert given == total(member.tests["whole"].head)


def test_what_was_never_kept_of_gone_pictures_is_left_out(store):
    known, gone = Known(), set()
    known.held["models"]["toy"] = ModelEntry("toy", "", Patchy)
    for name, dataset in list(known.held["datasets"].items()):

        def opened(split, root=None, dataset=dataset):
            if dataset.name in gone:
                raise AbsentError(f"{dataset.name}: gone")
            return dataset.open(split, root)

        known.held["datasets"][name] = replace(dataset, open=opened)

    def member_of(*wished):
        chosen = choose(known, store, "toy", ["whole", "nameless"])
        sets = open_sets(chosen, finder(known), Place(store / "kept", store / "data"), wished=wished)
        return gather(request(), sets, with_train=False).members["whole"]

    before = member_of()
    gone.update({"whole", "nameless"})
    after = member_of("local")
    assert "local" not in after.ood["nameless"].extras
    assert torch.equal(after.ood["nameless"].features, before.ood["nameless"].features)


def test_features_and_labels_alone_number_the_classes_of_the_set(tmp_path):
    imports = Imports(tmp_path)
    rows = np.eye(4, dtype=np.float32)[[0, 1, 2]]
    imports.add("s", "m", "test", {"features": rows, "labels": np.arange(3), "classes": np.array(["c", "b", "a"])}, "f")
    imports.add(
        "s", "m", "train", {"features": rows, "labels": np.arange(3), "classes": np.array(["a", "b", "c"])}, "f"
    )
    imports.add("n", "m", "train", {"features": rows, "labels": np.array([0, 2, 2])}, "f")
    imports.add("l", "m", "train", {"logits": rows, "labels": np.arange(3)}, "f")
    sets = ImportedSets(imports, "m")
    assert sets.classes("s") == ("a", "b", "c")
    assert sets.bare("s", "train").labels.tolist() == [0, 1, 2]
    assert sets.bare("s", "test").labels.tolist() == [2, 1, 0]
    assert sets.classes("n") == ("0", "1", "2")
    assert sets.bare("n", "train").class_names == ("0", "1", "2")
    with pytest.raises(DataError, match="l: its train arrays have no features"):
        sets.bare("l", "train")


def test_a_trained_head_goes_before_logits_that_came_with_the_features(tmp_path):
    imports = Imports(tmp_path)
    rows, logits = np.eye(3, dtype=np.float32), np.roll(np.eye(3, dtype=np.float32), 1, axis=1)
    imports.add("s", "m", "test", {"features": rows, "logits": logits, "labels": np.arange(3)}, "f")
    imports.add("l", "m", "test", {"logits": logits}, "f")
    sets, head = ImportedSets(imports, "m"), Head.linear(np.eye(3, dtype=np.float32), None)
    assert sets.outputs("s", "test", None).prediction.tolist() == [1, 2, 0]
    sets.take_trained(head)
    assert sets.outputs("s", "test", head).prediction.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="l: --head needs embeddings; only logits were imported under 'm'"):
        sets.ood("l", head)
