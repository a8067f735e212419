import gc
import io
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from ood_toolkit import Detector, Gate, Outputs
from ood_toolkit.errors import DetectorError


def close(found, wanted):
    assert found.prediction.tolist() == wanted.prediction.tolist()
    np.testing.assert_allclose(found.score, wanted.score, rtol=1e-4, equal_nan=True)
    assert found.accepted.tolist() == wanted.accepted.tolist()


@pytest.fixture
def gate(digits_model, detector):
    return Gate(digits_model, detector, batch=8, workers=2)


def png(image):
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


FORMS = ["pil", "bytes", "paths", "strings", "arrays", "batch of arrays", "tensors", "batch", "loader", "labelled",
         "iterator", "mixed", "object array"]  # fmt: skip


def in_form(form, images, model, folder):
    tensors = [model.preprocess(one) for one in images]
    paths = []
    for row, one in enumerate(images):
        one.save(folder / f"{row}.png")
        paths.append(folder / f"{row}.png")
    batch = torch.stack(tensors)
    return {
        "pil": images,
        "bytes": [png(one) for one in images],
        "paths": paths,
        "strings": [str(path) for path in paths],
        "arrays": [np.asarray(one) for one in images],
        "batch of arrays": np.stack([np.asarray(one.convert("RGB")) for one in images]),
        "tensors": tensors,
        "batch": batch,
        "loader": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(batch, torch.arange(20)), batch_size=7),
        "labelled": [(one, 3) for one in images],
        "iterator": iter(images),
        "mixed": [images[0], str(paths[1]), png(images[2]), tensors[3], *images[4:]],
        "object array": np.array([str(path) for path in paths], dtype=object),
    }[form]


@pytest.mark.parametrize("form", FORMS)
def test_pictures_in_any_form_get_the_same_decisions(form, gate, digits, digits_model, tmp_path):
    x, images = digits
    given = in_form(form, images[:20], digits_model, tmp_path)
    found = gate.decide(given)
    close(found, gate.detector.decide(x[:20]))
    if form in ("paths", "strings", "object array"):
        assert found.id.tolist() == [str(tmp_path / f"{row}.png") for row in range(20)]
    else:
        assert found.id[[0, 19]].tolist() == ["0", "19"]


def test_one_picture_or_none(gate, digits, tmp_path):
    x, images = digits
    for one in (images[0], png(images[0]), np.asarray(images[0]), (images[0], 4)):
        close(gate(one), gate.detector.decide(x[:1]))
    for nothing in ([], iter(()), np.empty((0, 8, 8, 3), np.uint8), torch.empty(0, 1, 16, 16)):
        assert len(gate(nothing)) == 0
        assert gate(nothing).to_pandas().shape == (0, 9)


def test_what_cannot_be_read_is_rejected_with_the_reason(gate, digits, mixed):
    x, images = digits
    noise = np.full((1, 16, 16), np.nan, np.float32)
    given = [images[0], mixed / "broken.png", b"rubbish", mixed / "gone.png", images[1], np.zeros((3, 3)), b"",
             torch.from_numpy(noise), torch.zeros(3, 4, 4), torch.zeros(4)]  # fmt: skip
    found = gate(given)
    bad = [1, 2, 3, 5, 6, 7, 8, 9]
    assert not found.accepted[bad].any()
    assert np.isnan(found.score[bad]).all()
    for row, part in {1: "not a readable picture", 2: "not a readable picture", 3: "cannot be read: no such file",
                      5: r"expected uint8 (h, w) or (h, w, 3), got float64", 6: "the file is empty", 7: "NaN",
                      8: "the model cannot take it", 9: "expected a tensor (c, h, w)"}.items():  # fmt: skip
        assert part in found.why[row], found.why[row]
    close_to = gate.detector.decide(x[:2])
    np.testing.assert_allclose(found.score[[0, 4]], close_to.score, rtol=1e-4)
    assert len(gate([b"", b"x"])) == 2
    # A first input of another shape does not take the others with it.
    found = gate([torch.zeros(3, 4, 4), images[0], torch.zeros(3, 4, 4), images[1]])
    np.testing.assert_allclose(found.score[[1, 3]], close_to.score, rtol=1e-4)
    assert np.isnan(found.score[[0, 2]]).all()


def test_a_stream_is_decided_in_batches_and_only_as_far_as_asked(gate, digits):
    _, images = digits
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield images[len(taken) % 50]

    stream = gate.stream(endless())
    parts = [next(stream) for _ in range(3)]
    stream.close()
    assert [len(part) for part in parts] == [8, 8, 8]
    assert [part.first for part in parts] == [0, 8, 16]
    assert len(taken) < 8 * 7


def test_eight_threads_share_one_gate(gate, digits, one_thread):
    x, images = digits
    wanted, wrong = gate.detector.decide(x[:80]), []

    def run(place):
        for row in range(place, 80, 8):
            found = gate(images[row])
            if abs(found.score[0] - wanted.score[row]) > 1e-4 or found.prediction[0] != wanted.prediction[row]:
                wrong.append(row)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_brings_its_model(detector, digits, tmp_path):
    detector.save(tmp_path / "d")
    gate = Gate.load(tmp_path / "d")
    close(gate(digits[1][:5]), detector.decide(digits[0][:5]))
    assert repr(gate).startswith("Gate(digits-clip, Detector(msp, conformal, threshold ")


def test_another_model_is_refused_with_both_hashes(digits_model, digits, tmp_path):
    from ood_toolkit.detectors.identity import identity_of

    known = identity_of(digits_model)
    for part, value in (("weights", "0" * 64), ("architecture", "other"), ("precision", "bf16")):
        made = Detector.fit("msp", digits[0], encoder=known | {part: value})
        with pytest.raises(DetectorError, match=str(value)) as caught:
            Gate(digits_model, made)
        assert str(known[part])[:60] in str(caught.value)
        assert "\n" not in str(caught.value)
        made.save(tmp_path / "d")
        with pytest.raises(DetectorError):
            Gate.load(tmp_path / "d")
    made = Detector.fit("msp", digits[0], encoder=known | {"preprocessing": {"size": 9}})
    with pytest.raises(DetectorError, match="fitted with preprocessing"):
        Gate(digits_model, made)


def test_a_file_without_a_model_says_what_to_do(digits, tmp_path):
    Detector.fit("msp", digits[0]).save(tmp_path / "d")
    with pytest.raises(DetectorError, match=r"names no model; load it and make Gate\(model"):
        Gate.load(tmp_path / "d")
    Detector.fit("msp", digits[0], encoder={"model": "imported"}).save(tmp_path / "d")
    with pytest.raises(DetectorError, match="fitted on arrays of 'imported'"):
        Gate.load(tmp_path / "d")
    with pytest.raises(DetectorError, match="expected a Model or a torch module, got int"):
        Gate(3, Detector.fit("msp", digits[0]))


# -- torch modules ------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """A classifier that answers as one is asked to."""

    def __init__(self, answer="tensor"):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.answer = nn.Linear(12, 7), nn.Linear(7, 4), answer
        self.drop = nn.Dropout()

    def forward(self, x):
        z = self.head(self.drop(self.body(x.flatten(1)).relu()))
        return {"tensor": z, "dict": {"logits": z, "loss": None}, "object": SimpleNamespace(logits=z)}[self.answer]


INPUTS = torch.randn(60, 3, 2, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("answer", ["tensor", "dict", "object"])
@pytest.mark.parametrize("scorer", ["msp", "knn:k=3", "vim:dim=2", "react"])
def test_torch_modules_that_return_anything_with_logits(answer, scorer):
    net = Net(answer)
    val = Outputs.from_model(net, torch.utils.data.DataLoader(INPUTS, batch_size=20))
    train = Outputs.from_model(net, [(INPUTS + 0.1, torch.arange(60) % 4)])
    made = Detector.fit(scorer, val, train)
    gate = Gate(net, made)
    assert not net.training
    close(gate(INPUTS[:9]), made.decide(val[:9]))
    close(gate(list(INPUTS[:9])), made.decide(val[:9]))


def test_a_torch_module_gets_pictures_through_preprocess():
    net = Net()
    made = Detector.fit("msp", Outputs.from_model(net, [INPUTS]))
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    with pytest.raises(DetectorError, match="pass preprocess="):
        Gate(net, made)(image)
    gate = Gate(net, made, preprocess=as_tensor)
    assert gate(image).score == pytest.approx(gate(as_tensor(image)).score)


def as_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_a_picture_of_any_mode_is_decided_as_its_file_is(mode, tmp_path):
    net = Net()
    gate = Gate(net, made_of_logits(net), preprocess=as_tensor)
    grey = np.array([[0, 255], [80, 160]], dtype=np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    assert image.mode == mode
    name = "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"
    image.save(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        one, two, file = gate([image, opened, tmp_path / name])
    assert one.score == pytest.approx(two.score)
    assert one.score == pytest.approx(file.score)
    assert one.score == pytest.approx(gate(as_tensor(image.convert("RGB") if mode != "I;16" else
                                                     Image.fromarray(grey).convert("RGB"))).score[0])  # fmt: skip


def test_an_opened_photograph_is_turned_as_its_file_is(gate, digits, tmp_path):
    turned = digits[1][3].convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # turn it back
    turned.save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "a.jpg") as opened:
        one, file = gate([opened, tmp_path / "a.jpg"])
    assert one.score == file.score
    assert one.prediction == file.prediction == gate(digits[1][3]).prediction[0]


def test_pictures_without_pixels_or_of_no_known_range_are_rejected(gate, digits):
    found = gate([Image.new("RGB", (0, 5)), Image.new("F", (4, 4)), digits[1][0]])
    assert found.why.tolist()[:2] == [
        "not a readable picture: it has no pixels, 0 x 5",
        "not a readable picture: floating-point pixels have no known range",
    ]
    assert not np.isnan(found.score[2])


def test_what_preprocessing_cannot_take_is_rejected_and_the_others_decided():
    net = Net()

    def preprocess(image):
        if image.width > 2:
            raise IndexError("too wide")
        return as_tensor(image)

    gate = Gate(net, made_of_logits(net), preprocess=preprocess)
    found = gate([Image.new("RGB", (2, 2)), Image.new("RGB", (3, 2)), Image.new("RGB", (2, 2), "red")])
    assert found.reasons == {1: "not scored: its preprocessing cannot take it: IndexError: too wide"}
    assert np.isnan(found.score).tolist() == [False, True, False]
    with pytest.raises(DetectorError, match=r"preprocess: expected a tensor \(c, h, w\), got ndarray"):
        Gate(net, made_of_logits(net), preprocess=np.asarray)(Image.new("RGB", (2, 2)))


def test_loaders_of_more_than_labels_and_of_dicts_are_taken():
    net = Net()
    gate = Gate(net, made_of_logits(net))
    wanted = gate(INPUTS[:6]).score
    sets = torch.utils.data.TensorDataset(INPUTS[:6], torch.arange(6), torch.arange(6))
    np.testing.assert_allclose(gate(torch.utils.data.DataLoader(sets, batch_size=4)).score, wanted, rtol=1e-5)
    np.testing.assert_allclose(gate((x, 1, "id") for x in INPUTS[:6]).score, wanted, rtol=1e-5)
    for batch in ({"pixel_values": INPUTS[:6], "label": 1}, [{"image": x, "label": 1} for x in INPUTS[:6]]):
        np.testing.assert_allclose(gate(batch).score, wanted, rtol=1e-5)
    with pytest.raises(DetectorError, match=r"got img, label; give its pictures alone, such as gate\(batch"):
        gate({"img": INPUTS[0], "label": 1})


def test_threads_of_others_compute_as_before(gate, digits):
    def threads_of_another():
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found[0]

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        gate(digits[1][:5])
        assert threads_of_another() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_gate_that_is_gone_leaves_nothing_on_the_module():
    net = Net()
    made = Detector.fit("knn:k=3", Outputs.from_model(net, [INPUTS]), Outputs.from_model(net, [INPUTS + 1]))
    for _ in range(3):
        Gate(net, made)(INPUTS[:2])
    gc.collect()
    assert not net.head._forward_hooks


def made_of_logits(net):
    return Detector.fit("msp", Outputs.from_model(net, [INPUTS]))


def test_another_module_is_refused():
    net, other = Net(), Net()
    with torch.no_grad():
        other.head.weight.add_(1)
    made = Detector.fit("knn:k=3", Outputs.from_model(net, [INPUTS]), Outputs.from_model(net, [INPUTS + 1]))
    with pytest.raises(DetectorError, match=r"fitted with another head than layer 'head' of this module"):
        Gate(other, made)
    with pytest.raises(DetectorError, match=r"expected .*logits of 4 classes, got width 9"):
        Gate(nn.Sequential(nn.Flatten(), nn.Linear(12, 9)), Detector.fit("msp", Outputs.from_model(net, [INPUTS])))(
            INPUTS
        )


def test_threads_share_a_module_and_from_model_too(one_thread):
    net = Net().eval()
    made = Detector.fit("knn:k=3", Outputs.from_model(net, [INPUTS]), Outputs.from_model(net, [INPUTS + 0.5]))
    gate, wanted, wrong = Gate(net, made), made.decide(Outputs.from_model(net, [INPUTS])).score, []

    def run(place):
        for row in range(place, 56, 8):
            for _ in range(5):
                if abs(gate(INPUTS[row]).score[0] - wanted[row]) > 1e-4:
                    wrong.append(row)
                if abs(made.decide(Outputs.from_model(net, [INPUTS[row : row + 1]])).score[0] - wanted[row]) > 1e-4:
                    wrong.append(row)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_hashed_or_copied_per_picture(gate, digits, monkeypatch):
    gate(digits[1][0])
    counts = []
    monkeypatch.setattr("hashlib.sha256", lambda *a: counts.append("hash") or pytest.fail("hashed"))
    monkeypatch.setattr("ood_toolkit.outputs.head.replace", lambda *a, **k: pytest.fail("copied"))
    for one in digits[1][:4]:
        gate(one)
    assert counts == []


def test_columns_are_as_in_a_table(gate, digits):
    assert isinstance(gate(digits[1][:3]).to_pandas(), pd.DataFrame)
