import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.benchmark.gather import gather
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.benchmark.splits import stratified
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.sets import Place, drawn
from ood_toolkit.errors import AbsentError, DataError
from ood_toolkit.models.digits_clip import load_digits_clip

pytestmark = pytest.mark.quick


@pytest.fixture
def sets_of(tmp_path):
    """Make sets of grey levels by split, with classes by turns, below a model."""
    model = load_digits_clip()

    def make(**sets):
        def of(name, splits):
            def open_split(split, root):
                greys = splits[split]
                images = [Image.new("L", (8, 8), grey) for grey in greys]
                labels = np.arange(len(greys)) % 2
                return Pictures(pixels(images), tuple(f"{split}/{i}" for i in range(len(greys))), labels, ("a", "b"))

            return DataSet(name, name, open_split, {s: len(g) for s, g in splits.items()}, ("a", "b"))

        held = {name: of(name, splits) for name, splits in sets.items()}
        return EncodedSets(model, held.get, Place(tmp_path / "store", tmp_path))

    return make


def run(sets, **more):
    found = gather(Settings(ids=("known",), groups={"": ("other",)}, **more), sets, with_train=False)
    return found.members["known"], found.about


def test_copies_are_either_tested_or_validated_on(sets_of):
    greys = [grey for grey in range(40) for _ in range(2)]
    member, about = run(sets_of(known={"test": greys}, other={"test": [200, 201]}))
    level = {f"test/{place}": grey for place, grey in enumerate(greys)}
    test, val = ({level[name] for name in x.ids} for x in (member.tests["known"], member.val["known"]))
    assert test | val == set(range(40))
    assert not test & val
    assert (len(member.tests["known"]), len(member.val["known"])) == (2 * len(test), 2 * len(val))
    assert len(val) == 8
    assert about["notes"] == []


def test_a_validation_split_loses_the_copies_of_test_images(sets_of):
    held = sets_of(known={"test": list(range(20)), "val": list(range(15, 27))}, other={"test": [200]})
    member, about = run(held)
    assert member.val["known"].ids.tolist() == [f"val/{place}" for place in range(5, 12)]
    assert about["validation"] == {"known": "the set's own split without 5 copies of test images"}
    same = sets_of(known={"test": list(range(20)), "val": list(range(20))}, other={"test": [200]})
    with pytest.raises(DataError, match="known: all 20 validation images are copies of test images; give --val-split"):
        run(same)
    assert len(run(same, val_split=0.5)[0].val["known"]) == 10


def test_images_that_are_id_and_ood_are_told(sets_of):
    _, about = run(sets_of(known={"test": list(range(20))}, other={"test": [3, 4, 5, 200]}))
    assert about["notes"] == ["3 of the 4 images of other are also in known"]


def test_strata_too_small_to_give_their_share_give_it_together():
    for strata in (np.arange(1000), np.repeat(np.arange(100), 2)):
        rows = stratified(strata, 0.2, 0)
        assert abs(len(rows) - 0.2 * len(strata)) <= 1
        assert len(set(rows.tolist())) == len(rows)
        assert rows.tolist() == stratified(strata, 0.2, 0).tolist()
        assert rows.tolist() != stratified(strata, 0.2, 1).tolist()


def test_rows_are_drawn_in_order():
    assert drawn(5, None, 0) is None
    assert drawn(5, 5, 0) is None
    assert (np.diff(drawn(100, 10, 0)) > 0).all()


def test_a_set_with_an_error_of_its_own_is_no_set_that_is_gone(sets_of, tmp_path):
    sets = sets_of(known={"test": list(range(20))}, other={"test": [200]})
    run(sets)

    def broken(error):
        def open_split(split, root):
            raise error

        return EncodedSets(
            sets.model,
            {"known": sets.find("known"), "other": DataSet("other", "", open_split, {"test": 1}, ("a", "b"))}.get,
            sets.place,
        )

    member, about = run(broken(AbsentError("other: no test images below here")))
    assert len(member.ood["other"]) == 1
    assert "gone" in about["encoding"]["other/test"]["notes"][0]
    with pytest.raises(DataError, match="'zebra' is no class of this set"):
        run(broken(DataError("'zebra' is no class of this set")))


def test_nothing_is_downloaded_for_a_question(sets_of, tmp_path):
    asked = []
    sets = sets_of(known={"test": list(range(20))}, other={"test": [200]})

    def open_split(split, root):
        if split == "test":
            return sets.find("known").open(split, root)
        raise AbsentError(f"no {split}")

    dataset = DataSet("known", "", open_split, {"train": 9, "test": 20}, ("a", "b"), download=asked.append)
    place = Place(tmp_path / "store", tmp_path, download=True)
    held = EncodedSets(sets.model, {"known": dataset, "other": sets.find("other")}.get, place)
    run(held)
    assert held.splits("known") == ("test",)
    assert asked == []
    with pytest.raises(AbsentError):
        held.pictures("known", "train")
    assert asked == [tmp_path]


def test_a_set_of_which_nothing_can_be_read_is_named(sets_of, tmp_path):
    sets = sets_of(known={"test": list(range(20))}, other={"test": [200]})

    class Broken:
        file, part = None, ""

        def read(self):
            return b"no picture"

        def decode(self, content, least=None):
            raise DataError("not a readable picture")

    pictures = Pictures([Broken()], ("x.png",), None, ())
    other = DataSet("other", "", lambda split, root: pictures, {"test": 1})
    held = EncodedSets(sets.model, {"known": sets.find("known"), "other": other}.get, sets.place)
    with pytest.raises(
        DataError, match=r"other: none of its 1 test images can be read, such as x\.png: not a readable"
    ):
        run(held)
