"""Shapes drawn at random, which give "no" texts and negative texts a meaning: strokes, rings, bars, noise, ...

`python -m ood_toolkit.learning.digits_clip.shapes --output DIR` draws some as image-caption pairs.
"""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFilter

from ood_toolkit.store.files import replaced_file

__all__ = ["PAIRS", "SHAPES", "draw_shape", "write_pairs"]

SHAPES = ("stroke", "ring", "bar", "cross", "noise", "scribble", "texture")
"""Classes whose images are drawn here."""
PAIRS = "pairs.csv"


def draw_shape(shape: str, rng: random.Random) -> Image.Image:
    """Draw one of `SHAPES` as an 8x8 grey image, white on black as the digits are."""
    if shape in ("noise", "texture"):
        grey = Image.frombytes("L", (8, 8), rng.randbytes(64))
        if shape == "texture":
            grey = grey.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))
        level, contrast = rng.uniform(0, 255), rng.choice([0.1, 0.3, 1, 2])
        return grey.point(lambda value: min(255, max(0, round(level + contrast * (value - 128)))))
    page = Image.new("L", (32, 32))
    draw_lines(ImageDraw.Draw(page), shape, rng)
    box = page.getbbox()
    if box and rng.random() < 0.6:  # the digits fill their image from top to bottom, so most shapes do
        glyph = page.crop(box)
        width = min(32, max(8, round(glyph.width * 32 / glyph.height)))
        page = Image.new("L", (32, 32))
        page.paste(glyph.resize((width, 32)), ((32 - width) // 2, 0))
    return page.resize((8, 8), Image.Resampling.BOX)


def draw_lines(draw: ImageDraw.ImageDraw, shape: str, rng: random.Random) -> None:
    """Draw the white lines of a stroke, ring, bar, cross or scribble on a page of 32x32."""
    x, y, thick = rng.uniform(10, 22), rng.uniform(10, 22), rng.randint(3, 6)
    if shape == "ring":
        tall = rng.uniform(4, 11)
        wide = tall * rng.uniform(1, 1.6)  # a tall ring would be a zero
        draw.ellipse((x - wide, y - tall, x + wide, y + tall), outline=255, width=thick)
    elif shape == "bar":
        tall = rng.uniform(3, 7)
        for top in rng.choice([[y], [y - 9, y + 9]]):
            draw.rectangle((rng.uniform(0, 6), top - tall / 2, rng.uniform(26, 31), top + tall / 2), fill=255)
    elif shape == "scribble":
        for _ in range(rng.randint(1, 3)):
            points = [(rng.uniform(3, 29), rng.uniform(3, 29)) for _ in range(rng.randint(2, 5))]
            draw.line(points, fill=255, width=thick, joint="curve")
    else:
        first = rng.uniform(-0.9, 0.9)  # from the horizontal: an upright stroke would be a one
        for angle in [first, first + rng.uniform(1.2, 1.9)][: 2 if shape == "cross" else 1]:
            dx, dy = rng.uniform(8, 15) * math.cos(angle), rng.uniform(8, 15) * math.sin(angle)
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=255, width=thick)


def write_pairs(folder: Path, count: int, seed: int = 0) -> Path:
    """Draw `count` images of each shape into a folder, and write a table of paths and captions; give the table."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for shape in SHAPES:
        for number in range(count):
            name = f"{shape}-{number:04d}.png"
            draw_shape(shape, rng).save(folder / name)
            rows.append((name, shape))
    with replaced_file(folder / PAIRS) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filepath", "title"))
        table.writerows(rows)
    return folder / PAIRS


@click.command()
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Images of each shape.")
@click.option("--seed", default=0, show_default=True, help="Of all that is drawn.")
def main(output: Path, count: int, seed: int) -> None:
    """Draw shapes with a caption each, and print the table that `oodkit train clipn --pairs` takes."""
    click.echo(write_pairs(output, count, seed))


if __name__ == "__main__":
    main()
