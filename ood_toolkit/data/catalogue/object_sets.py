"""Data sets of objects, textures, food, plants and animals: most of CLIP's fine-grained sets."""

from __future__ import annotations

from ood_toolkit.data.catalogue.class_names import CALTECH101 as CALTECH101_NAMES
from ood_toolkit.data.catalogue.class_names import DTD as DTD_NAMES
from ood_toolkit.data.catalogue.class_names import FLOWERS, PETS
from ood_toolkit.data.catalogue.class_names import FOOD101 as FOOD101_NAMES
from ood_toolkit.data.catalogue.entry import published
from ood_toolkit.data.readers.imglist import openood_list
from ood_toolkit.data.readers.torchvision_sets import (
    caltech256,
    cub200,
    downloader,
    folder_tree,
    food101,
    listed_files,
    oxford_pets,
)

__all__ = [
    "CALTECH101",
    "CALTECH256",
    "CUB200",
    "DTD",
    "FLOWERS102",
    "FOOD101",
    "OXFORD_PETS",
    "STANFORD_CARS",
    "TEXTURES",
    "TEXTURES_OPENOOD",
]

SPLITS = {split: {"split": split} for split in ("train", "val", "test")}
DTD_PAGE = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
DTD_FACTS = {
    "classes": "the folders of the set, Cimpoi et al., CVPR 2014, arXiv 1311.3618",
    "source": "torchvision.datasets.DTD, docstring",
    "checksum": "torchvision.datasets.DTD._MD5",
}

FOOD101 = published(
    "food101",
    "Food-101: photos of 101 dishes.",
    {"train": 75_750, "test": 25_250},
    (food101(FOOD101_NAMES),),
    ("food-101/images/<class>/<id>.jpg with food-101/meta/{train,test}.json, as torchvision leaves them",),
    known=FOOD101_NAMES,
    templates=("a photo of {}, a type of food", "a photo of {}"),
    source="Bossard, Guillaumin and Van Gool, ECCV 2014; http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
    download=downloader("Food101"),
    sources={
        "counts": "torchvision.datasets.Food101, docstring: 750 and 250 of each class",
        "classes": "the folders of the set, _ as space",
        "source": "torchvision.datasets.Food101._URL",
        "checksum": "torchvision.datasets.Food101._MD5",
    },
)
CALTECH101 = published(
    "caltech101",
    "Caltech-101: photos of 101 kinds of objects.",
    {"test": None},
    (folder_tree("caltech101/101_ObjectCategories", CALTECH101_NAMES),),
    ("caltech101/101_ObjectCategories/<class>/<image>, as torchvision leaves it",),
    known=CALTECH101_NAMES,
    source="https://data.caltech.edu/records/mzrjq-6wc02",
    download=downloader("Caltech101"),
    sources={
        "classes": "the folders of the set; 13 of them named after openai/CLIP, data/prompts.md",
        "source": "torchvision.datasets.Caltech101.download",
        "checksum": "torchvision.datasets.Caltech101.download",
    },
    notes=("The set has no official split: test is all of it, without BACKGROUND_Google, which is no class.",),
)
CALTECH256 = published(
    "caltech256",
    "Caltech-256: photos of 256 kinds of objects.",
    {"test": None},
    (caltech256,),
    ("caltech256/256_ObjectCategories/<number>.<class>/<image>, as torchvision leaves it",),
    class_count=256,
    source="https://data.caltech.edu/records/nyy15-4j048",
    download=downloader("Caltech256"),
    sources={
        "classes": "the folders of the set, without number and -101, - as space",
        "source": "torchvision.datasets.Caltech256.download",
        "checksum": "torchvision.datasets.Caltech256.download",
    },
    notes=("The set has no official split: test is all of it, without 257.clutter, which is no class.",),
)
DTD = published(
    "dtd",
    "Describable Textures: photos of 47 textures.",
    {"train": 1_880, "val": 1_880, "test": 1_880},
    (
        listed_files(
            "DTD",
            "dtd/dtd",
            {split: ("images", f"labels/{split}1.txt") for split in SPLITS},
            SPLITS,
            DTD_NAMES,
        ),
    ),
    ("dtd/dtd/images/<class>/<image> with dtd/dtd/labels/{train,val,test}1.txt, as torchvision leaves them",),
    known=DTD_NAMES,
    templates=("a photo of a {} texture", "a photo of a {} pattern", "a photo of a {} thing", "a photo of a {} object"),
    source=DTD_PAGE,
    download=downloader("DTD"),
    sources={"counts": f"{DTD_PAGE}: 40 images of each class in each split", **DTD_FACTS},
    notes=("The official partition 1 of 10.",),
)
TEXTURES = published(
    "textures",
    "Textures: all of the Describable Textures, as the MOS benchmark uses them.",
    {"test": 5_640},
    (folder_tree("dtd/dtd/images", DTD_NAMES), folder_tree("dtd/images", DTD_NAMES)),
    ("dtd/dtd/images/<class>/<image>, as torchvision leaves it", "dtd/images/<class>/<image>"),
    known=DTD_NAMES,
    templates=DTD.templates,
    source=DTD_PAGE,
    download=downloader("DTD"),
    sources={"counts": "OpenOOD v1.5, cifar10/test_texture.txt", **DTD_FACTS},
    notes=("The three splits of dtd in one.",),
)
TEXTURES_OPENOOD = published(
    "textures-openood",
    "Textures without four classes that overlap with ImageNet, as OpenOOD v1.5 uses them.",
    {"test": 5_160},
    (openood_list("imagenet/test_textures.txt", "images_classic/texture", "images_classic", "dtd/dtd/images"),),
    ("benchmark_imglist/imagenet/test_textures.txt with images_classic/texture/ or dtd/dtd/images/",),
    get="Get OpenOOD's benchmark_imglist from https://github.com/Jingkang50/OpenOOD, and dtd with --download",
    source=DTD_PAGE,
    sources={
        "counts": "OpenOOD v1.5, imagenet/test_textures.txt",
        "source": "torchvision.datasets.DTD, docstring",
    },
)
FLOWERS102 = published(
    "flowers102",
    "Oxford Flowers: photos of 102 kinds of flowers.",
    {"train": 1_020, "val": 1_020, "test": 6_149},
    (
        listed_files(
            "Flowers102",
            "flowers-102",
            dict.fromkeys(SPLITS, ("jpg", "imagelabels.mat", "setid.mat")),
            SPLITS,
            FLOWERS.names,
        ),
    ),
    ("flowers-102/jpg/<image> with flowers-102/imagelabels.mat and setid.mat, as torchvision leaves them",),
    known=FLOWERS,
    templates=("a photo of a {}, a type of flower",),
    source="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    download=downloader("Flowers102"),
    sources={
        "counts": "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/, setid.mat",
        "classes": "torchvision.datasets.Flowers102.classes, but for number 60",
        "source": "torchvision.datasets.Flowers102, docstring",
        "checksum": "torchvision.datasets.Flowers102._file_dict",
    },
)
OXFORD_PETS = published(
    "oxford-pets",
    "Oxford-IIIT Pets: photos of 37 breeds of cats and dogs.",
    {"train": 3_680, "test": 3_669},
    (oxford_pets(PETS),),
    ("oxford-iiit-pet/images/<image> with annotations/{trainval,test}.txt beside, as torchvision leaves them",),
    known=PETS,
    templates=("a photo of a {}, a type of pet",),
    licence="CC BY-SA 4.0",
    source="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    download=downloader("OxfordIIITPet"),
    sources={
        "counts": "https://www.tensorflow.org/datasets/catalog/oxford_iiit_pet",
        "classes": "the files of the set, _ as space, in the order of annotations/list.txt",
        "licence": "https://huggingface.co/datasets/timm/oxford-iiit-pet",
        "source": "torchvision.datasets.OxfordIIITPet._RESOURCES",
        "checksum": "torchvision.datasets.OxfordIIITPet._RESOURCES",
    },
    notes=("train is the official trainval.",),
)
STANFORD_CARS = published(
    "stanford-cars",
    "Stanford Cars: photos of 196 models of cars.",
    {"train": 8_144, "test": 8_041},
    (
        listed_files(
            "StanfordCars",
            "stanford_cars",
            {
                "train": ("cars_train", "devkit/cars_meta.mat", "devkit/cars_train_annos.mat"),
                "test": ("cars_test", "devkit/cars_meta.mat", "cars_test_annos_withlabels.mat"),
            },
            SPLITS,
        ),
    ),
    ("stanford_cars/cars_test/ with cars_test_annos_withlabels.mat and devkit/, as torchvision wants them",),
    get="The original address is gone; take a copy that you trust",
    class_count=196,
    source="Krause, Stark, Deng and Fei-Fei, 3DRR 2013; https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    sources={
        "counts": "torchvision.datasets.StanfordCars, docstring",
        "classes": "devkit/cars_meta.mat of the set, as it is",
        "source": "torchvision.datasets.StanfordCars, docstring",
    },
)
CUB200 = published(
    "cub200",
    "CUB-200-2011: photos of 200 kinds of birds.",
    {"train": 5_994, "test": 5_794},
    (cub200,),
    ("CUB_200_2011/images/<class>/<image> with images.txt, train_test_split.txt and classes.txt",),
    get="Unpack CUB_200_2011.tgz from https://www.vision.caltech.edu/datasets/cub_200_2011/",
    class_count=200,
    templates=("a photo of a {}, a type of bird",),
    source="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    sources={
        "counts": "https://www.tensorflow.org/datasets/catalog/caltech_birds2011",
        "classes": "classes.txt of the set, without number, _ as space",
        "source": "Wah, Branson, Welinder, Perona and Belongie, CNS-TR-2011-001",
    },
)
