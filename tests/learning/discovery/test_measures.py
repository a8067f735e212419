import math
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.learning.discovery.measures import agreement, majorities, new_accuracy
from ood_toolkit.learning.discovery.sheet import CELL, SHOWN, picture_sheet

pytestmark = pytest.mark.quick

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1])
TRUTH = np.array(list("aaabbbbcaac"), dtype=object)
NEW = np.isin(TRUTH, ["a", "b"])


def test_a_cluster_belongs_to_its_most_frequent_class_and_a_tie_goes_by_name():
    assert majorities(LABELS, TRUTH) == {0: "a", 1: "b", 2: "a"}


def slow_agreement():
    """Mutual information and pair counts by loops over the images that a cluster has."""
    pairs = [(one, true) for one, true in zip(LABELS.tolist(), TRUTH, strict=True) if one >= 0]
    n = len(pairs)
    both, rows, columns = Counter(pairs), Counter(p[0] for p in pairs), Counter(p[1] for p in pairs)
    mutual = sum(c / n * math.log(n * c / (rows[a] * columns[b])) for (a, b), c in both.items())
    entropies = [-sum(c / n * math.log(c / n) for c in counts.values()) for counts in (rows, columns)]
    index = sum(math.comb(c, 2) for c in both.values())
    of_rows, of_columns = (sum(math.comb(c, 2) for c in counts.values()) for counts in (rows, columns))
    expected = of_rows * of_columns / math.comb(n, 2)
    return mutual / (sum(entropies) / 2), (index - expected) / ((of_rows + of_columns) / 2 - expected)


def test_agreement_is_counted_on_the_images_that_a_cluster_has():
    found = agreement(LABELS, TRUTH, NEW)
    nmi, ari = slow_agreement()
    assert found["purity"] == pytest.approx(7 / 9)
    assert found["nmi"] == pytest.approx(nmi, abs=1e-9)
    assert found["ari"] == pytest.approx(ari, abs=1e-9)
    assert found["clustered"] == pytest.approx(9 / 11)
    assert (found["images"], found["classes_found"], found["strangers"]) == (9, 2, 1)


def test_without_clusters_there_is_nothing_to_compare():
    assert agreement(np.full(11, -1), TRUTH, NEW) == {"images": 0, "clustered": 0.0, "classes_found": 0, "strangers": 0}


def test_an_image_is_right_where_its_cluster_is_mostly_of_its_class():
    owners = {"cluster 01": "a", "cluster 02": "b", "cluster 03": "a"}
    said = ["cluster 03", "cluster 02", "cluster 01", "seven"]
    assert new_accuracy(said, np.array(["a", "b", "b", "a"], dtype=object), owners) == 0.5


def test_a_sheet_has_a_row_for_each_cluster_with_pictures_of_any_shape():
    colours = [Image.new("RGB", (8, 8), "red"), Image.new("L", (300, 100), 0), Image.new("RGB", (5, 70), "blue")]
    sheet = picture_sheet([("cluster 01: 3 images", colours), ("cluster 02: 40 images", colours[:1] * 40)])
    step = CELL + 4
    assert sheet.size == (150 + SHOWN * step + 4, 2 * step + 4)
    middle = (150 + CELL // 2, 4 + CELL // 2)
    assert sheet.getpixel(middle) == (255, 0, 0)
    assert sheet.getpixel((middle[0] + step, middle[1])) == (0, 0, 0)
    assert sheet.getpixel((middle[0] + step, 6)) == (255, 255, 255)
    assert sheet.getpixel((middle[0] + 2 * step, middle[1])) == (0, 0, 255)
    assert sheet.getpixel((middle[0] + (SHOWN - 1) * step, middle[1] + step)) == (255, 0, 0)
