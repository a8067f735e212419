"""Speed of encoding: the network alone, the plain open_clip loop and `oodkit encode`, as ratios in one run.

    python benchmarks/encode.py [--images FOLDER] [--count N] [--device cuda]

Part one: ViT-B/32 with random weights on ordinary pictures, where the network is the limit. The goal is 94 % of its
bare speed (90 % on a GPU). Part two: `digits-clip` on 12-megapixel JPEGs, where decoding is. The goal is three times
the plain loop at its best number of workers. Each contestant runs in every round, the medians are compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ood_toolkit import FilePicture, Model, Pictures, find_model, get_registry
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.encode.options import Effort

BATCH = 32
WORKERS = (0, 1, 2)


class Plain(Dataset[Tensor]):
    """What the usual script does: open, convert, preprocess."""

    def __init__(self, model: Model, files: Sequence[Path]) -> None:
        self.model, self.files = model, files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Tensor:
        return self.model.preprocess(Image.open(self.files[place]).convert("RGB"))


def network(model: Model, tensors: Tensor, device: str) -> None:
    """Encode ready tensors."""
    with torch.inference_mode():
        for batch in tensors.split(BATCH):
            model.encode_images(batch.to(device)).cpu()


def plain(model: Model, files: Sequence[Path], workers: int, device: str) -> None:
    """Run the plain loop."""
    with torch.inference_mode():
        for batch in DataLoader(Plain(model, files), batch_size=BATCH, num_workers=workers):
            model.encode_images(batch.to(device)).cpu()


def ours(model: Model, files: Sequence[Path], device: str) -> None:
    """Encode into a new store."""
    pictures = Pictures([FilePicture(str(file)) for file in files], tuple(file.name for file in files))
    with tempfile.TemporaryDirectory() as store:
        encode_pictures(model, pictures, Path(store), effort=Effort(device=device, batch=BATCH))


def rates(contestants: dict[str, Callable[[], None]], count: int, rounds: int) -> dict[str, float]:
    """Give the median images per second of each contestant, all of them run in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: count / statistics.median(found) for name, found in seconds.items()}


def compare(model: Model, files: Sequence[Path], device: str, rounds: int) -> None:
    """Print how fast everyone is, and the two ratios."""
    model.to(device)
    ready = torch.stack([Plain(model, files)[place] for place in range(min(len(files), 8 * BATCH))])
    ready = ready.repeat(-(-len(files) // len(ready)), 1, 1, 1)[: len(files)]
    contestants: dict[str, Callable[[], None]] = {"network alone": lambda: network(model, ready, device)}
    for workers in WORKERS:
        contestants[f"plain loop, {workers} workers"] = lambda workers=workers: plain(model, files, workers, device)  # type: ignore[misc]
    contestants["oodkit encode"] = lambda: ours(model, files, device)
    network(model, ready[: 2 * BATCH], device)
    found = rates(contestants, len(files), rounds)
    for name, rate in found.items():
        print(f"  {name:24} {rate:10.1f} images/s")
    best = max(rate for name, rate in found.items() if name.startswith("plain"))
    print(f"  oodkit / network alone   {found['oodkit encode'] / found['network alone']:10.3f}")
    print(f"  oodkit / best plain loop {found['oodkit encode'] / best:10.3f}")


def photographs(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write JPEGs: scikit-learn's two photographs at another size, with a sensor's noise."""
    from sklearn.datasets import load_sample_images

    rng, files = np.random.default_rng(0), []
    sources = [
        Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC) for picture in load_sample_images().images
    ]
    for place in range(count):
        grain = rng.normal(0, 4, (size[1], size[0], 1)).astype(np.float32)
        noisy = np.clip(np.asarray(sources[place % 2], dtype=np.float32) + grain, 0, 255).astype(np.uint8)
        files.append(folder / f"{size[0]}-{place:04d}.jpg")
        Image.fromarray(noisy).save(files[-1], quality=90)
    return files


@click.command()
@click.option("--images", type=click.Path(path_type=Path, exists=True), help="Folder of pictures; by default drawn.")
@click.option("--count", default=256, show_default=True, help="Pictures of part one.")
@click.option("--large", default=24, show_default=True, help="12-megapixel pictures of part two.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; medians are compared.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
def main(images: Path | None, count: int, large: int, rounds: int, device: str) -> None:
    """Run both parts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sorted(p for p in images.rglob("*") if p.is_file())[:count] if images else []
        files = files or photographs(folder, count, (341, 256))
        print(f"ViT-B/32, random weights, {len(files)} pictures", flush=True)
        compare(random_clip(folder), files, device, rounds)
        print(f"digits-clip, {large} pictures of 12 megapixels", flush=True)
        compare(
            find_model("digits-clip", get_registry()).load(), photographs(folder, large, (4000, 3000)), device, rounds
        )


def random_clip(folder: Path) -> Model:
    """Write a ViT-B/32 with random weights to a file, and load it as anyone would."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / "random.safetensors"
    clip = open_clip.create_model("ViT-B-32")
    save_file({name: tensor.contiguous() for name, tensor in clip.state_dict().items()}, path)
    return find_model(f"ViT-B-32/{path}", get_registry()).load()


if __name__ == "__main__":
    main()
