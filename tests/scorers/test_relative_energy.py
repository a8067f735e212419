import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.relative_energy import RelativeEnergy


def with_empty(x, *shape, seed=8):
    rows = torch.randn(*shape, x.head.width, generator=torch.Generator().manual_seed(seed))
    return x.with_head(x.head.with_banks({"empty": rows}))


def slow(x, beta, of):
    """LSE(z) - beta z_empty, or max z - beta z_empty, image by image."""
    scale, bias = x.head.scale, float(x.head.bias[0])
    wanted = []
    for row in x.embeddings.double().numpy():
        z = np.array([scale * text @ row + bias for text in x.head.weight.double().numpy()])
        empty = [scale * text @ row + bias for text in x.head.bank("empty").rows.double().numpy()]
        whole = z.max() + np.log(np.exp(z - z.max()).sum()) if of == "energy" else z.max()
        wanted.append(whole - beta * sum(empty) / len(empty))
    return np.array(wanted)


def test_two_classes_by_hand():
    # cosines 0.8, 0.6 and 0.6 with the empty prompt, scale 10: LSE(8, 6) = 8 + log(1 + e^-2)
    x = Outputs.from_embeddings([[0.8, 0.6]], Head.zero_shot(np.eye(2), "ab", 10.0, texts={"empty": [[0.0, 1.0]]}))
    assert RelativeEnergy().score(x).item() == pytest.approx(8.1269280 - 6, abs=1e-6)
    assert RelativeEnergy(0.5).score(x).item() == pytest.approx(8.1269280 - 3, abs=1e-6)
    assert RelativeEnergy(0.5, "maxlogit").score(x).item() == pytest.approx(5, abs=1e-6)


@pytest.mark.parametrize("of", ["energy", "maxlogit"])
@pytest.mark.parametrize("beta", [0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (10.0, -3.0), (100.0, 0.0)])
@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3)])
def test_equals_the_slow_formula(make_outputs, of, beta, scale, bias, shape):
    x = with_empty(make_outputs(30, scale=scale, bias=bias), *shape)
    wanted = slow(x, beta, of)
    assert RelativeEnergy(beta, of).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=2e-6 * max(1, scale))
    parts = torch.cat([RelativeEnergy(beta, of).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-5, abs=2e-6 * max(1, scale))


@pytest.mark.parametrize("beta", [-1, float("nan"), float("inf"), "a"])
def test_wrong_beta(beta):
    with pytest.raises(ScorerError, match="relative-energy: beta: expected a number of at least 0, got"):
        RelativeEnergy(beta)


def test_other_wrong_parameters_and_missing_texts(make_outputs):
    with pytest.raises(ScorerError, match="relative-energy: of: expected energy or maxlogit, got 'msp'"):
        RelativeEnergy(of="msp")
    with pytest.raises(OutputsError, match="text:empty: this head holds no such bank"):
        RelativeEnergy().score(make_outputs(4))


def test_the_prompts_are_a_template_and_the_same_without_a_class():
    prompts = RelativeEnergy().prompts
    assert prompts.templates == ("a photo of a {}",)
    (bank,) = prompts.banks
    assert (bank.name, bank.source, bank.templates) == ("empty", ("a photo of a",), ("{}",))
