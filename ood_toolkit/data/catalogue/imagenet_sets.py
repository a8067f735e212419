"""ImageNet, its parts and its variants, and the sets that are out of it: SSB-hard, NINCO, OpenImage-O."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ood_toolkit.api.dataset import DataSet
from ood_toolkit.data.catalogue.entry import published
from ood_toolkit.data.catalogue.imagenet import (
    IMAGENET_10,
    IMAGENET_20,
    IMAGENET_100,
    known_1000,
    numbered,
    numbered_folders,
    subset,
    tiny,
    wnid_folders,
)
from ood_toolkit.data.readers.folders import ClassFolders, plain_folder
from ood_toolkit.data.readers.imglist import openood_list

__all__ = [
    "IMAGENET1K",
    "IMAGENET10",
    "IMAGENET20",
    "IMAGENET100",
    "IMAGENET_A",
    "IMAGENET_O",
    "IMAGENET_OOD",
    "IMAGENET_R",
    "IMAGENET_V2",
    "NINCO",
    "OPENIMAGE_O",
    "SSB_HARD",
    "TINY_IMAGENET",
]

TEMPLATES = (
    "a photo of a {}",
    "itap of a {}",
    "a bad photo of the {}",
    "a origami {}",
    "a photo of the large {}",
    "a {} in a video game",
    "art of the {}",
    "a photo of the small {}",
)
TEMPLATES_FROM = "MCM's default first, then the seven of openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb"
NAMES = "open_clip.IMAGENET_CLASSNAMES, pinned by SHA-256: OpenAI's list, which MCM, CLIPN and NegLabel use"
PAPER = "Russakovsky et al., IJCV 2015, arXiv 1409.0575"
MCM = "https://github.com/deeplearning-wisc/MCM"
VARIANTS = "https://github.com/hendrycks/natural-adv-examples"
FOLDERS = {
    "train": ("imagenet-1k/train", "imagenet/train", "train"),
    "test": ("imagenet-1k/val", "imagenet/val", "imagenet/test", "val"),
}
TERMS = "Sign in at https://image-net.org for ILSVRC2012_img_val.tar and sort it into a folder for each WordNet id"
TEST_IS_VAL = "test is the official validation set."

IMAGENET1K = published(
    "imagenet-1k",
    "ImageNet-1k (ILSVRC 2012): photos of 1,000 kinds of things.",
    {"train": 1_281_167, "test": 50_000},
    (wnid_folders(FOLDERS, known_1000),),
    (
        "val/<WordNet id>/<image> and train/, as torchvision leaves them",
        "imagenet-1k/val/",
        "imagenet/val/",
        "val/ILSVRC2012_val_<number>.JPEG with ILSVRC2012_devkit_t12/ beside val/",
    ),
    get=TERMS,
    known=known_1000,
    class_count=1000,
    templates=TEMPLATES,
    licence="ImageNet terms: non-commercial research",
    source="https://image-net.org",
    label_space="imagenet-1k",
    sources={
        "counts": PAPER,
        "classes": f"{NAMES}; ids: timm, data/_info/imagenet_synsets.txt",
        "templates": TEMPLATES_FROM,
        "licence": "https://image-net.org/download",
        "source": "torchvision.datasets.ImageNet, docstring",
    },
    notes=(TEST_IS_VAL,),
)


def part(
    name: str, ids: Mapping[str, str] | tuple[str, ...], count: int, names: str, fixed: ClassFolders | None
) -> DataSet:
    """Make a subset of ImageNet's classes that MCM chose, read from the folders of imagenet-1k."""
    known: Callable[[], ClassFolders] = subset(ids)
    return published(
        name,
        f"ImageNet-{len(ids)}: {len(ids)} classes of ImageNet-1k, chosen by MCM.",
        {"train": None, "test": count},
        (wnid_folders(FOLDERS, known, part=True),),
        ("the folders of imagenet-1k",),
        get=TERMS,
        known=fixed or known,
        class_count=len(ids),
        templates=TEMPLATES,
        licence="ImageNet terms: non-commercial research",
        source="https://image-net.org",
        sources={
            "counts": f"{PAPER}: 50 validation images of each class",
            "classes": names,
            "templates": TEMPLATES_FROM,
            "licence": "https://image-net.org/download",
            "source": f"{MCM}: the choice; https://image-net.org: the images",
        },
        notes=(TEST_IS_VAL, "Labels number the WordNet ids in sorted order."),
    )


IMAGENET10 = part("imagenet-10", IMAGENET_10, 500, f"{MCM}, utils/common.py", subset(IMAGENET_10)())
IMAGENET20 = part("imagenet-20", IMAGENET_20, 1_000, f"{MCM}, utils/common.py", subset(IMAGENET_20)())
IMAGENET100 = part("imagenet-100", IMAGENET_100, 5_000, f"{MCM}, data/ImageNet100/class_list.txt; {NAMES}", None)

IMAGENET_V2 = published(
    "imagenet-v2",
    "ImageNet-V2, matched frequency: a second validation set for the classes of ImageNet-1k.",
    {"test": 10_000},
    (numbered_folders("imagenetv2-matched-frequency-format-val"),),
    ("imagenetv2-matched-frequency-format-val/<0 to 999>/<image>, as its archive unpacks",),
    get="Unpack imagenetv2-matched-frequency.tar.gz from https://huggingface.co/datasets/vaishaal/ImageNetV2",
    known=numbered,
    class_count=1000,
    templates=TEMPLATES,
    source="https://github.com/modestyachts/ImageNetV2",
    label_space="imagenet-1k",
    sources={
        "counts": "Recht, Roelofs, Schmidt and Shankar, ICML 2019, arXiv 1902.10811",
        "classes": NAMES,
        "templates": TEMPLATES_FROM,
        "source": "Recht, Roelofs, Schmidt and Shankar, ICML 2019, arXiv 1902.10811",
    },
)
IMAGENET_A = published(
    "imagenet-a",
    "ImageNet-A: photos of 200 classes of ImageNet-1k that a ResNet-50 gets wrong.",
    {"test": 7_500},
    (),
    (),
    get=f"Unpack imagenet-a.tar, linked at {VARIANTS}",
    known=subset("imagenet_a"),
    class_count=200,
    templates=TEMPLATES,
    source=VARIANTS,
    sources={
        "counts": "Hendrycks, Zhao, Basart, Steinhardt and Song, CVPR 2021, arXiv 1907.07174",
        "classes": f"timm, data/_info/imagenet_a_synsets.txt; {NAMES}",
        "templates": TEMPLATES_FROM,
        "source": "Hendrycks, Zhao, Basart, Steinhardt and Song, CVPR 2021, arXiv 1907.07174",
    },
    notes=("Labels number its own 200 classes.",),
)
IMAGENET_R = published(
    "imagenet-r",
    "ImageNet-R: art, cartoons and other renditions of 200 classes of ImageNet-1k.",
    {"test": 30_000},
    (),
    (),
    get="Unpack imagenet-r.tar, linked at https://github.com/hendrycks/imagenet-r",
    known=subset("imagenet_r"),
    class_count=200,
    templates=TEMPLATES,
    source="https://github.com/hendrycks/imagenet-r",
    sources={
        "counts": "Hendrycks et al., ICCV 2021, arXiv 2006.16241",
        "classes": f"timm, data/_info/imagenet_r_synsets.txt; {NAMES}",
        "templates": TEMPLATES_FROM,
        "source": "Hendrycks et al., ICCV 2021, arXiv 2006.16241",
    },
    notes=("Labels number its own 200 classes.",),
)
IMAGENET_O = published(
    "imagenet-o",
    "ImageNet-O: photos of 200 classes that ImageNet-1k does not have.",
    {"test": 2_000},
    (plain_folder("imagenet-o"),),
    ("imagenet-o/<WordNet id>/<image>, as its archive unpacks",),
    get=f"Unpack imagenet-o.tar, linked at {VARIANTS}",
    licence="MIT",
    source=VARIANTS,
    sources={
        "counts": "Hendrycks, Zhao, Basart, Steinhardt and Song, CVPR 2021, arXiv 1907.07174",
        "licence": "https://huggingface.co/datasets/cais/imagenet-o, its authors' copy",
        "source": "https://github.com/haoqiwang/vim, README.md",
    },
)
TINY_IMAGENET = published(
    "tiny-imagenet",
    "Tiny ImageNet: 64x64 photos of 200 classes of ImageNet.",
    {"train": 100_000, "test": 10_000},
    (tiny,),
    ("tiny-imagenet-200/{train,val}/ with wnids.txt and val/val_annotations.txt, as its archive unpacks",),
    get="Unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip; no checksum is published, so nothing is downloaded",
    known=None,
    class_count=200,
    templates=TEMPLATES,
    source="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    sources={
        "counts": "Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
        "classes": f"wnids.txt of the set, sorted; {NAMES}",
        "templates": TEMPLATES_FROM,
        "source": "Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    },
    notes=(TEST_IS_VAL,),
)
SSB_HARD = published(
    "ssb-hard",
    "SSB-hard: photos of 980 classes of ImageNet-21k that are close to ImageNet-1k.",
    {"test": 49_000},
    (
        openood_list("imagenet/test_ssb_hard.txt", "images_largescale", ""),
        plain_folder("ssb_hard", "images_largescale/ssb_hard", "ssb-hard"),
    ),
    (
        "ssb_hard/<WordNet id>/<image>",
        "benchmark_imglist/imagenet/test_ssb_hard.txt with images_largescale/ssb_hard/, as OpenOOD's archive unpacks",
    ),
    get="Get it with OpenOOD's scripts, https://github.com/Jingkang50/OpenOOD",
    source="Vaze, Han, Vedaldi and Zisserman, ICLR 2022, arXiv 2110.06207",
    sources={
        "counts": "OpenOOD v1.5, imagenet/test_ssb_hard.txt",
        "source": "Zhang et al., OpenOOD v1.5, arXiv 2306.09301",
    },
)
NINCO = published(
    "ninco",
    "NINCO: photos of 64 classes that ImageNet-1k does not have, each looked at by its authors.",
    {"test": 5_879},
    (
        openood_list("imagenet/test_ninco.txt", "images_largescale/ninco", "images_largescale", "ninco"),
        plain_folder("NINCO/NINCO_OOD_classes", "NINCO_OOD_classes", "images_largescale/ninco", "ninco"),
    ),
    (
        "NINCO/NINCO_OOD_classes/<class>/<image>, as its archive unpacks",
        "benchmark_imglist/imagenet/test_ninco.txt with images_largescale/ninco/, as OpenOOD's archive unpacks",
    ),
    get="Unpack NINCO_all.tar.gz from https://zenodo.org/record/8013288",
    licence="MIT",
    source="https://github.com/j-cb/NINCO",
    sources={
        "counts": "Bitterwolf, Müller and Hein, ICML 2023, arXiv 2306.00826; OpenOOD v1.5, imagenet/test_ninco.txt",
        "licence": "README.md of NINCO, as copied at https://huggingface.co/datasets/Rxzh/NINCO",
        "source": "Bitterwolf, Müller and Hein, ICML 2023, arXiv 2306.00826",
    },
)
OPENIMAGE_O = published(
    "openimage-o",
    "OpenImage-O: photos of Open Images that show no class of ImageNet-1k.",
    {"test": 17_632},
    (
        openood_list("imagenet/test_openimage_o.txt", "images_largescale", ""),
        plain_folder("openimage_o/images", "openimage_o", "images_largescale/openimage_o", "openimage-o"),
    ),
    (
        "openimage_o/<image>, as ViM lists them",
        "benchmark_imglist/imagenet/test_openimage_o.txt with images_largescale/openimage_o/",
    ),
    get="Get the images of ViM's list, datalists/openimage_o.txt at https://github.com/haoqiwang/vim",
    source="https://github.com/haoqiwang/vim",
    sources={
        "counts": "Wang, Li, Feng and Zhang, CVPR 2022, arXiv 2203.10807",
        "source": "Wang, Li, Feng and Zhang, CVPR 2022, arXiv 2203.10807",
    },
    notes=("OpenOOD v1.5 tests on 15,869 of these images and keeps 1,763 for tuning.",),
)
IMAGENET_OOD = published(
    "imagenet-ood",
    "ImageNet-OOD: photos of 637 classes of ImageNet-21k that ImageNet-1k does not have.",
    {"test": 31_807},
    (plain_folder("imagenet-ood", "imagenet_ood", "ImageNet-OOD"),),
    ("imagenet-ood/<WordNet id>/<image>",),
    get="Get the images of its authors' list from ImageNet-21k, https://github.com/princetonvisualai/imagenetood",
    source="https://github.com/princetonvisualai/imagenetood",
    sources={
        "counts": "LogitGap, NeurIPS 2025, arXiv 2510.20134, appendix: images and classes",
        "source": "Yang, Zhang and Russakovsky, ICLR 2024, arXiv 2310.01755",
    },
)
