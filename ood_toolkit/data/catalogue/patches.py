"""`patches`: 8x8 grey patches of the two photographs that scikit-learn bundles."""

from __future__ import annotations

from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.errors import DataError

__all__ = ["PATCHES"]

SIDE = 8
PER_PHOTOGRAPH = 400


def open_patches(split: str, root: Path | None = None) -> Pictures:
    """Cut 400 grid cells of each photograph as 8x8 grey images, seed 0; `DataError` for all but `test`."""
    if split != "test":
        raise DataError(f"patches has no split {split!r}: use test")
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    source = load_sample_images()
    rng = np.random.default_rng(0)
    images, ids = [], []
    for path, photo in zip(source.filenames, source.images, strict=True):
        photograph = str(path).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".jpg")
        grey = np.asarray(Image.fromarray(photo).convert("L"))
        columns = grey.shape[1] // SIDE
        cells = rng.choice(columns * (grey.shape[0] // SIDE), PER_PHOTOGRAPH, replace=False)
        for y, x in (divmod(int(cell), columns) for cell in np.sort(cells)):
            patch = grey[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
            images.append(Image.fromarray(patch))
            ids.append(f"patches/{photograph}/{y:02d}-{x:02d}")
    return Pictures(items=pixels(images), ids=tuple(ids))


PATCHES = DataSet(
    name="patches",
    description="Grey 8x8 patches of two photographs, a temple and a flower, bundled with scikit-learn.",
    open=open_patches,
    counts={"test": 2 * PER_PHOTOGRAPH},
    licence="CC BY 2.0",
    source="china.jpg (danielbuechele, Flickr) and flower.jpg (vultilion, Flickr), both in scikit-learn",
    embedded=True,
    drawn_by=("scikit-learn", "numpy", "pillow"),
)
