"""Real per-image scores of SeTAR on ImageNet-1k give the values its authors printed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit import metrics

DATA = Path(os.environ.get("OODKIT_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDER = DATA / "scores" / "setar_imagenet1k"
PRINTED_NAME = {
    "ood_inaturalist": "OOD_iNaturalist",
    "ood_sun": "OOD_Sun",
    "ood_places": "OOD_Places",
    "ood_texture": "OOD_Texture",
}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason="no scores/setar_imagenet1k in OODKIT_TEST_DATA (or shared/data beside the checkout)",
)


@pytest.fixture(scope="module")
def published():
    return json.loads((FOLDER / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", ["clip_base_Vanilla_MCM", "clip_base_Vanilla_GL_MCM", "swin_base_Vanilla_energy"])
@pytest.mark.parametrize("ood", PRINTED_NAME)
def test_printed_values_are_reproduced(published, model, ood):
    with np.load(FOLDER / f"{model}.npz", allow_pickle=False) as file:
        id_scores, ood_scores = -file["id_imagenet1k"], -file[ood]  # as found, lower = more in-distribution
    printed = published[model]["published_by_authors"][PRINTED_NAME[ood]]
    mcm = metrics.evaluate(id_scores, ood_scores, "mcm")
    native = metrics.evaluate(id_scores, ood_scores)
    assert round(100 * mcm["auroc"], 2) == printed["auroc"]
    assert round(100 * mcm["ap_in"], 2) == printed["aupr_in"]
    for protocol in ("native", "mcm", "clipn", "vim"):
        fpr = 100 * metrics.evaluate(id_scores, ood_scores, protocol)["fpr95_id"]
        assert fpr == pytest.approx(printed["fpr95"], abs=0.05), protocol
    assert native["auroc"] == mcm["auroc"]
    assert native["ap_in"] == mcm["ap_in"]
