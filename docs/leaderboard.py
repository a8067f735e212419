"""Write `leaderboard.md` from real vectors, logits and scores; run it as `python docs/leaderboard.py`.

The data lie in the folder that OODKIT_TEST_DATA names, or `--data`. Everything is imported into a store of its own and
measured with all scorers that apply, whatever plugins are installed; on one machine the page comes out the same to the
byte. Seconds stand nowhere in it: what a score costs is its class.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parent / "leaderboard.md"
SEEDS = "0,1,2"
NOT_STRANGE = ("airplanes", "car_side", "cougar_body", "cougar_face", "garfield", "wild_cat", "dalmatian", "snoopy",
               "emu", "flamingo", "flamingo_head", "ibis", "pigeon", "rooster", "ferry", "ketch", "schooner", "gerenuk",
               "Leopards")  # fmt: skip
"""Classes of Caltech-101 that are, or show, a class of CIFAR-10: aircraft, cars, birds, cats, deer, dogs, ships."""
INTRO = """# Leaderboards on real data

Every built-in score that applies, on real vectors, logits and scores that others published. One command makes this
page anew, with the data in the folder that `OODKIT_TEST_DATA` names:

```sh
python docs/leaderboard.py
```

The tables are what `oodkit leaderboard --format markdown` prints, but that notes which hold for all of them stand once,
[at the end](#how-to-read-it). [commands.md](commands.md#oodkit-leaderboard) has its options. Each table is of few sets,
and an interval says how little a few sets prove. Nothing here is tuned: all parameters are the papers' defaults.
"""
GENERAL = ("- mean rank:", "- in brackets:", "- supervision:", "- cost:", "- published:")
"""How the notes begin that hold for every table: they stand once, at the end."""
OUTRO = """## How to read it

- **mean rank**: on each set and seed the entries are ranked by AUROC, 1 the best; equal values share the mean of their
  ranks. Then ranks are averaged over seeds, and over sets, each set counting the same.
- **AUROC** and **FPR95** are averaged the same way. The head of each column names the protocol, whose rule for FPR95
  stands above the table.
- **The brackets** hold a 95 % interval over sets: the mean of the sets' values, plus and minus Student's t times their
  standard error, cut to what is possible. With one set it is over seeds. It says how far the mean would move with other
  sets of their kind. It does not say how sure one set's value is (`oodkit bench --ci`), nor whether one score beats
  another on the same images (`oodkit compare`).
- **#** is the place by mean rank; entries with the same share it. A score that lacks a set or seed has no place: it
  stands below with how many results it has, and a note says which it lacks and why.
- **published** rows are what their source printed, of as many images. Each is ranked alone against the measured ones,
  whose ranks it does not change. Its FPR95 is shown only where its protocol is the table's; AUROC is one under all.
- **supervision** and **cost** are classes: what a score learns from, and what has to be at hand for it. They are also
  what `--supervision` and `--cost` choose by.

## Rank runs of your own

```sh
oodkit bench --id digits --ood near=letters --ood far=patches --scorers all --seeds 0,1,2 --output runs
oodkit leaderboard runs/seed-0 runs/seed-1 runs/seed-2                # a table for near, far and all
oodkit leaderboard runs/seed-0 runs/seed-1 runs/seed-2 --html board   # a page that sorts and filters, and opens offline
oodkit leaderboard runs/seed-0 runs/seed-1 runs/seed-2 --supervision zero-shot --cost logits
```

Ranks are among what is shown: `--model`, `--scorers`, `--supervision` and `--cost` leave entries out before anything is
ranked, and so do the filters of the page. One run is enough where it has several scorers.

Rows are ranked together only where they are of the same images, known by their ids, under the same seed; under another
seed the test images may be another draw from the same ones. Runs of other protocols, of other images, of a model under
two settings, or of one scorer twice are refused in a line that names the runs and what differs. `--protocol NAME`
computes the metrics of all runs again by one. `--ood A,B` ranks on the sets that all have.
"""


@dataclass(frozen=True)
class Chapter:
    """One leaderboard of the page."""

    title: str
    text: str
    imports: tuple[str, ...]
    """Arguments of `oodkit import`, in which `@/` is the folder of the data."""
    benches: tuple[str, ...]
    """Arguments of `oodkit bench`."""
    runs: tuple[str, ...]
    prepared: tuple[Callable[[Path, Path], None], ...] = ()
    """Make files of parts of the data in the working folder."""


def halves(data: Path, folder: Path) -> None:
    """Split CIFAR-10's test images as JPEG: every other one stands in for a training image."""
    for model in NETWORKS:
        file = data / f"logits/resnet_cifar10/{model}_cifar10_test.npz"
        kept(file, folder / f"{model}_train.npz", lambda held: np.arange(len(held["files"])) % 2 == 0)
        kept(file, folder / f"{model}_test.npz", lambda held: np.arange(len(held["files"])) % 2 == 1)


def without_known_classes(data: Path, folder: Path) -> None:
    """Leave out of Tiny ImageNet and Caltech-101 what CIFAR-10 has."""
    lines = gzip.decompress((data / "names/openood_imglist/cifar10/test_tin.txt.gz").read_bytes()).decode().splitlines()
    listed = [line.split()[0].rpartition("/")[2] for line in lines]
    for model in NETWORKS:
        place, tiny, caltech = data / "logits/resnet_cifar10", f"{model}_tiny_imagenet.npz", f"{model}_caltech101.npz"
        kept(place / f"{model}_tiny_imagenet_val.npz", folder / tiny, lambda held: np.isin(held["files"], listed))
        kept(place / caltech, folder / caltech, lambda held: ~np.isin(held["names"], NOT_STRANGE))


def unit_rows(data: Path, folder: Path) -> None:
    """Give all embeddings of images length 1: some sets came longer, and a score that reads lengths sees it."""
    for file in sorted((data / "embeddings/openai_clip_vit_b32").glob("image_*.npz")):
        with np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files if name != "images"}
        rows = arrays["embeddings"].astype(np.float64)
        arrays["embeddings"] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        np.savez(folder / file.name, **arrays)


def bicycles_and_flowers(data: Path, folder: Path) -> None:
    """Keep of the 130 objects those that are no class of CIFAR-10."""
    file = folder / "image_objects130.npz"
    kept(file, folder / "bicycles_flowers.npz", lambda held: np.isin(held["labels"], ("bicycle", "flower")))


def kept(file: Path, made: Path, choose: Callable[[dict[str, np.ndarray]], np.ndarray]) -> None:
    """Write the rows that are chosen into a file of their own."""
    with np.load(file, allow_pickle=False) as held:
        arrays = dict(held)
    rows = choose(arrays)
    np.savez(made, **{name: array[rows] for name, array in arrays.items() if len(array) == len(rows)})


RESNET, CLIP, SETAR = "@/logits/resnet_cifar10/", "@/embeddings/openai_clip_vit_b32/", "@/scores/setar_imagenet1k/"
NETWORKS = ("resnet20", "resnet56")


def strange(model: str) -> tuple[str, ...]:
    """Import the OOD sets of a network."""
    return (
        f"tiny-imagenet {model}_tiny_imagenet.npz --model {model}",
        f"food101 {RESNET}{model}_food101.npz --model {model}",
        f"textures {RESNET}{model}_dtd10.npz --model {model}",
        f"caltech101 {model}_caltech101.npz --model {model}",
    )


def of_cifar10(model: str) -> str:
    """Name the head of a network."""
    return f"--head {RESNET}{model}_head.npz --model {model}"


CANDIDATES = f"--texts candidates={CLIP}text_lvis1203_a.npz --model clip-vit-b32"
FOOD, CIFAR = (f"--text {CLIP}text_{name}_a.npz {CANDIDATES}" for name in ("food10", "cifar10"))
ALL = "--scorers all,neglabel:groups=1:share=1.0"
OOD = "--ood near=tiny-imagenet --ood far=food101,textures,caltech101 --protocol openood-v1.5"
CHAPTERS = (
    Chapter(
        "CLIP without training images: CIFAR-10",
        """OpenAI's CLIP ViT-B/32 on the first 500 test images of CIFAR-10, a fifth of which calibrate and are not
tested; class texts are "a {class}", embeddings have length 1. OOD are ten classes of Food-101, and photos of bicycles
and flowers. Scores with negatives mine them from the 1,203 names of LVIS, which is few for NegLabel's defaults:
[negative-labels.md](negative-labels.md) says what to take then. There are no training images, so what learns from some
has no result.""",
        (f"cifar10 image_cifar10_test500.npz {CIFAR}",
         "food101 image_food101_10classes_test500.npz --model clip-vit-b32",
         "bicycles-flowers bicycles_flowers.npz --model clip-vit-b32"),
        (f"{ALL} --id cifar10 --ood food101,bicycles-flowers --seeds {SEEDS} --output cifar10",),
        ("cifar10/seed-0", "cifar10/seed-1", "cifar10/seed-2"),
        (unit_rows, bicycles_and_flowers),
    ),
    Chapter(
        "CLIP with training images: Food-101",
        """The same model on 500 test images of ten classes of Food-101, with 2,000 training images. OOD are CIFAR-10,
130 photos of objects and 84 of animals. All three lie far from food, so much of the table is at the top, and most
places in it say little.""",
        (f"food101 image_food101_10classes_test500.npz {FOOD}",
         f"food101 image_food101_10classes_train2000.npz {FOOD} --split train",
         "cifar10 image_cifar10_test500.npz --model clip-vit-b32",
         "objects image_objects130.npz --model clip-vit-b32",
         "animals image_pixabay_animals84.npz --model clip-vit-b32"),
        (f"{ALL},neglabel:mine=inter --id food101 --ood cifar10,objects,animals --seeds {SEEDS} --output food101",),
        ("food101/seed-0", "food101/seed-1", "food101/seed-2"),
        (unit_rows,),
    ),
    Chapter(
        "Two trained classifiers: CIFAR-10, near and far",
        """ResNet-20 and ResNet-56, trained on CIFAR-10, with their logits and penultimate features. Their training
features were not published: every other one of the 10,000 test images, as JPEG, stands in for a training image, and the
others are tested, but for a fifth that calibrates. Near is Tiny ImageNet as OpenOOD lists it, without CIFAR-10's
classes; far are 20 images of each class of Food-101, ten classes of Textures, and Caltech-101 without classes that
CIFAR-10 has. The classifiers saw CIFAR-10's training set, so all supervision is training.""",
        tuple(
            line
            for model in NETWORKS
            for line in (f"cifar10 {model}_test.npz {of_cifar10(model)}",
                         f"cifar10 {model}_train.npz {of_cifar10(model)} --split train", *strange(model))
        ),
        tuple(f"--scorers all --id cifar10 {OOD} --model {m} --seeds {SEEDS} --output {m}" for m in NETWORKS),
        tuple(f"{model}/seed-{seed}" for model in NETWORKS for seed in SEEDS.split(",")),
        (halves, without_known_classes),
    ),
    Chapter(
        "Full spectrum: the same images as JPEG",
        """ResNet-56 on the first 500 test images of CIFAR-10 as they are, without loss, against the same OOD sets. On
the full spectrum all 10,000 test images as JPEG count as in-distribution too. A score should accept them, but they look
more like the OOD files, and the classifier itself errs more on them: compare a score with itself in both tables.""",
        (f"cifar10 {RESNET}resnet56_cifar10_test500_lossless.npz {of_cifar10('resnet56')}",
         f"cifar10-jpeg {RESNET}resnet56_cifar10_test.npz {of_cifar10('resnet56')}", *strange("resnet56")),
        (f"--scorers all --id cifar10 {OOD} --csid cifar10-jpeg --model resnet56 --seeds {SEEDS} --output resnet56",),
        ("resnet56/seed-0", "resnet56/seed-1", "resnet56/seed-2"),
        (without_known_classes,),
    ),
    Chapter(
        "Ready scores beside published values: ImageNet-1k",
        """Scores of MCM and GL-MCM with CLIP ViT-B/16 for each of 85,640 images, as the authors of SeTAR published
them, under the preset `imagenet1k-mos`, whose published values of both stand beside them. The measured values are what
these scores give here; the published ones are what others printed of runs of their own.""",
        tuple(
            f"{name} {SETAR}clip_base_Vanilla_{file}.npz --scores --key {key} --lower-is-id --model {model}"
            for model, file in (("mcm", "MCM"), ("gl-mcm", "GL_MCM"))
            for name, key in (("imagenet-1k", "id_imagenet1k"), ("inaturalist", "ood_inaturalist"), ("sun", "ood_sun"),
                              ("places", "ood_places"), ("textures", "ood_texture"))
        ),
        ("--preset imagenet1k-mos --model mcm --output mcm", "--preset imagenet1k-mos --model gl-mcm --output gl-mcm"),
        ("mcm", "gl-mcm"),
    ),
)  # fmt: skip


def chapter(made: Chapter, data: Path) -> str:
    """Import, measure and rank, in a folder of its own; give the text of a chapter."""
    with tempfile.TemporaryDirectory() as folder:
        for prepare in made.prepared:
            prepare(data, Path(folder))
        for words in made.imports:
            oodkit(f"import {words.replace('@/', f'{data}/')}", folder)
        for words in made.benches:
            oodkit(f"bench {words} --quiet", folder)
        ranking = f"leaderboard {' '.join(made.runs)}"
        printed = oodkit(f"{ranking} --format markdown", folder)
    table = "\n".join(line for line in printed.splitlines() if not line.startswith(GENERAL))
    commands = [*(f"oodkit import {words.replace('@/', '$OODKIT_TEST_DATA/')}" for words in made.imports),
                *(f"oodkit bench {words}" for words in made.benches), f"oodkit {ranking}"]  # fmt: skip
    above = "The commands; files without a folder are parts of the data that the script writes:"
    shown = "\n".join([above, "", "```sh", *commands, "```"])
    return f"## {made.title}\n\n{made.text}\n\n{table.strip()}\n\n{shown}\n"


def oodkit(words: str, folder: str) -> str:
    """Run a command without plugins; give what it prints."""
    given = {"OODKIT_STORE": f"{folder}/store", "OODKIT_NO_PLUGINS": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "ood_toolkit", *shlex.split(words)],
        cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise SystemExit(f"oodkit {words}: exit code {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    named = os.environ.get("OODKIT_TEST_DATA")
    parser.add_argument("--data", type=Path, default=named, help="folder of the data; default: OODKIT_TEST_DATA")
    parser.add_argument("--output", type=Path, default=PAGE, metavar="FILE", help="where the page goes")
    asked = parser.parse_args()
    if asked.data is None or not Path(asked.data).is_dir():
        raise SystemExit("expected the folder of the data under OODKIT_TEST_DATA or --data")
    parts = [chapter(one, Path(asked.data).resolve()) for one in CHAPTERS]
    asked.output.write_text("\n".join([INTRO, *parts, OUTRO]))


if __name__ == "__main__":
    main()
