"""Compare the tensor of every real picture with that of the plain way, to the bit.

    python benchmarks/pictures.py [--data DIR]

Each picture below `images` of the folder of real data is read and decoded as `oodkit` does it for a model of 224
pixels. Beside it goes the plain way: Pillow opens it and converts it to RGB, and open_clip's own transform makes the
tensor. Exit code 1 where a byte differs, or where there are no pictures.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import click
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ood_toolkit.api.picture import FilePicture
from ood_toolkit.models.preprocessing import Preprocessing

SIDE = 224
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
ENDINGS = {".jpg", ".jpeg", ".png"}


@click.command()
@click.option("--data", default="../shared/data", show_default=True, type=click.Path(path_type=Path))
@click.option("--each", default=1, show_default=True, help="Take every so many-th picture of a folder.")
def main(data: Path, each: int) -> None:
    """Print a line for each folder."""
    ours = Preprocessing.square(SIDE, "shortest", "bicubic", MEAN, STD)
    plain = image_transform_v2(PreprocessCfg(size=(SIDE, SIDE), mean=MEAN, std=STD), is_train=False)
    compared, wrong = 0, 0
    for folder in sorted(path for path in (data / "images").glob("*") if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)[::each]
        start, differ = time.process_time(), []
        for file in files:
            picture = FilePicture(str(file))
            mine = ours(picture.decode(picture.read(), SIDE))
            with Image.open(file) as image:
                theirs = plain(image.convert("RGB"))
            if digest(mine) != digest(theirs):
                differ.append(file.relative_to(data))
        seconds = time.process_time() - start
        print(f"{folder.name}: {len(files):,} pictures, {len(differ):,} differ, {seconds:.0f} s of computing")
        print("".join(f"  {name}\n" for name in differ[:10]), end="")
        compared, wrong = compared + len(files), wrong + len(differ)
    print(f"{compared:,} pictures, {wrong:,} differ")
    sys.exit(1 if wrong or not compared else 0)


def digest(tensor: object) -> bytes:
    """Hash shape, type and bytes of a tensor."""
    array = tensor.numpy()  # type: ignore[attr-defined]
    return hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).digest()


if __name__ == "__main__":
    main()
