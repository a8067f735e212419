"""What a preset makes of a run's options, and how measured numbers are set beside published ones."""

from dataclasses import replace

import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.benchmark.presets import find_preset
from ood_toolkit.benchmark.presets.applied import Benchmark, same_model
from ood_toolkit.benchmark.presets.published import beside_published, published_text
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.report import Report
from ood_toolkit.report.evaluation import About, mean_rows, ood_rows
from ood_toolkit.report.published import comparison_text, matched_again
from ood_toolkit.report.results import Answers, Row

pytestmark = pytest.mark.quick

B16 = "ViT-B-16/openai"
MOS = ("inaturalist", "sun", "places", "textures")
SIZES = dict(zip(MOS, (10_000, 10_000, 10_000, 5_640), strict=True))
ASKED = Settings(models=(B16,), scorers="classwise,grid")


@pytest.fixture
def benchmark():
    return lambda name: Benchmark(find_preset(name), get_registry())


def row(ood, scorer="mcm", model=B16, n_ood=None, kind="ood", **metrics):
    found = {key: value / 100 for key, value in metrics.items()}
    return Row(kind, scorer, "imagenet-1k", ood, model=model, n_id=50_000, n_ood=n_ood or SIZES[ood], metrics=found)


def beside(rows, name="imagenet1k-mos"):
    made = Benchmark(find_preset(name), get_registry())
    return made.beside(Report(rows, {"model": B16})).header["published"]


def only(found, **wanted):
    return [item for item in found if all(item[key] == value for key, value in wanted.items())]


def test_a_preset_fills_what_was_not_given(benchmark):
    made = benchmark("imagenet1k-mos")
    found = made.filled(ASKED, set())
    assert (found.ids, found.groups) == (("imagenet-1k",), {"": MOS})
    assert (found.protocol, found.val_split, found.prompts) == ("mcm", 0.0, ())
    assert found.models == (f"{B16}:interpolation=bilinear:resize=224",)
    assert {"mcm", "maxlogit", "energy"} <= set(found.scorers.split(","))
    assert made.changed == []


def test_an_option_of_the_user_wins_and_is_said(benchmark):
    made = benchmark("openood-imagenet1k")
    asked = replace(ASKED, protocol="native", groups={"": ("ninco",)}, scorers="knn", limit=10)
    found = made.filled(asked, {"protocol", "groups", "scorers", "limit"})
    assert (found.protocol, found.groups, found.scorers) == ("native", {"": ("ninco",)}, "knn")
    assert (found.ids, found.prompts) == (("imagenet-1k-openood",), ("a photo of a {}.",))
    assert made.changed == ["ood", "protocol", "limit"]


def test_what_the_user_gives_as_it_was_is_no_change(benchmark):
    made = benchmark("imagenet1k-mos")
    made.filled(replace(ASKED, protocol="mcm"), {"protocol", "models"})
    assert made.changed == []


@pytest.mark.parametrize("option", ["prompts", "negatives", "texts"])
def test_other_texts_are_said_and_get_no_verdict(benchmark, option):
    made = benchmark("imagenet1k-mos")  # which has no prompts of its own
    given = {"prompts": ("a {}",), "negatives": "words.txt", "texts": {"negatives": "words.txt"}}
    made.filled(replace(ASKED, **{option: given[option]}), {option})
    assert made.changed == [option]
    rows = [row("inaturalist", auroc=94.03, fpr95_id=33.58)]
    report = made.beside(Report(rows, {"model": B16}))
    found = report.header["published"]
    assert found
    assert {item["verdict"] for item in found} == {"other texts"}
    again, _ = matched_again(found, [row("inaturalist", auroc=94.4)])
    assert len(again) == len(found)
    assert {item["verdict"] for item in again} == {"other texts"}
    assert {item["verdict"] for item in beside(rows)} > {"within tolerance"}


def test_other_prompts_than_the_preset_s_are_said_once(benchmark):
    made = benchmark("openood-imagenet1k")
    made.filled(replace(ASKED, prompts=("a {}",)), {"prompts"})
    assert made.changed == ["prompts"]
    made.filled(replace(ASKED, prompts=("a photo of a {}.",)), {"prompts"})
    assert made.changed == []


@pytest.mark.parametrize(
    ("model", "made"),
    [
        (B16, f"{B16}:interpolation=bicubic:resize=256"),
        (f"{B16}:resize=224", f"{B16}:resize=224:interpolation=bicubic"),
        ("digits-clip", "digits-clip"),
        ("torchvision:resnet50/IMAGENET1K_V1", "torchvision:resnet50/IMAGENET1K_V1"),
        ("a label of imported arrays", "a label of imported arrays"),
    ],
)
def test_preprocessing_goes_into_the_names_of_clip_models_alone(benchmark, model, made):
    assert benchmark("openood-imagenet1k").with_preprocessing(model) == made


def test_other_preprocessing_is_said(benchmark):
    made = benchmark("imagenet1k-mos")
    encoder = {"preprocessing": {"resize": 224, "interpolation": "bicubic"}}
    report = made.beside(Report([], {"encoder": encoder}))
    assert report.header["preset"]["changed"] == ["preprocessing"]
    same = benchmark("imagenet1k-mos")
    encoder["preprocessing"]["interpolation"] = "bilinear"
    assert same.beside(Report([], {"encoder": encoder})).header["preset"]["changed"] == []


@pytest.mark.parametrize(
    ("name", "published", "same"),
    [
        (B16, B16, True),
        (f"{B16}:interpolation=bilinear:precision=bf16", B16, True),
        ("ViT-B-16-quickgelu/openai", B16, True),
        ("ViT-B-16/laion2b_s34b_b88k", B16, False),
        ("ViT-L-14/openai", B16, False),
        (B16, "CLIPN ViT-B-16, run 1", False),
        ("CLIPN ViT-B-16, run 1", "CLIPN ViT-B-16, run 1", True),
        ("", B16, False),
    ],
)
def test_models_are_matched_by_their_weights(name, published, same):
    assert same_model(name, published) == same


def test_a_number_within_tolerance_and_one_outside():
    found = beside([row("inaturalist", auroc=94.03, fpr95_id=33.58, ap_in=98.8)])
    setar = only(found, method="MCM (run of SeTAR)")
    assert [item["metric"] for item in setar] == ["ap_in", "auroc", "fpr95_id"]
    ap, auroc, fpr = setar
    assert auroc["difference"] == pytest.approx(-0.40)
    assert auroc["verdict"] == "within tolerance"
    assert fpr["difference"] == pytest.approx(1.51)
    assert fpr["verdict"] == "outside tolerance"
    assert ap["verdict"] == "no tolerance known"
    assert {item["published_model"] for item in found} == {B16}
    assert {item["method"] for item in found} == {
        "MCM (run of SeTAR)", "MCM (run of CMA)", "MCM (run of LogitGap)", "MCM (authors)",
        "MCM (table of InterNeg)",
    }  # fmt: skip


def test_fpr_of_one_convention_is_never_set_beside_the_other():
    cut = "mcm:temperature=0.02"
    found = beside([row("sun", scorer=cut, auroc=90.6, fpr95_id=37.36)])
    (auroc,) = only(found, metric="auroc")
    assert auroc["difference"] == pytest.approx(-0.04)
    (fpr,) = only(found, metric="fpr95_ood")
    assert (fpr["measured"], fpr["difference"]) == (None, None)
    assert fpr["verdict"] == "not measured under this protocol"
    assert only(found, metric="fpr95_id") == []
    both = beside([row("sun", scorer=cut, auroc=90.6, fpr95_id=10.0, fpr95_ood=37.0)])
    assert only(both, metric="fpr95_ood")[0]["difference"] == pytest.approx(-0.36)


def test_fpr_whose_rule_is_not_stated_is_compared_with_nothing():
    measured = row("sun", auroc=92.25, fpr95_id=38.8, fpr95_ood=38.8)
    found = only(beside([measured]), method="MCM (table of InterNeg)")
    (auroc,), (fpr) = only(found, metric="auroc"), only(found, metric="fpr95")
    assert (auroc["difference"], auroc["verdict"]) == (pytest.approx(0), "within tolerance")
    assert [(item["published"], item["measured"], item["difference"], item["verdict"]) for item in fpr] == [
        (38.8, None, None, "rule not stated")
    ]
    again, lost = matched_again(found, [measured])
    assert (again, lost) == (found, [])
    text = comparison_text(found, None, False)
    assert "FPR95(rule not stated)" in text
    assert "rule not stated" in text


def test_another_model_is_shown_without_a_verdict():
    found = beside([row("sun", model="ViT-H-14/laion2b_s32b_b79k", auroc=99, fpr95_id=1, ap_in=99)])
    assert {item["verdict"] for item in found} == {"other model"}
    assert {item["difference"] for item in found} == {None}
    assert {item["published_model"] for item in found} >= {B16, "ViT-L-14/openai"}


def test_other_images_get_no_verdict():
    found = beside([row("sun", n_ood=100, auroc=92.4, fpr95_id=38.6, ap_in=98.2)])
    assert {item["verdict"] for item in found if item["metric"] != "fpr95"} == {"other images"}


def test_a_mean_over_other_sets_is_not_compared():
    some = [row(ood, auroc=90, fpr95_id=40, ap_in=98) for ood in MOS[:2]]
    means = [row("all", kind="mean", n_ood=20_000, auroc=90, fpr95_id=40, ap_in=98)]
    assert only(beside(some + means), kind="mean") == []
    whole = [row(ood, auroc=90, fpr95_id=40, ap_in=98) for ood in MOS]
    means = [replace(means[0], n_ood=35_640)]
    assert only(beside(whole + means), kind="mean", method="MCM (run of SeTAR)", metric="auroc")


def test_rows_that_failed_and_scorers_without_rows_are_left_out():
    assert beside([replace(row("sun", auroc=92), status="failed", metrics={})]) == []
    assert beside([row("sun", scorer="knn", auroc=92)]) == []
    assert beside([replace(row("sun", auroc=92), id="cifar10")]) == []


def test_real_scores_come_within_the_printed_digits(data):
    file = data / "scores" / "setar_imagenet1k" / "clip_base_Vanilla_MCM.npz"
    if not file.is_file():
        pytest.skip("no scores/setar_imagenet1k in the folder of real data")
    names = dict(zip(MOS, ("ood_inaturalist", "ood_sun", "ood_places", "ood_texture"), strict=True))
    with np.load(file, allow_pickle=False) as arrays:
        said = {
            name: Answers(np.arange(len(arrays[key])).astype(str), {"mcm": -arrays[key]})
            for name, key in {"imagenet-1k": "id_imagenet1k", **names}.items()
        }
    made = ood_rows(About("mcm", "imagenet-1k"), said.pop("imagenet-1k"), said, "mcm")
    rows = [replace(item, model=B16) for item in [*made, *mean_rows(made, {})]]
    setar = only(beside(rows), method="MCM (run of SeTAR)")
    assert len(setar) == 15
    assert max(abs(item["difference"]) for item in setar) < 0.02
    assert {item["verdict"] for item in setar if item["metric"] != "ap_in"} == {"within tolerance"}


def test_the_comparison_is_printed_with_its_sources():
    rows = [row("sun", auroc=92.37, fpr95_id=38.0, ap_in=98.23)]
    text = comparison_text(beside(rows), 140, False)
    line = next(line for line in text.splitlines() if "SeTAR" in line and "AP-in" in line)
    assert " ".join(line.split()) == "mcm MCM (run of SeTAR) [1] sun AP-in 98.23 98.23 +0.00 no tolerance known"
    assert "-0.65" in text
    assert "[1] SeTAR, github.com/X1AOX1A/SeTAR" in text
    assert "(protocol mcm)" in text
    assert comparison_text([], 100, False).startswith("No row of this run")


def test_the_listing_shows_conventions_apart():
    text = published_text(find_preset("imagenet1k-mos"), 140, False)
    titles = [line.removesuffix(" (%)") for line in text.splitlines() if line.endswith(" (%)")]
    assert titles == ["AUROC", "FPR95(ID)", "FPR95(OOD)", "AP-in", "FPR95(rule not stated)"]
    start = text.index("FPR95(OOD) (%)")
    ood = text[start : text.index("AP-in (%)")]
    assert "AdaNeg [" in ood
    assert "MCM (run of SeTAR)" not in ood
    assert "secondary]" in text


def test_the_comparison_needs_the_names_of_scorers_alone():
    found = beside_published(
        [row("sun", auroc=92.37)], find_preset("imagenet1k-mos"), same_model, lambda scorer: scorer
    )
    assert {item["scorer"] for item in found} == {"mcm"}
