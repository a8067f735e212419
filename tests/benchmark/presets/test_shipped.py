"""The presets that come with the package: sources, names, counts, protocols, and numbers checked by hand."""

import re
from importlib.resources import files

import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.spec import parse_spec
from ood_toolkit.benchmark.presets import find_preset, preset_names
from ood_toolkit.benchmark.presets.preset import UNKNOWN
from ood_toolkit.data.catalogue.imagenet import known_1000, numbered, subset
from ood_toolkit.errors import SpecError
from ood_toolkit.metrics import PROTOCOLS

PRESETS = [find_preset(name) for name in preset_names()]
ROWS = [(preset, row) for preset in PRESETS for row in preset.published]
OPENIMAGE_O_TESTED = 15_869
"""OpenOOD's list; the catalogue counts ViM's 17,632."""


def by_name(item):
    return item.name if hasattr(item, "name") else ""


def row_of(preset, method, model="ViT-B-16/openai"):
    (row,) = [row for row in find_preset(preset).published if (row.method, row.model) == (method, model)]
    return row


def test_the_wanted_presets_are_there():
    assert set(preset_names()) == {
        "imagenet1k-mos", "openood-imagenet1k", "openood-imagenet1k-fs", "openood-cifar10", "openood-cifar100",
        "imagenet-o", "semantic-shift", "mcm-hard", "mcm-hard-swapped", "fine-grained-cub", "fine-grained-cars",
        "fine-grained-food", "fine-grained-pet",
    }  # fmt: skip
    shipped = {file.name for file in files("ood_toolkit.benchmark.presets").iterdir() if file.name.endswith(".toml")}
    assert shipped == {f"{name}.toml" for name in preset_names()}


@pytest.mark.parametrize("preset", PRESETS, ids=by_name)
def test_sets_are_known_and_counts_agree_with_the_catalogue(preset):
    registry = get_registry()
    for part in (preset.id, *preset.csid, *preset.ood):
        dataset = registry.get("datasets", part.name)
        count = OPENIMAGE_O_TESTED if part.name == "openimage-o" else dataset.counts[part.split]
        assert part.images == count, part.name
    assert registry.get("datasets", preset.id.name).class_count
    assert (preset.class_names == "imagenet-openai") == (
        registry.get("datasets", preset.id.name).label_space == "imagenet-1k"
    )


def test_the_full_spectrum_is_openood_with_shifted_sets():
    plain, whole = find_preset("openood-imagenet1k"), find_preset("openood-imagenet1k-fs")
    assert [part.name for part in whole.csid] == ["imagenet-v2", "imagenet-r"]
    assert (whole.ood, whole.id, whole.protocol, whole.prompts) == (plain.ood, plain.id, plain.protocol, plain.prompts)
    assert whole.preprocessing() == plain.preprocessing()
    assert whole.settings() == plain.settings() | {"csid": ("imagenet-v2", "imagenet-r")}
    known = known_1000().names
    assert numbered().names == known
    renditions = subset("imagenet_r")().names
    assert len(renditions) == 200
    assert set(renditions) <= set(known)  # so that each image of it has a class of the ID set
    assert whole.published == ()


@pytest.mark.parametrize("preset", PRESETS, ids=by_name)
def test_protocol_averaging_and_groups_agree(preset):
    protocol = PROTOCOLS[preset.protocol]
    assert preset.averaging == protocol.averaging
    groups = {part.group for part in preset.ood}
    assert groups == ({"near", "far"} if protocol.averaging == "near and far separately" else {""})
    if preset.protocol != "openood-v1.5":  # MCM's family resizes bilinearly to 224
        assert (preset.resize, preset.interpolation) == (224, "bilinear")
        assert all(not template.endswith(".") for template in preset.prompts)
    else:
        assert preset.prompts == ("a photo of a {}.",)


@pytest.mark.parametrize(("preset", "row"), ROWS, ids=lambda item: getattr(item, "method", None) or item.name)
def test_every_row_says_where_it_is_from_and_under_which_rule(preset, row):
    assert len(row.source) > 10
    assert re.search(r"arXiv|github\.com|as noted by others", row.source)
    assert row.secondary == row.source.endswith(("as noted by others", ", of others"))
    assert list(row.numbers())
    metrics = {metric for *_, metric, _ in row.numbers()}
    assert row.protocol == UNKNOWN or metrics <= set(PROTOCOLS[row.protocol].measures)
    assert len(metrics & {"fpr95_id", "fpr95_ood", "fpr95"}) <= 1
    assert "fpr95" not in metrics or "fpr95" not in row.tolerance
    if "fpr95" in metrics:
        assert re.search(r"rule (for|its) FPR95.*not|not state its rule for FPR95", row.note)
    text = " ".join([row.source, row.note, row.means_differ])
    assert not re.search(r"\[memory\]|\[note\]|/work|shared/", text)


@pytest.mark.parametrize(("preset", "row"), ROWS, ids=lambda item: getattr(item, "method", None) or item.name)
def test_printed_means_are_the_means_of_their_parts_or_the_file_says_why(preset, row):
    off = []
    for group, found in row.means.items():
        names = [part.name for part in preset.ood if group in ("all", part.group)]
        for metric, printed in found.items():
            parts = [row.values[name][metric] for name in names if metric in row.values.get(name, {})]
            if len(parts) == len(names) and abs(sum(parts) / len(parts) - printed) > 0.0101:
                off.append(metric)
    assert bool(off) == bool(row.means_differ), off


@pytest.mark.parametrize(("preset", "row"), ROWS, ids=lambda item: getattr(item, "method", None) or item.name)
def test_scorers_parse_and_those_that_exist_take_these_parameters(preset, row):
    if not row.scorer:
        return
    registry = get_registry()
    if parse_spec(row.scorer).name in registry.names("scorers"):
        registry.scorer(row.scorer)
    else:
        with pytest.raises(SpecError):
            registry.scorer(row.scorer)


@pytest.mark.parametrize("preset", PRESETS, ids=by_name)
def test_lists_of_scorers_exist(preset):
    assert not preset.scorers or get_registry().scorers(preset.scorers)


@pytest.mark.parametrize(
    ("preset", "method", "model", "place", "metric", "value"),
    [
        ("imagenet1k-mos", "MCM (run of SeTAR)", "ViT-B-16/openai", "inaturalist", "fpr95_id", 32.07),
        ("imagenet1k-mos", "MCM (run of SeTAR)", "ViT-B-16/openai", "textures", "auroc", 86.13),
        ("imagenet1k-mos", "MCM (run of SeTAR)", "ViT-B-16/openai", "places", "ap_in", 97.55),
        ("imagenet1k-mos", "MCM (run of SeTAR)", "ViT-L-14/openai", "sun", "fpr95_id", 29.18),
        ("imagenet1k-mos", "GL-MCM (run of SeTAR)", "ViT-B-16/openai", "places", "fpr95_id", 37.76),
        ("imagenet1k-mos", "MCM (run of CMA)", "ViT-B-16/openai", "sun", "auroc", 92.28),
        ("imagenet1k-mos", "CLIPN-ATD (paper)", "CLIPN ViT-B-16", "places", "fpr95_id", 33.45),
        ("imagenet1k-mos", "CLIPN-ATD, run 2", "CLIPN ViT-B-16, run 2", "textures", "auroc", 92.46),
        ("imagenet1k-mos", "CLIPN-ATD, run 2", "CLIPN ViT-B-16, run 2", "places", "auroc", 93.39),
        ("imagenet1k-mos", "CMA, NegLabel", "CMA ViT-B-16", "places", "fpr95_id", 27.65),
        ("imagenet1k-mos", "NegLabel (run of OpenOOD-VLM)", "ViT-B-16/openai", "inaturalist", "fpr95_ood", 1.24),
        ("imagenet1k-mos", "linear probe, Energy", "linear probe ViT-B-16", "textures", "auroc", 78.23),
        ("imagenet1k-mos", "InterNeg", "ViT-B-16/openai", "places", "fpr95", 27.11),
        ("imagenet1k-mos", "InterNeg", "ViT-B-16/openai", "textures", "auroc", 96.26),
        ("imagenet1k-mos", "ZOC (table of InterNeg)", "ZOC ViT-B-16", "textures", "fpr95", 98.90),
        ("imagenet1k-mos", "Mahalanobis, zero-shot (table of InterNeg)", "ViT-B-16/openai", "sun", "auroc", 59.94),
        ("imagenet1k-mos", "CoVer (table of InterNeg)", "ViT-B-16/openai", "inaturalist", "fpr95", 22.55),
        ("imagenet1k-mos", "AdaNeg (table of InterNeg)", "ViT-B-16/openai", "places", "auroc", 94.55),
        ("imagenet1k-mos", "SUPREME (table of InterNeg)", "SUPREME ViT-B-16", "textures", "fpr95", 26.77),
        ("imagenet1k-mos", "Local-Prompt (table of InterNeg)", "Local-Prompt ViT-B-16", "sun", "auroc", 95.12),
        ("imagenet1k-mos", "LAPT (table of InterNeg)", "LAPT ViT-B-16", "inaturalist", "fpr95", 1.16),
        ("imagenet1k-mos", "NegRefine, seed 0", "ViT-B-16/openai", "places", "fpr95", 39.10),
        ("semantic-shift", "NegRefine, seed 0", "ViT-B-16/openai", "ninco", "fpr95", 62.11),
        ("openood-imagenet1k", "NegRefine, seed 0", "ViT-B-16/openai", "openimage-o", "auroc", 95.02),
        ("openood-imagenet1k", "LogitGap, N* = 88", "ViT-B-16/openai", "openimage-o", "fpr95_id", 37.27),
        ("openood-imagenet1k", "MSP (run of OpenOOD-VLM)", "ViT-B-16/openai", "ssb-hard", "fpr95_ood", 86.29),
        ("openood-imagenet1k", "MSP (run of OpenOOD-VLM)", "ViT-B-16/openai", "openimage-o", "auroc", 86.06),
        ("openood-imagenet1k", "AdaNeg", "ViT-B-16/openai", "ninco", "auroc", 78.14),
        ("openood-imagenet1k", "KLM (run of LogitGap)", "ResNet-50", "ninco", "auroc", 81.90),
        ("openood-cifar10", "MSP (run of OpenOOD-VLM)", "ViT-B-16/openai", "places365-cifar10", "fpr95_ood", 42.47),
        ("openood-cifar100", "MSP (run of OpenOOD-VLM)", "ViT-B-16/openai", "cifar10-openood", "auroc", 73.66),
        ("semantic-shift", "MCM", "ViT-B-32/openai", "imagenet-ood", "auroc", 76.32),
        ("semantic-shift", "LogitGap", "ViT-B-16/openai", "ninco", "fpr95_id", 76.83),
        ("imagenet-o", "MaxLogit", "ViT-B-16/openai", "imagenet-o", "auroc", 77.85),
        ("imagenet-o", "MCM", "RN50/openai", "imagenet-o", "fpr95_id", 84.25),
    ],
)
def test_numbers_checked_by_hand(preset, method, model, place, metric, value):
    assert row_of(preset, method, model).values[place][metric] == value


@pytest.mark.parametrize(
    ("preset", "method", "model", "group", "metric", "value"),
    [
        ("imagenet1k-mos", "InterNeg", "ViT-B-16/openai", "all", "fpr95", 14.04),
        ("imagenet1k-mos", "LSN (table of InterNeg)", "LSN ViT-B-16", "all", "auroc", 92.96),
        ("imagenet1k-mos", "ViM on vision (table of InterNeg)", "vision model of the table", "all", "fpr95", 50.20),
        ("imagenet1k-mos", "VOS on vision (table of InterNeg)", "vision model of the table", "all", "auroc", 91.19),
        ("imagenet1k-mos", "FA, 3 forced prompts, few-shot", "FA ViT-B-16", "all", "auroc", 93.96),
        ("openood-imagenet1k", "WeiPer+KLD", "ResNet-50, torchvision", "far", "auroc", 95.54),
        ("openood-imagenet1k", "WeiPer+KLD", "ViT-B/16, torchvision", "near", "auroc", 75.00),
        ("openood-cifar10", "WeiPer+KLD", "ResNet-18, OpenOOD's checkpoints", "near", "auroc", 90.54),
        ("openood-cifar100", "WeiPer+KLD", "ResNet-18, OpenOOD's checkpoints", "far", "auroc", 79.01),
    ],
)
def test_means_checked_by_hand(preset, method, model, group, metric, value):
    assert row_of(preset, method, model).means[group][metric] == value


def test_the_table_of_interneg_is_whole_and_marked():
    rows = [row for row in find_preset("imagenet1k-mos").published if row.source.startswith("InterNeg")]
    assert len(rows) == 19 + 7
    assert [row.method for row in rows if not row.secondary] == ["InterNeg"]
    assert all(row.protocol == UNKNOWN and "fpr95" in row.means["all"] for row in rows)
    assert sum(len(row.values) == 4 for row in rows) == 19


def test_what_no_source_gives_is_absent():
    assert "fpr95_id" not in row_of("imagenet1k-mos", "MCM (authors)").values["inaturalist"]  # recalled by nobody
    run = row_of("imagenet1k-mos", "CLIPN-CTW, run 2", "CLIPN ViT-B-16, run 2")
    assert run.values["places"] == {"auroc": 88.21}  # misprinted there
    assert row_of("imagenet1k-mos", "NegLabel (paper)").values["sun"] == {"fpr95_id": 20.53}
    assert not any(preset.published for preset in PRESETS if preset.name.startswith(("mcm-hard", "fine-grained")))
    assert row_of("imagenet1k-mos", "MCM (run of SeTAR)").tolerance == {"fpr95": 1.5, "auroc": 0.4}


def test_setar_rows_are_what_its_authors_printed(data):
    import json

    folder = data / "scores" / "setar_imagenet1k"
    if not folder.is_dir():
        pytest.skip("no scores/setar_imagenet1k in the folder of real data")
    printed = json.loads((folder / "metrics.json").read_text())
    names = {"inaturalist": "OOD_iNaturalist", "sun": "OOD_Sun", "places": "OOD_Places", "textures": "OOD_Texture"}
    for size, model in (("base", "ViT-B-16/openai"), ("large", "ViT-L-14/openai")):
        for method, log in (("MCM", "Vanilla_MCM"), ("GL-MCM", "Vanilla_GL_MCM")):
            row = row_of("imagenet1k-mos", f"{method} (run of SeTAR)", model)
            theirs = printed[f"clip_{size}_{log}"]["published_by_authors"]
            for place, found in [*row.values.items(), ("Avg", row.means["all"])]:
                said = theirs[names.get(place, place)]
                assert found == {"fpr95_id": said["fpr95"], "auroc": said["auroc"], "ap_in": said["aupr_in"]}
