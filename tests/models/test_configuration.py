import json

import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.errors import ModelError
from ood_toolkit.models.open_clip_recipe import of_folder
from ood_toolkit.models.pretrained import Hub

VISION = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2}
TEXT = {"context_length": 77, "vocab_size": 515, "width": 64, "heads": 2, "layers": 2}
GOOD = {"embed_dim": 64, "vision_cfg": VISION, "text_cfg": TEXT}


@pytest.fixture
def settle(tmp_path):
    def made(config, choices=None, parameters=100_000, raw=None):
        said = {"model_cfg": config, "preprocess_cfg": choices}
        (tmp_path / "open_clip_config.json").write_text(json.dumps(said) if raw is None else raw)
        save_file({"w": torch.zeros(parameters)}, tmp_path / "open_clip_model.safetensors")
        return of_folder(str(tmp_path), Hub())

    return made


def test_a_sound_configuration_is_settled_whatever_the_card_is_written_in(settle, tmp_path):
    (tmp_path / "README.md").write_bytes("---\r\nlicense: mit\r\n---\r\ncaf\xe9".encode("latin-1"))
    assert settle(GOOD).licence == "mit"
    (tmp_path / "README.md").write_bytes(b"\xff\xfe\0")
    assert settle(GOOD).licence == "unknown"
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    assert settle(GOOD, {"mean": 0.5, "std": [0.5, 0.5, 0.5]}).licence == "unknown"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "expected model_cfg with embed_dim"),
        ([], "expected model_cfg with embed_dim"),
        ({**GOOD, "vision_cfg": 3}, "vision_cfg: expected an object, got 3"),
        ({**GOOD, "embed_dim": "64"}, "embed_dim: expected a whole number from 1 to 65,536, got '64'"),
        ({**GOOD, "vision_cfg": {**VISION, "layers": 10**6}}, "vision_cfg: layers: expected at most 512, got 1000000"),
        ({**GOOD, "vision_cfg": {**VISION, "layers": [3, 10**9]}}, "layers: expected at most 512"),
        ({**GOOD, "text_cfg": {**TEXT, "layers": -1}}, "text_cfg: layers: expected at most 512, got -1"),
        ({**GOOD, "text_cfg": {**TEXT, "width": 10**400}}, "text_cfg: width: expected a whole number"),
        (
            {**GOOD, "text_cfg": {**TEXT, "vocab_size": 4_000_000}},
            r"at least [\d,]+ parameters, but .* has [\d,]+ bytes",
        ),
        ({**GOOD, "vision_cfg": {**VISION, "width": 8192}}, "need at least"),
        ({**GOOD, "vision_cfg": {**VISION, "mlp_ratio": float("inf")}}, "mlp_ratio: expected a number, got inf"),
        ({**GOOD, "vision_cfg": {**VISION, "image_size": None}}, "image_size: expected a whole number .*, got None"),
        ({**GOOD, "text_cfg": {**TEXT, "width": None}}, "width: expected a whole number .*, got None"),
        ({**GOOD, "text_cfg": {**TEXT, "hf_tokenizer_name": ["x"]}}, "hf_tokenizer_name: expected a name"),
        (
            {**GOOD, "text_cfg": {**TEXT, "tokenizer_kwargs": {"trust_remote_code": True}}},
            "tokenizer_kwargs: expected clean, strip_sep_token, language, got 'trust_remote_code'",
        ),
    ],
)
def test_configurations_that_no_network_can_be_built_from_are_refused(settle, config, message):
    with pytest.raises(ModelError, match=message) as caught:
        settle(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([1], "preprocess_cfg: expected an object"),
        ({"mean": [0.5, "x", 0.5]}, "mean: expected a number or three"),
        ({"std": 0}, "std: expected numbers above 0"),
        ({"std": [0.5, 0.5]}, "std: expected a number or three"),
        ({"interpolation": 3}, "interpolation: expected a word, got 3"),
        ({"resize_mode": "sideways"}, "cannot do resize_mode 'sideways'"),
    ],
)
def test_preprocessing_that_is_none_is_refused(settle, choices, message):
    with pytest.raises(ModelError, match=message):
        settle(GOOD, choices)


@pytest.mark.parametrize("raw", ["[" * 100_000, "[]", "{", '{"model_cfg": ' + "[" * 80 + "]" * 80 + "}"])
def test_files_that_are_no_configuration_are_refused(settle, raw):
    with pytest.raises(ModelError, match=r"cannot read open_clip_config\.json|nested|expected") as caught:
        settle(None, raw=raw)
    assert "\n" not in str(caught.value)
