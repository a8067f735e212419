"""Data sets of small images: CIFAR, MNIST, Fashion-MNIST, SVHN, EuroSAT."""

from __future__ import annotations

from ood_toolkit.data.catalogue.class_names import CIFAR10 as CIFAR10_NAMES
from ood_toolkit.data.catalogue.class_names import CIFAR100 as CIFAR100_NAMES
from ood_toolkit.data.catalogue.class_names import DIGIT_NAMES, FASHION
from ood_toolkit.data.catalogue.class_names import EUROSAT as EUROSAT_NAMES
from ood_toolkit.data.catalogue.entry import published
from ood_toolkit.data.readers.cifar import cifar, download_cifar
from ood_toolkit.data.readers.torchvision_sets import arrays, downloader, folder_tree

__all__ = ["CIFAR10", "CIFAR100", "EUROSAT", "FASHION_MNIST", "MNIST", "SVHN"]

CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
NUMBER = ('a photo of the number: "{}"', "a photo of a {}")
TRAIN_OR_TEST = {"train": {"train": True}, "test": {"train": False}}
RAW = {"train": "raw/train-images-idx3-ubyte", "test": "raw/t10k-images-idx3-ubyte"}


def raw(kind: str) -> dict[str, str]:
    """Give the file of each split whose presence says that the split is there."""
    return {split: f"{kind}/{file}" for split, file in RAW.items()}


CIFAR10 = published(
    "cifar10",
    "CIFAR-10: 32x32 photos of 10 kinds of animals and vehicles.",
    {"train": 50_000, "test": 10_000},
    (cifar("CIFAR10", CIFAR10_NAMES.names),),
    ("cifar-10-batches-py/test_batch and the like, as torchvision leaves them",),
    known=CIFAR10_NAMES,
    templates=("a photo of a {}", "a blurry photo of a {}", "a low resolution photo of a {}"),
    source=CIFAR_PAGE,
    download=download_cifar("CIFAR10"),
    sources={
        "counts": CIFAR_PAGE,
        "classes": CIFAR_PAGE,
        "source": "torchvision.datasets.CIFAR10.url",
        "checksum": "torchvision.datasets.CIFAR10: tgz_md5, train_list, test_list",
    },
)
CIFAR100 = published(
    "cifar100",
    "CIFAR-100: 32x32 photos of 100 kinds of things.",
    {"train": 50_000, "test": 10_000},
    (cifar("CIFAR100", CIFAR100_NAMES.names),),
    ("cifar-100-python/test and the like, as torchvision leaves them",),
    known=CIFAR100_NAMES,
    templates=("a photo of a {}", "a blurry photo of a {}", "a low resolution photo of a {}"),
    source=CIFAR_PAGE,
    download=download_cifar("CIFAR100"),
    sources={
        "counts": CIFAR_PAGE,
        "classes": CIFAR_PAGE,
        "source": "torchvision.datasets.CIFAR100.url",
        "checksum": "torchvision.datasets.CIFAR100: tgz_md5, train_list, test_list",
    },
)
MNIST = published(
    "mnist",
    "MNIST: 28x28 grey handwritten digits.",
    {"train": 60_000, "test": 10_000},
    (arrays("MNIST", "", raw("MNIST"), TRAIN_OR_TEST, DIGIT_NAMES.names),),
    ("MNIST/raw/*-ubyte, as torchvision leaves them",),
    known=DIGIT_NAMES,
    templates=NUMBER,
    source="http://yann.lecun.com/exdb/mnist/",
    download=downloader("MNIST", *TRAIN_OR_TEST.values()),
    sources={
        "counts": "http://yann.lecun.com/exdb/mnist/",
        "classes": "openai/CLIP, data/prompts.md: the digits as digits",
        "source": "torchvision.datasets.MNIST.mirrors",
        "checksum": "torchvision.datasets.MNIST.resources",
    },
)
FASHION_MNIST = published(
    "fashion-mnist",
    "Fashion-MNIST: 28x28 grey pictures of clothes.",
    {"train": 60_000, "test": 10_000},
    (arrays("FashionMNIST", "", raw("FashionMNIST"), TRAIN_OR_TEST, FASHION.names),),
    ("FashionMNIST/raw/*-ubyte, as torchvision leaves them",),
    known=FASHION,
    source="https://github.com/zalandoresearch/fashion-mnist",
    download=downloader("FashionMNIST", *TRAIN_OR_TEST.values()),
    sources={
        "counts": "Xiao, Rasul and Vollgraf, 2017, arXiv 1708.07747",
        "classes": "torchvision.datasets.FashionMNIST.classes, in lower case, / as or",
        "source": "torchvision.datasets.FashionMNIST, docstring",
        "checksum": "torchvision.datasets.FashionMNIST.resources",
    },
)
SVHN = published(
    "svhn",
    "SVHN: 32x32 photos of house numbers, the digit in the middle.",
    {"train": 73_257, "test": 26_032},
    (
        arrays(
            "SVHN",
            "svhn",
            {"train": "svhn/train_32x32.mat", "test": "svhn/test_32x32.mat"},
            {"train": {"split": "train"}, "test": {"split": "test"}},
            DIGIT_NAMES.names,
        ),
    ),
    ("svhn/train_32x32.mat and svhn/test_32x32.mat",),
    known=DIGIT_NAMES,
    templates=NUMBER,
    source="http://ufldl.stanford.edu/housenumbers/",
    download=downloader("SVHN", {"split": "train"}, {"split": "test"}, below="svhn"),
    sources={
        "counts": "http://ufldl.stanford.edu/housenumbers/; test: OpenOOD v1.5, cifar10/test_svhn.txt",
        "classes": "torchvision.datasets.SVHN, docstring: label 10 is the digit 0",
        "source": "torchvision.datasets.SVHN.split_list",
        "checksum": "torchvision.datasets.SVHN.split_list",
    },
)
EUROSAT = published(
    "eurosat",
    "EuroSAT: 64x64 satellite pictures of 10 kinds of land.",
    {"test": 27_000},
    (folder_tree("eurosat/2750", EUROSAT_NAMES),),
    ("eurosat/2750/<class>/<image>, as torchvision leaves it",),
    known=EUROSAT_NAMES,
    templates=("a centered satellite photo of {}", "a centered satellite photo of a {}"),
    licence="MIT",
    source="https://github.com/phelber/EuroSAT",
    download=downloader("EuroSAT"),
    sources={
        "counts": "Helber, Bischke, Dengel and Borth, 2019, arXiv 1709.00029",
        "classes": "openai/CLIP, data/prompts.md, for the folders of the set",
        "licence": "https://huggingface.co/datasets/torchgeo/eurosat, from where torchvision downloads",
        "source": "torchvision.datasets.EuroSAT, docstring",
        "checksum": "torchvision.datasets.EuroSAT.download",
    },
    notes=("The set has no official split: test is all of it.",),
)
