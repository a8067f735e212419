"""The losses of CLIPN: Wang, Li, Yao and Li, ICCV 2023, arXiv 2308.12213."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["clipn_losses"]

WEIGHT = 0.5
"""Of each of the three terms, as CLIPN's code has it; the paper adds them up."""
EPS = 1e-4
"""Keeps the gradient of the distance finite where both texts are the same; of the code, not in the paper."""


def clipn_losses(
    images: Tensor, yes: Tensor, no: Tensor, scale: float, alike: Tensor | None = None
) -> dict[str, Tensor]:
    """Give `loss` and its three terms for B pairs of an image with a text, all (B, d) unit rows f, g and h.

    With p_ij = sigmoid(scale f_i.(g_j - h_j)), the probability that text j is of image i:

    * `itbo_yes` = -mean_i log p_ii
    * `itbo_no` = -mean over i != j of log(1 - p_ij)
    * `tso` = mean_i [2 - sqrt(2 - 2 g_i.h_i + 1e-4)], small where "yes" and "no" lie apart
    * `loss` = 0.5 (itbo_yes + itbo_no + tso)

    Pairs i != j with equal numbers in `alike` (B,) are left out of `itbo_no`: such as images of one class, where text
    j is right for image i too. CLIPN's own loss has all pairs, as its captions differ.
    """
    gap = scale * (images @ yes.T) - scale * (images @ no.T)  # (B, B): log odds of "yes"
    if alike is None:
        alike = torch.arange(len(images), device=images.device)
    apart = alike[:, None] != alike[None, :]
    itbo_yes = F.softplus(-gap.diagonal()).mean()
    itbo_no = (F.softplus(gap) * apart).sum() / apart.sum().clamp(min=1)
    tso = (2 - (2 - 2 * (yes * no).sum(dim=1) + EPS).sqrt()).mean()
    return {"loss": WEIGHT * (itbo_yes + itbo_no + tso), "itbo_yes": itbo_yes, "itbo_no": itbo_no, "tso": tso}
