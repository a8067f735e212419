import math

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.errors import OutputsError, TrainingError
from ood_toolkit.learning.cma import gap as module
from ood_toolkit.learning.cma.gap import check_plots, gap_of, plot_gaps
from ood_toolkit.learning.loop import seeded


def unit(rows):
    return [row / math.sqrt(float(row @ row)) for row in rows]


def slow_uniformity(rows):
    values = [math.exp(-2 * float((x - y) @ (x - y))) for i, x in enumerate(rows) for y in rows[i + 1 :]]
    return math.log(sum(values) / len(values))


def by_loops(images, texts, of):
    """All four figures, a pair at a time in float64."""
    u, w = unit(images), unit(texts)
    centre_u = sum(u) / len(u)
    centre_w = sum(w[place] for place in of) / len(of)
    return {
        "gap": math.sqrt(float((centre_u - centre_w) @ (centre_u - centre_w))),
        "alignment": sum(float(row @ w[place]) for row, place in zip(u, of, strict=True)) / len(u),
        "image_uniformity": slow_uniformity(u),
        "text_uniformity": slow_uniformity([w[place] for place in sorted(set(of))]),
    }


def test_all_figures_are_those_of_loops_over_pairs():
    images = torch.randn(23, 6, generator=seeded("images")) + 0.5
    texts = 3 * torch.randn(5, 6, generator=seeded("texts"))
    of = [0, 1, 3, 4, 1] * 4 + [0, 0, 3]  # text 2 is nobody's
    expected = by_loops(images.double().numpy(), texts.double().numpy(), of)
    assert gap_of(images, texts, of).about() == pytest.approx(expected, abs=1e-9)


def test_known_places():
    """Images along one axis, texts along the other: gap sqrt(2), cosine 0; all the same place: gap 0, cosine 1."""
    east, north = torch.tensor([[2.0, 0.0]]).repeat(4, 1), torch.tensor([[0.0, 5.0], [0.0, 1.0]])
    apart = gap_of(east, north, [0, 1, 0, 1])
    assert apart.gap == pytest.approx(math.sqrt(2))
    assert apart.alignment == pytest.approx(0)
    assert apart.image_uniformity == pytest.approx(0)
    together = gap_of(east, east[:2], [0, 1, 0, 1])
    assert (together.gap, together.alignment) == pytest.approx((0, 1))
    opposite = gap_of(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), east[:1], [0, 0])
    assert opposite.image_uniformity == pytest.approx(-8)
    assert math.isnan(opposite.text_uniformity)


def test_uniformity_of_many_rows_is_of_evenly_drawn_ones(monkeypatch):
    images, texts = torch.randn(90, 4, generator=seeded("many")), torch.randn(2, 4, generator=seeded("few"))
    places = [row % 2 for row in range(90)]
    whole = gap_of(images, texts, places)
    monkeypatch.setattr(module, "LARGEST", 30)
    part = gap_of(images, texts, places)
    drawn = unit(images.double().numpy()[[int(place) for place in np.linspace(0, 89, 30)]])
    assert part.image_uniformity == pytest.approx(slow_uniformity(drawn), abs=1e-9)
    assert part.image_uniformity != pytest.approx(whole.image_uniformity, abs=1e-6)
    assert (part.gap, part.alignment) == (whole.gap, whole.alignment)


@pytest.mark.parametrize(
    ("images", "texts", "of"), [((3, 4), (2, 5), [0, 1, 0]), ((3, 4), (2, 4), [0, 1]), ((0, 4), (2, 4), [])]
)
def test_what_does_not_fit_is_refused(images, texts, of):
    with pytest.raises(OutputsError, match="gap: expected"):
        gap_of(torch.ones(images), torch.ones(texts), of)


def course(gap):
    return [{"epoch": epoch, "gap": 0.8 - gap * epoch, "alignment": 0.2 + gap * epoch} for epoch in range(4)]


def pixels_of(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_a_picture_is_drawn_of_one_run_and_of_several(tmp_path):
    plot_gaps({0.0: course(0.01)}, tmp_path / "one.png")
    plot_gaps({0.0: course(0.01), 0.1: course(0.2)}, tmp_path / "two.png")
    one, two = (pixels_of(tmp_path / name) for name in ("one.png", "two.png"))
    assert one.shape[1] == two.shape[1]
    assert one.shape[0] < two.shape[0]  # a second row: by lambda
    colours = {tuple(colour) for colour in two.reshape(-1, 3).tolist()}
    assert {(31, 119, 180), (255, 127, 14)} <= colours  # a line of each run
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_what_draws_is_asked_for_before_training(monkeypatch):
    check_plots()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"--plot: needs matplotlib.*ood-toolkit\[plots\]"):
        check_plots()
