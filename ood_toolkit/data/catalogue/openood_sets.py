"""The parts of ImageNet, CIFAR and small sets that OpenOOD v1.5 tests on, read with its own lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.data.catalogue.class_names import CIFAR10 as CIFAR10_NAMES
from ood_toolkit.data.catalogue.class_names import CIFAR100 as CIFAR100_NAMES
from ood_toolkit.data.catalogue.entry import OPENAI, published
from ood_toolkit.data.catalogue.imagenet import known_1000
from ood_toolkit.data.catalogue.imagenet_sets import FOLDERS, IMAGENET1K
from ood_toolkit.data.catalogue.small_sets import CIFAR10, CIFAR100
from ood_toolkit.data.readers.folders import ClassFolders, Reader, labelled, present
from ood_toolkit.data.readers.imglist import openood_list, read_imglist

__all__ = [
    "CIFAR10_OPENOOD",
    "CIFAR100_OPENOOD",
    "IMAGENET1K_OPENOOD",
    "MNIST_OPENOOD",
    "PLACES365_CIFAR10",
    "PLACES365_CIFAR100",
    "TINY_IMAGENET_CIFAR10",
    "TINY_IMAGENET_CIFAR100",
]

OPENOOD = "https://github.com/Jingkang50/OpenOOD"
PAPER = "Zhang et al., OpenOOD v1.5, arXiv 2306.09301"
GET = f"Get benchmark_imglist and the images with OpenOOD's scripts, {OPENOOD}"
CLASSIC = "benchmark_imglist/{} with images_classic/, as OpenOOD's archives unpack"


def imagenet_split(split: str, root: Path) -> Pictures | None:
    """Read OpenOOD's list of ImageNet validation images, from its own folder or from those of imagenet-1k."""
    file = root / "benchmark_imglist" / "imagenet" / f"{split}_imagenet.txt"
    if not file.is_file():
        return None
    rows, known = read_imglist(file), known_1000()
    if any(present(root / "images_largescale", (path for path, _ in rows))):
        return _here(file, root / "images_largescale", rows, known)
    for place in FOLDERS["test"]:
        sorted_rows = [(f"{known.folders[label]}/{path.rpartition('/')[2]}", label) for path, label in rows]
        if any(present(root / place, (path for path, _ in sorted_rows))):
            return _here(file, root / place, sorted_rows, known)
    return None


def cifar_split(name: str, other: str, known: ClassFolders) -> Reader:
    """Make a reader of OpenOOD's list of CIFAR test images; a path names the class, also in the other set's list."""

    def read(split: str, root: Path) -> Pictures | None:
        folder = root / "images_classic"
        for home in (name, other):
            file = root / "benchmark_imglist" / home / f"{split}_{name}.txt"
            if file.is_file() and folder.is_dir():
                rows = [(path, known.label(path.split("/")[-2], file)) for path, _ in read_imglist(file)]
                if any(present(folder, (path for path, _ in rows))):
                    return _here(file, folder, rows, known)
        return None

    return read


def _here(file: Path, folder: Path, rows: list[tuple[str, int]], known: ClassFolders) -> Pictures:
    """Take the images of a list that are here, under the names of the set."""
    there = present(folder, (path for path, _ in rows))
    kept = [row for row, is_there in zip(rows, there, strict=True) if is_there]
    return labelled(folder, kept, known.names, (f"the images of OpenOOD's {file.parent.name}/{file.name}",))


IMAGENET1K_OPENOOD = published(
    "imagenet-1k-openood",
    "ImageNet-1k's validation set as OpenOOD v1.5 splits it: 5,000 images to tune on, 45,000 to test on.",
    {"val": 5_000, "test": 45_000},
    (imagenet_split,),
    (
        "benchmark_imglist/imagenet/{val,test}_imagenet.txt with images_largescale/, as OpenOOD's archives unpack",
        "the same lists with the folders of imagenet-1k",
    ),
    get=f"{IMAGENET1K.layout[-1]}; get benchmark_imglist from {OPENOOD}",
    known=known_1000,
    class_count=1000,
    templates=IMAGENET1K.templates,
    licence=IMAGENET1K.licence,
    source=IMAGENET1K.source,
    label_space="imagenet-1k",
    sources={**IMAGENET1K.sources, "counts": f"OpenOOD v1.5, imagenet/test_imagenet.txt; val: {PAPER}"},
)


def cifar_part(name: str, whole: DataSet, known: ClassFolders, other: str, val: int | None) -> DataSet:
    """Make the part of a CIFAR test set that OpenOOD tests on."""
    return published(
        f"{name}-openood",
        f"{whole.description.split(':')[0]}'s test images as OpenOOD v1.5 splits them: 9,000 to test on.",
        {"val": val, "test": 9_000},
        (cifar_split(name, other, known),),
        (CLASSIC.format(f"{{{name},{other}}}/{{val,test}}_{name}.txt"),),
        get=GET,
        known=known,
        templates=whole.templates,
        source=whole.source,
        sources={
            "counts": f"OpenOOD v1.5, cifar10/test_{name}.txt" + (f" and cifar10/val_{name}.txt" if val else ""),
            "classes": whole.sources["classes"],
            "templates": OPENAI,
            "source": whole.sources["source"],
        },
    )


CIFAR10_OPENOOD = cifar_part("cifar10", CIFAR10, CIFAR10_NAMES, "cifar100", 1_000)
CIFAR100_OPENOOD = cifar_part("cifar100", CIFAR100, CIFAR100_NAMES, "cifar10", None)


def classic(name: str, description: str, listing: str, count: int | None, source: str) -> DataSet:
    """Make an OOD set of OpenOOD's CIFAR benchmarks."""
    reader: Callable[[str, Path], Pictures | None] = openood_list(listing, "images_classic")
    facts = {"counts": f"OpenOOD v1.5, {listing}"} if count else {}
    return published(
        name,
        description,
        {"test": count},
        (reader,),
        (CLASSIC.format(listing),),
        get=GET,
        source=source,
        sources={**facts, "source": f"OpenOOD v1.5, openood/evaluation_api/datasets.py; {PAPER}"},
    )


TINY = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
PLACES = "http://places2.csail.mit.edu/"
TINY_IMAGENET_CIFAR10 = classic(
    "tiny-imagenet-cifar10",
    "Tiny ImageNet without what CIFAR-10 shows, as OpenOOD v1.5 uses it.",
    "cifar10/test_tin.txt",
    7_793,
    TINY,
)
TINY_IMAGENET_CIFAR100 = classic(
    "tiny-imagenet-cifar100",
    "Tiny ImageNet without what CIFAR-100 shows, as OpenOOD v1.5 uses it.",
    "cifar100/test_tin.txt",
    None,
    TINY,
)
MNIST_OPENOOD = classic(
    "mnist-openood",
    "MNIST: its training and test images together, as OpenOOD v1.5 uses them.",
    "cifar10/test_mnist.txt",
    70_000,
    "http://yann.lecun.com/exdb/mnist/",
)
PLACES365_CIFAR10 = classic(
    "places365-cifar10",
    "Places365's validation images without what CIFAR-10 shows, as OpenOOD v1.5 uses them.",
    "cifar10/test_places365.txt",
    35_195,
    PLACES,
)
PLACES365_CIFAR100 = classic(
    "places365-cifar100",
    "Places365's validation images without what CIFAR-100 shows, as OpenOOD v1.5 uses them.",
    "cifar100/test_places365.txt",
    None,
    PLACES,
)
