"""The names of a weights file that a benchmark converts for timm, without the file."""

import importlib.util
from pathlib import Path

import pytest
import timm
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "efficientnet_lite0.py"


@pytest.fixture(scope="module")
def lite():
    spec = importlib.util.spec_from_file_location("efficientnet_lite0", SCRIPT)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def names():
    """List the 296 names as the file has them, in its order."""

    def norm(at):
        return [f"{at}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    found = ["_conv_stem.weight", *norm("_bn0")]
    for block in range(16):
        at = f"_blocks.{block}"
        found += [f"{at}._expand_conv.weight", *norm(f"{at}._bn0")] if block else []
        found += [f"{at}._depthwise_conv.weight", *norm(f"{at}._bn1")]
        found += [f"{at}._project_conv.weight", *norm(f"{at}._bn2")]
    return [*found, "_conv_head.weight", *norm("_bn1"), "_fc.weight", "_fc.bias"]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for name, tensor in made.state_dict().items():  # running statistics that matter
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    return made


def test_the_names_are_timms_in_timms_order(lite, net):
    assert len(names()) == 296
    assert [lite.timm_name(name) for name in names()] == list(net.state_dict())


def test_a_name_of_another_network_is_refused(lite):
    for name in ("_conv_tail.weight", "_blocks.0._expand_conv.weight", "conv_stem.weight"):
        with pytest.raises(KeyError):
            lite.timm_name(name)


def test_the_file_is_read_as_tensors_and_the_forward_by_its_names_is_timms(lite, net, tmp_path):
    """Odd sides too, where the padding differs on two sides."""
    own = dict(zip(names(), net.state_dict().values(), strict=True))
    torch.save(own, tmp_path / "lite0.pth")
    net.load_state_dict(lite.converted(tmp_path / "lite0.pth"), strict=True)
    for side in (64, 63):
        batch = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        with torch.inference_mode():
            torch.testing.assert_close(lite.forward(own, batch), net(batch), rtol=1e-4, atol=1e-4)
