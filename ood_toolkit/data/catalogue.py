"""The data sets that are known by name, in the order of the listing."""

from __future__ import annotations

from ood_toolkit.data import imagenet_sets, object_sets, openood_sets, scene_sets, small_sets
from ood_toolkit.data.dataset import DataSet

__all__ = ["CATALOGUE"]

CATALOGUE: dict[str, DataSet] = {
    item.name: item
    for module in (small_sets, object_sets, scene_sets, imagenet_sets, openood_sets)
    for item in vars(module).values()
    if isinstance(item, DataSet)
}
