import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ood_toolkit.errors import ModelError
from ood_toolkit.models.weights import check_file, load_strictly, read_checkpoint, sha256_of

pytestmark = pytest.mark.quick

WEIGHTS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_all_kinds_of_files_hold_the_same(tmp_path, suffix, prefix):
    path, held = tmp_path / f"w{suffix}", {prefix + name: value for name, value in WEIGHTS.items()}
    if suffix == ".safetensors":
        save_file(held, path)
    else:
        torch.save({"state_dict": held, "epoch": 3}, path)
    found = read_checkpoint(path).weights
    assert set(found) == set(WEIGHTS)
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_the_weights_of_cmas_checkpoints_are_taken_out(tmp_path):
    held = {"module." + name: value for name, value in WEIGHTS.items()}
    state = {"state": {0: {"step": torch.tensor(2.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"params": [0]}]}
    torch.save({"epoch": 9, "model_state_dict": held, "optimizer_state_dict": state}, tmp_path / "w.pt")
    found = read_checkpoint(tmp_path / "w.pt").weights
    assert set(found) == set(WEIGHTS)
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)
    torch.save({"epoch": 9, "optimizer_state_dict": state}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"tensors by name, or such under state_dict_ema, .* or model$"):
        read_checkpoint(tmp_path / "w.pt")


AVERAGE = {name: value + 1 for name, value in WEIGHTS.items()}


@pytest.mark.parametrize(
    ("held", "part"),
    [
        ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGE, "epoch": 3}, "state_dict_ema"),
        ({"model": WEIGHTS, "model_ema": AVERAGE}, "model_ema"),
        ({"model": {"_orig_mod." + name: value for name, value in WEIGHTS.items()}, "optimizer": {}}, "model"),
        ({"state_dict": {"module._orig_mod." + name: value for name, value in WEIGHTS.items()}}, "state_dict"),
        ({"state_dict": {"_orig_mod.module." + name: value for name, value in WEIGHTS.items()}}, "state_dict"),
        ({"_orig_mod." + name: value for name, value in WEIGHTS.items()}, ""),
        ({"state_dict": WEIGHTS, "model": {"other": torch.ones(1)}}, "state_dict"),
        ({"state_dict": WEIGHTS, "state_dict_ema": None}, "state_dict"),
    ],
)
def test_checkpoints_are_read_as_timm_reads_them(tmp_path, held, part):
    from timm.models import load_state_dict

    torch.save(held, tmp_path / "w.pth")
    found, peer = read_checkpoint(tmp_path / "w.pth"), load_state_dict(str(tmp_path / "w.pth"))
    assert found.part == part
    assert found.weights.keys() == peer.keys()
    assert all(torch.equal(found.weights[name], peer[name]) for name in peer)


def test_an_average_beside_plain_weights_is_another_network_and_is_said(tmp_path):
    torch.save({"state_dict": WEIGHTS, "state_dict_ema": AVERAGE}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found.fingerprint != sha256_of(tmp_path / "w.pth") == found.sha256
    assert found.notes == ("weights of state_dict_ema were taken, as timm does; the file also holds state_dict",)
    torch.save({"state_dict": WEIGHTS}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert (found.fingerprint, found.notes) == (sha256_of(tmp_path / "w.pth"), ())


def test_names_that_become_one_without_their_prefix_are_refused(tmp_path):
    torch.save({**WEIGHTS, "module.bias": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds 'bias' twice, with and without a prefix"):
        read_checkpoint(tmp_path / "w.pth")


def test_hashes_are_of_the_bytes_and_follow_a_change(tmp_path):
    path = tmp_path / "w.bin"
    for content in (b"a" * 3_000_000, b"b" * 5):
        path.write_bytes(content)
        assert sha256_of(path) == hashlib.sha256(content).hexdigest()


class Runs:
    def __reduce__(self):
        return (print, ("something in a file was run",))


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    torch.save({"weight": Runs()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds more than tensors"):
        read_checkpoint(tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


def torchscript(path):
    """Write what torch.jit.save writes, as far as it is told apart by its entries."""
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name in ("w/data.pkl", "w/constants.pkl", "w/code/__torch__.py", "w/version"):
            archive.writestr(name, b"")


def test_torchscript_archives_are_refused_before_they_are_opened(tmp_path):
    torchscript(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"is a TorchScript archive.*safetensors form.*state_dict"):
        check_file(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_files_that_hold_no_weights_are_refused(tmp_path, content, suffix):
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(ModelError, match=r"^weights: [^\n]*$"):
        read_checkpoint(tmp_path / f"w{suffix}")


def test_files_by_name(tmp_path):
    with pytest.raises(ModelError, match="no file"):
        check_file(tmp_path / "w.pt")
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"expected a file that ends in \.safetensors"):
        check_file(tmp_path / "w.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, r"of 2 keys, 1 missing \(first bias\)$"),
        ({"gain": torch.ones(1), "other": torch.ones(1)}, r"2 unexpected \(first gain, other\)$"),
        ({"weight": torch.ones(4, 3)}, r"1 of another shape \(first weight: expected \(2, 3\), got \(4, 3\)\)$"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    weights = {name: value for name, value in (WEIGHTS | change).items() if value is not None}
    with pytest.raises(ModelError, match=f"net: the weights are of another network: .*{message}"):
        load_strictly(nn.Linear(3, 2), weights, "net")


def test_weights_that_fit_are_copied_in_the_precision_of_the_network():
    net = nn.Linear(3, 2)
    load_strictly(net, {name: value.half() for name, value in WEIGHTS.items()}, "net")
    assert net.weight.dtype == torch.float32
    assert torch.equal(net.weight, WEIGHTS["weight"])
