import os

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.encode.options import SHARD, Effort
from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.outputs.head import Head

GREYS = list(range(200))


def shards(store):
    return sorted(path for path in store.glob("encodings/*/shards/*"))


def test_features_are_those_of_the_pictures_in_their_order(toy, drawn, features, tmp_path):
    told, model = [], toy()
    made = encode_pictures(model, drawn(GREYS), tmp_path, progress=lambda done, of: told.append((done, of)))
    np.testing.assert_array_equal(made.outputs["features"], features(GREYS))
    assert made.outputs["features"].dtype == np.float32
    assert made.rows.tolist() == GREYS
    assert (made.fresh, made.unreadable) == (200, ())
    assert sorted(model.seen) == GREYS
    assert set(model.batches) == {32}  # the last is padded
    assert told[-1] == (200, 200)


def test_each_picture_is_encoded_once_whatever_set_it_is_in(toy, drawn, features, tmp_path):
    model = toy()
    encode_pictures(model, drawn(GREYS[:50]), tmp_path)
    assert encode_pictures(model, drawn(GREYS[:50]), tmp_path).fresh == 0
    mixed = [7, 120, 7, 3, 120, 121]
    made = encode_pictures(model, drawn(mixed), tmp_path)
    np.testing.assert_array_equal(made.outputs["features"], features(mixed))
    assert made.fresh == 2
    assert encode_pictures(model, drawn(GREYS), tmp_path).fresh == 148
    assert sorted(model.seen) == GREYS


def test_copies_are_encoded_once_also_in_later_shards(toy, drawn, features, tmp_path):
    greys = [place % 250 for place in range(2 * SHARD + 5)]
    model = toy()
    made = encode_pictures(model, drawn(greys), tmp_path)
    assert sorted(model.seen) == list(range(250))
    np.testing.assert_array_equal(made.outputs["features"], features(greys))


@pytest.mark.parametrize(
    "changed",
    [
        {"fingerprint": "g"},
        {"architecture": "b"},
        {"preprocessing": {"size": 2}},
        {"precision": "bf16"},
        {"image_size": 224},
    ],
)
def test_whatever_decides_features_encodes_again(toy, drawn, tmp_path, changed):
    encode_pictures(toy(), drawn(GREYS), tmp_path)
    assert encode_pictures(toy(**changed), drawn(GREYS), tmp_path).fresh == 200
    assert encode_pictures(toy(name="other"), drawn(GREYS), tmp_path).fresh == 0


def test_a_name_alone_never_finds_old_features(toy, drawn, features, tmp_path):
    """Other weights under the same name give their own numbers."""

    class Fine(toy):
        def encode_images(self, batch):
            return super().encode_images(batch) * 3

    encode_pictures(toy(), drawn(GREYS), tmp_path)
    made = encode_pictures(Fine(fingerprint="fine-tuned"), drawn(GREYS), tmp_path)
    np.testing.assert_array_equal(made.outputs["features"], 3 * features(GREYS))


def test_only_files_whose_bytes_changed_are_encoded_again(toy, filed, features, tmp_path):
    store = tmp_path / "store"
    pictures = filed(GREYS)
    for item in pictures.items:
        os.utime(item.path, ns=(0, 0))
    assert encode_pictures(toy(), pictures, store).fresh == 200
    model = toy()
    Image.new("L", (1, 1), 255).save(pictures.items[5].path)
    made = encode_pictures(model, pictures, store)
    assert (made.fresh, model.seen) == (1, [255])
    greys = [*GREYS[:5], 255, *GREYS[6:]]
    np.testing.assert_array_equal(made.outputs["features"], features(greys))
    assert len(model.batches) == 1


def test_unchanged_files_are_not_read_again_unless_asked(toy, filed, tmp_path, monkeypatch):
    store, pictures = tmp_path / "store", filed(GREYS)
    for item in pictures.items:
        os.utime(item.path, ns=(0, 0))
    encode_pictures(toy(), pictures, store)
    reads = []
    read = type(pictures.items[0]).read
    monkeypatch.setattr(type(pictures.items[0]), "read", lambda self: (reads.append(self.path), read(self))[1])
    encode_pictures(toy(), pictures, store)
    assert reads == []
    stat = os.stat(pictures.items[3].path)
    Image.new("L", (1, 1), 254).save(pictures.items[3].path)
    assert stat.st_size == os.stat(pictures.items[3].path).st_size
    os.utime(pictures.items[3].path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a change that no stamp shows
    assert encode_pictures(toy(), pictures, store).fresh == 0
    assert encode_pictures(toy(), pictures, store, effort=Effort(rehash=True)).fresh == 1


def test_unreadable_pictures_are_named_and_left_out(toy, filed, features, tmp_path):
    pictures, store = filed(GREYS), tmp_path / "store"
    open(pictures.items[0].path, "wb").close()
    with open(pictures.items[40].path, "r+b") as file:
        file.truncate(30)
    os.unlink(pictures.items[199].path)
    made = encode_pictures(toy(), pictures, store)
    assert [name for name, _ in made.unreadable] == ["00000.png", "00040.png", "00199.png"]
    assert "not a readable picture" in made.unreadable[0][1]
    assert "no such file or folder" in made.unreadable[2][1]
    kept = [*range(1, 40), *range(41, 199)]
    assert made.rows.tolist() == kept
    np.testing.assert_array_equal(made.outputs["features"], features(kept))
    again = encode_pictures(toy(), pictures, store)
    assert (again.fresh, len(again.unreadable)) == (0, 3)
    with pytest.raises(DataError, match=r"00000\.png: not a readable picture.*--strict"):
        encode_pictures(toy(), pictures, tmp_path / "other", effort=Effort(strict=True))


def test_what_was_finished_is_kept_and_the_rest_is_resumed(toy, drawn, features, tmp_path):
    class Stopped(toy):
        def encode_images(self, batch):
            if len(self.batches) == 70:  # in the third shard
                raise KeyboardInterrupt
            return super().encode_images(batch)

    pictures = drawn([place % 251 for place in range(100)] + [0] * 2000)
    many = _distinct(3 * SHARD + 100)
    model = Stopped()
    with pytest.raises(KeyboardInterrupt):
        encode_pictures(model, many, tmp_path / "a")
    assert len(shards(tmp_path / "a")) == 2
    resumed = toy()
    encode_pictures(resumed, many, tmp_path / "a")
    assert len(resumed.batches) == SHARD // 32 + 4
    encode_pictures(toy(), many, tmp_path / "b")
    assert [p.name for p in shards(tmp_path / "a")] == [p.name for p in shards(tmp_path / "b")]
    assert [p.read_bytes() for p in shards(tmp_path / "a")] == [p.read_bytes() for p in shards(tmp_path / "b")]
    assert encode_pictures(toy(), pictures, tmp_path / "a").outputs["features"].shape == (2100, 2)


def test_a_flipped_byte_is_found_named_and_mended(toy, drawn, tmp_path):
    many = _distinct(SHARD + 10)
    first = encode_pictures(toy(), many, tmp_path).outputs["features"]
    whole = {path: path.read_bytes() for path in shards(tmp_path)}
    for path, content in whole.items():
        for place in (3, 40, len(content) // 2, len(content) - 1):
            spoilt = bytearray(content)
            spoilt[place] ^= 1
            path.write_bytes(spoilt)
            model = toy()
            made = encode_pictures(model, many, tmp_path)
            assert made.damaged == (path.name,)
            assert made.fresh in (SHARD, 10)
            np.testing.assert_array_equal(made.outputs["features"], first)
            assert path.read_bytes() == content


def test_kinds_are_given_in_one_pass_and_a_new_kind_alone_is_added(toy, drawn, features, tmp_path):
    head = Head.zero_shot(np.eye(2), ["a", "b"])
    model = toy()
    made = encode_pictures(model, drawn(GREYS), tmp_path, ("features", "pre_projection"))
    np.testing.assert_array_equal(made.outputs["pre_projection"], 2 * features(GREYS))
    assert sorted(model.seen) == GREYS
    more = encode_pictures(model, drawn(GREYS), tmp_path, ("features", "local"), head)
    np.testing.assert_array_equal(more.outputs["local"], features(GREYS)[:, 0])
    assert len(shards(tmp_path)) == 3
    other = Head.zero_shot(np.eye(2)[::-1].copy(), ["a", "b"])
    renamed = Head.zero_shot(np.eye(2), ["a", "c"])
    assert encode_pictures(toy(), drawn(GREYS), tmp_path, ("local",), head).fresh == 0
    assert encode_pictures(toy(), drawn(GREYS), tmp_path, ("local",), renamed).fresh == 0
    assert encode_pictures(toy(), drawn(GREYS), tmp_path, ("local",), other).fresh == 200


def test_features_that_are_no_numbers_are_refused(toy, drawn, tmp_path):
    class Hot(toy):
        def encode_images(self, batch):
            return super().encode_images(batch) / (batch.flatten(1) - 8)

    with pytest.raises(ModelError, match=r"toy: gave NaN or infinite features for the image in row 7$"):
        encode_pictures(Hot(), drawn(GREYS), tmp_path)
    assert shards(tmp_path) == []


def test_a_batch_that_crosses_shards_is_refused(toy, drawn, tmp_path):
    with pytest.raises(ModelError, match=r"--batch-size: expected a divisor of 1024.*got 48"):
        encode_pictures(toy(), drawn(GREYS), tmp_path, effort=Effort(batch=48))


def test_no_pictures_give_no_rows(toy, drawn, tmp_path):
    made = encode_pictures(toy(), drawn([]), tmp_path)
    assert len(made.outputs["features"]) == 0
    assert made.rows.tolist() == []


def _distinct(count):
    """Make pictures that all differ."""
    from ood_toolkit.api.dataset import Pictures
    from ood_toolkit.api.picture import pixels

    images = [Image.new("RGB", (1, 2), (place % 256, place // 256, 7)) for place in range(count)]
    return Pictures(pixels(images), tuple(map(str, range(count))))


def test_threads_of_the_caller_stay_as_they_were(toy, drawn, tmp_path):
    before = torch.get_num_threads()
    encode_pictures(toy(), drawn(GREYS), tmp_path)
    assert torch.get_num_threads() == before
