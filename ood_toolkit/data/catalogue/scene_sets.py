"""Data sets of scenes: SUN397, Places365, and the SUN, Places and iNaturalist parts of the MOS benchmark."""

from __future__ import annotations

from ood_toolkit.api.dataset import DataSet
from ood_toolkit.data.catalogue.entry import published
from ood_toolkit.data.readers.folders import plain_folder
from ood_toolkit.data.readers.imglist import openood_list
from ood_toolkit.data.readers.torchvision_sets import downloader, listed_files
from ood_toolkit.data.readers.torchvision_sets import places365 as read_places365

__all__ = ["INATURALIST", "PLACES", "PLACES365", "SUN", "SUN397"]

MOS = "https://github.com/deeplearning-wisc/large_scale_ood"

SUN397 = published(
    "sun397",
    "SUN397: photos of 397 kinds of scenes.",
    {"test": 108_754},
    (listed_files("SUN397", "SUN397", {"test": ("ClassName.txt",)}, {"test": {}}),),
    ("SUN397/<letter>/<class>/<image> with SUN397/ClassName.txt, as torchvision leaves them",),
    class_count=397,
    templates=("a photo of a {}", "a photo of the {}"),
    source="https://vision.princeton.edu/projects/2010/SUN/",
    download=downloader("SUN397"),
    sources={
        "counts": "torchvision.datasets.SUN397, docstring",
        "classes": "ClassName.txt of the set, _ and / as space",
        "source": "torchvision.datasets.SUN397, docstring",
        "checksum": "torchvision.datasets.SUN397._DATASET_MD5",
    },
    notes=("The set has ten official splits and no one of them is the usual one: test is all of it.",),
)
PLACES365 = published(
    "places365",
    "Places365: photos of 365 kinds of places.",
    {"train": 1_803_460, "test": 36_500},
    (read_places365,),
    ("places365/val_256/ with places365/places365_val.txt and categories_places365.txt, as torchvision leaves them",),
    class_count=365,
    source="http://places2.csail.mit.edu/",
    download=downloader("Places365", {"split": "val", "small": True}, below="places365"),
    sources={
        "counts": "https://www.tensorflow.org/datasets/catalog/places365_small",
        "classes": "categories_places365.txt of the set, _ and / as space",
        "source": "torchvision.datasets.Places365, docstring",
        "checksum": "torchvision.datasets.Places365: _IMAGES_META, _DEVKIT_META",
    },
    notes=("test is the official validation set; --download brings that alone, at 256x256.",),
)


def mos(name: str, description: str, listing: str, paper: str) -> DataSet:
    """Make one of the 10,000-image sets that MOS took from a larger one; OpenOOD lists the same images."""
    folder = {"inaturalist": "iNaturalist", "sun": "SUN", "places": "Places"}[name]
    return published(
        name,
        description,
        {"test": 10_000},
        (
            openood_list(f"imagenet/test_{name}.txt", "images_largescale", f"images_largescale/{name}"),
            openood_list(f"imagenet/{listing}", f"images_largescale/{name}", "images_largescale", folder),
            plain_folder(f"{folder}/images", f"images_largescale/{name}/images"),
        ),
        (
            f"{folder}/images/<image>, as MOS's archive unpacks",
            f"benchmark_imglist/imagenet/test_{name}.txt with images_largescale/",
        ),
        get=f"Unpack {folder}.tar.gz, linked at {MOS}; no checksum is published, so nothing is downloaded",
        source=f"http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/{folder}.tar.gz, of {paper}",
        sources={
            "counts": f"OpenOOD v1.5, imagenet/{listing}",
            "source": f"{MOS}, README.md; Huang and Li, MOS, CVPR 2021, arXiv 2105.01879",
        },
    )


INATURALIST = mos(
    "inaturalist",
    "iNaturalist: photos of plants that ImageNet has no class for, chosen by MOS.",
    "test_iNaturalist.txt",
    "iNaturalist 2017",
)
SUN = mos("sun", "SUN: photos of scenes that ImageNet has no class for, chosen by MOS.", "test_SUN.txt", "SUN397")
PLACES = mos(
    "places",
    "Places: photos of places that ImageNet has no class for, chosen by MOS.",
    "test_Places.txt",
    "Places365",
)
