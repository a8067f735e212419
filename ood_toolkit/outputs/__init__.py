"""`Outputs`: what one model put out for one set of images; `Head`: what turns its embeddings into class logits.

Names are imported when first used, so that the names of classes can be compared without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ood_toolkit.outputs.head import Bank, Head
    from ood_toolkit.outputs.outputs import Outputs, as_outputs

__all__ = ["Bank", "Head", "Outputs", "as_outputs"]

HOME = {"Bank": "head", "Head": "head", "Outputs": "outputs", "as_outputs": "outputs"}


def __getattr__(name: str) -> Any:
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
