"""`Classifier`: a network with its own linear head, whose last linear layer is split off so that scores can use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.model import Model
from ood_toolkit.errors import ModelError, OutputsError
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.weights import load_strictly
from ood_toolkit.store.foreign.lines import read_lines
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ood_toolkit.outputs.head import Head

__all__ = ["IMAGENET", "Classifier", "imagenet_names", "loaded", "read_names"]

IMAGENET = "imagenet-1k"


class Classifier(Model):
    """A classifier in eval mode; its features are what enters the last linear layer, its head is that layer."""

    def __init__(
        self, name: str, net: Any, class_names: Sequence[str] | None, preprocessing: Preprocessing, precision: str
    ) -> None:
        from ood_toolkit.models.precision import lay_out
        from ood_toolkit.outputs.classifier import find_layer
        from ood_toolkit.outputs.head import Head

        self.name = name
        self.net = lay_out(net)
        self.layer, linear = find_layer(net)
        if linear is None:
            raise ModelError(f"{name}: has no linear layer, so it has no features and head that scores could use")
        self.precision = precision
        self.preprocess_image = preprocessing
        self.preprocessing = preprocessing.about()
        self.image_size = preprocessing.image_size
        weights = dict(linear.named_parameters())
        self.linear: Any = linear
        self.head: Head = Head.linear(weights["weight"], weights.get("bias"), class_names)
        self._check_head()

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture, of any mode and size, into a (3, h, w) float32 input on the CPU."""
        return self.preprocess_image(image)

    def encode_images(self, batch: Tensor) -> Tensor:
        """Give what enters the head for (b, 3, h, w) inputs: (b, d) float32 rows on the model's device."""
        return self._run(batch)[0]

    def to(self, device: str) -> Classifier:
        """Move the network and its head to a device and return this model."""
        self.net.to(device)
        self.head = self.head.to(device)
        return self

    def _run(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        from ood_toolkit.models.precision import autocast
        from ood_toolkit.outputs.classifier import tap, tapped

        weight = self.linear.weight
        with autocast(weight.device, self.precision), tap(self.linear) as seen:
            logits = self.net(batch.to(weight))
        return tapped(seen, self.layer)[0].float().flatten(1), logits

    def _check_head(self) -> None:
        """Refuse a network whose logits are not its last linear layer's, such as the mean of two heads."""
        import torch

        h, w = self.preprocess_image.crop
        batch = torch.linspace(-2, 2, 3 * h * w).view(1, 3, h, w)
        precision, self.precision = self.precision, "fp32"
        try:
            features, logits = self._run(batch)
            same = logits.ndim == 2 and torch.allclose(self.head.logits(features), logits, rtol=1e-3, atol=1e-3)
        except (OutputsError, AttributeError):
            same = False
        self.precision = precision
        if not same:
            raise ModelError(f"{self.name}: its logits are not what its last linear layer, {self.layer}, gives")


def loaded(build: Callable[[int], Any], classes: int, weights: Mapping[str, Tensor], what: str) -> Any:
    """Build a network for as many classes as the weights are of, and load them; `classes` is its usual number."""
    import torch

    from ood_toolkit.outputs.classifier import find_layer

    with torch.random.fork_rng(devices=[]):  # the caller's random choices stay what they were
        net = build(classes)
        rows = weights.get(f"{find_layer(net)[0]}.weight")
        if rows is not None and rows.ndim == 2 and len(rows) != classes:
            net = build(len(rows))
    load_strictly(net, weights, what)
    return net


def imagenet_names() -> tuple[str, ...]:
    """Give the names of the 1000 ImageNet classes in the usual order, as torchvision has them."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


def read_names(file: str) -> tuple[str, ...]:
    """Read class names, one a line in the order of the head's rows; `imagenet-1k` stands for those of ImageNet."""
    path = place_of(file)
    if file == IMAGENET and not path.exists():
        return imagenet_names()
    where = f"classes: expected a text file in UTF-8 with a class name on each line, or {IMAGENET}, got {file}"
    names = tuple(line.strip() for line in read_lines(path, ModelError, where) if line.strip())
    if not names:
        raise ModelError(f"classes: expected a class name on each line of {file}, got an empty file")
    return names
