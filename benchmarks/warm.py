"""What a run costs whose rows, texts and heads the store has: its CPU time beside that of `import torch` alone.

    python benchmarks/warm.py [--images 10000] [--times 5]

Three commands: `oodkit bench` without options; the card's command on so many drawn pictures in class folders, encoded
by a small CLIP of open_clip that gives 512 numbers an image; and the same with every scorer that applies. Each runs
once to fill a store of its own, and once more, since files that were written just now are not remembered. Then it and
`import torch` take turns, each in a fresh process, and the least CPU time of each counts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

CARD = ("bench", "--scorers", "classwise,grid", "--id", "cifar10", "--ood", "food101")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOOD = ("apple_pie", "pizza", "ramen", "sushi", "waffles")
CONFIG = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 512, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
HEAVY = ("open_clip", "torchvision", "timm", "transformers", "sklearn", "scipy", "PIL")
TORCH = "import torch"
RUN = "import sys; sys.argv[0] = 'oodkit'; from ood_toolkit.cli.program import run; run()"
SHOWN = f"print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
LISTED = f"import atexit, sys; atexit.register(lambda: {SHOWN}); "


@click.command()
@click.option("--images", default=10_000, show_default=True, help="Drawn pictures: 40 % ID, 20 % training, 40 % OOD.")
@click.option("--times", default=5, show_default=True, help="Runs of which the least counts.")
def main(images: int, times: int) -> None:
    """Print CPU seconds and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        draw_sets(place / "data", images)
        write_model(place / "model")
        where = ["--model", f"local-dir:{place / 'model'}", "--data-root", str(place / "data")]
        commands = {
            "oodkit bench": ["bench"],
            "the card's command": [*CARD, *where],
            "with all scorers": [*(word.replace("classwise,grid", "all") for word in CARD), *where],
        }
        env = os.environ | {"OODKIT_STORE": str(place / "store"), "OODKIT_NO_PLUGINS": "1"}
        time.sleep(3)  # so that files are old enough to be known by their time
        for name, command in commands.items():
            for _ in range(2):
                seconds([RUN, *command], env)
            measured = [(seconds([TORCH], env), seconds([RUN, *command], env)) for _ in range(times)]
            bare, whole = (min(column) for column in zip(*measured, strict=True))
            imports = subprocess.run(
                [sys.executable, "-c", LISTED + RUN, *command], env=env, capture_output=True, text=True
            ).stderr.splitlines()[-1]
            print(
                f"{name}: {whole:.2f} s, import torch {bare:.2f} s, ratio {whole / bare:.2f}; heavy: {imports or '-'}"
            )


def seconds(arguments: list[str], env: dict[str, str]) -> float:
    """Run a program in a process of its own; give its CPU time, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", *arguments], env=env, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(arguments[1:])}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def draw_sets(root: Path, images: int) -> None:
    """Write random pictures in the class folders of two sets."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for name, classes, share in (("cifar10/test", CIFAR, 4), ("cifar10/train", CIFAR, 2), ("food101/test", FOOD, 4)):
        for place in range(images * share // 10):
            folder = root / name / classes[place % len(classes)]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{place:05d}.png")


def write_model(folder: Path) -> None:
    """Write a small CLIP with random weights as open_clip would."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision, text = open_clip.CLIPVisionCfg(**CONFIG["vision_cfg"]), open_clip.CLIPTextCfg(**CONFIG["text_cfg"])
    clip = open_clip.CLIP(CONFIG["embed_dim"], vision, text)
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({name: tensor.contiguous() for name, tensor in clip.state_dict().items()}, folder / "weights.safetensors")


if __name__ == "__main__":
    main()
