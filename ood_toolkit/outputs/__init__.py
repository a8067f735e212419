"""`Outputs`: what one model put out for one set of images; `Head`: what turns its embeddings into class logits."""

from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.outputs.outputs import Outputs, as_outputs

__all__ = ["Bank", "Head", "Outputs", "as_outputs"]
