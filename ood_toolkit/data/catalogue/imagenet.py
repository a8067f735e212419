"""ImageNet's classes, pinned: ids in label order, the prompt names that papers use, the subsets; and its layouts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.data.catalogue.class_names import words
from ood_toolkit.data.catalogue.imagenet_devkit import flat_validation, is_flat
from ood_toolkit.data.readers.folders import ClassFolders, class_folders, images_below, labelled
from ood_toolkit.data.readers.imglist import read_lines
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import quoted

__all__ = [
    "imagenet_names",
    "imagenet_wnids",
    "known_1000",
    "numbered",
    "numbered_folders",
    "subset",
    "tiny",
    "wnid_folders",
]

NAMES_SHA256 = "571ae1c583b4be7da87519494c52bf405a46af05d5815627c7a0dee997068b60"
"""Of the 1,000 names joined by newlines: OpenAI's list with 998 distinct names, which MCM, CLIPN and NegLabel use."""
WNIDS_SHA256 = {
    "imagenet": "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15",
    "imagenet_a": "9826a24166e74ce62fb87b27889874ca26917542c745712309d6e25855d63bc2",
    "imagenet_r": "a6a0729f7a99230280639cab6e51e01485a3b41a676ea35621a501c9d6e83ca4",
}
IMAGENET_10 = {
    "n04552348": "warplane",
    "n04285008": "sports car",
    "n01530575": "brambling bird",
    "n02123597": "Siamese cat",
    "n02422699": "antelope",
    "n02107574": "swiss mountain dog",
    "n01641577": "bull frog",
    "n03417042": "garbage truck",
    "n02389026": "horse",
    "n03095699": "container ship",
}
"""MCM, utils/common.py."""
IMAGENET_20 = {
    "n04147183": "sailboat",
    "n02951358": "canoe",
    "n02782093": "balloon",
    "n04389033": "tank",
    "n03773504": "missile",
    "n02917067": "bullet train",
    "n02317335": "starfish",
    "n01632458": "spotted salamander",
    "n01630670": "common newt",
    "n01631663": "eft",
    "n02391049": "zebra",
    "n01693334": "green lizard",
    "n01697457": "African crocodile",
    "n02120079": "Arctic fox",
    "n02114367": "timber wolf",
    "n02132136": "brown bear",
    "n03785016": "moped",
    "n04310018": "steam locomotive",
    "n04266014": "space shuttle",
    "n04252077": "snowmobile",
}
"""MCM, utils/common.py."""
IMAGENET_100 = words(
    """
    n03877845 n03000684 n03110669 n03710721 n02825657 n02113186 n01817953 n04239074 n02002556 n04356056
    n03187595 n03355925 n03125729 n02058221 n01580077 n03016953 n02843684 n04371430 n01944390 n03887697
    n04037443 n02493793 n01518878 n03840681 n04179913 n01871265 n03866082 n03180011 n01910747 n03388549
    n03908714 n01855032 n02134084 n03400231 n04483307 n03721384 n02033041 n01775062 n02808304 n13052670
    n01601694 n04136333 n03272562 n03895866 n03995372 n06785654 n02111889 n03447721 n03666591 n04376876
    n03929855 n02128757 n02326432 n07614500 n01695060 n02484975 n02105412 n04090263 n03127925 n04550184
    n04606251 n02488702 n03404251 n03633091 n02091635 n03457902 n02233338 n02483362 n04461696 n02871525
    n01689811 n01498041 n02107312 n01632458 n03394916 n04147183 n04418357 n03218198 n01917289 n02102318
    n02088364 n09835506 n02095570 n03982430 n04041544 n04562935 n03933933 n01843065 n02128925 n02480495
    n03425413 n03935335 n02971356 n02124075 n07714571 n03133878 n02097130 n02113799 n09399592 n03594945
    """
)
"""MCM, data/ImageNet100/class_list.txt."""


@cache
def imagenet_wnids(which: str = "imagenet") -> tuple[str, ...]:
    """Give the WordNet ids in label order, from timm's files; `DataError` where they are not the pinned ones."""
    timm = find_spec("timm")  # importing it would take seconds
    places = list(timm.submodule_search_locations or ()) if timm else []
    file = Path(places[0], "data", "_info", f"{which}_synsets.txt") if places else None
    if file is None or not file.is_file():
        raise DataError(f"{which}_synsets.txt: expected timm with its data files; install open_clip_torch again")
    content = file.read_bytes()
    if hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() != WNIDS_SHA256[which]:
        raise DataError(f"{file}: other classes than those that are pinned; install another version of timm")
    return tuple(content.decode().split())


@cache
def imagenet_names() -> tuple[str, ...]:
    """Give the 1,000 prompt names in label order, from open_clip; `DataError` where they are not the pinned ones."""
    import open_clip

    names = tuple(open_clip.IMAGENET_CLASSNAMES)
    if hashlib.sha256("\n".join(names).encode()).hexdigest() != NAMES_SHA256:
        raise DataError(
            f"open_clip_torch {open_clip.__version__}: other ImageNet class names than those that are pinned; "
            "install open_clip_torch 3.3"
        )
    return names


def known_1000() -> ClassFolders:
    """Give the 1,000 class folders and names."""
    return ClassFolders(imagenet_wnids(), imagenet_names())


def numbered() -> ClassFolders:
    """Give the 1,000 classes under folders `0` to `999`, as ImageNet-V2 has them."""
    return ClassFolders(tuple(str(label) for label in range(1000)), imagenet_names())


def subset(ids: Mapping[str, str] | tuple[str, ...] | str) -> Callable[[], ClassFolders]:
    """Make the classes of a part of ImageNet, sorted by id: of ids, with names of their own, or of a file of timm's."""

    def known() -> ClassFolders:
        chosen = tuple(sorted(imagenet_wnids(ids) if isinstance(ids, str) else ids))
        if isinstance(ids, Mapping):
            return ClassFolders(chosen, tuple(ids[wnid] for wnid in chosen))
        name = dict(zip(imagenet_wnids(), imagenet_names(), strict=True))
        return ClassFolders(chosen, tuple(name[wnid] for wnid in chosen))

    return known


def wnid_folders(
    places: Mapping[str, tuple[str, ...]], known: Callable[[], ClassFolders], *, part: bool = False
) -> Callable[[str, Path], Pictures | None]:
    """Make a reader of the first folder present with class folders; `part` passes over classes that are not wanted."""

    def read(split: str, root: Path) -> Pictures | None:
        for place in places[split]:
            folder = root / place
            if not folder.is_dir():
                continue
            if not _has_classes(folder):
                flat = split == "test" and is_flat(folder)
                found = flat_validation(folder, root, known(), part=part) if flat else None
                if found is not None:
                    return found
                continue
            if not part:
                return class_folders(folder, known())
            classes = known()
            rows = [
                (f"{wnid}/{path}", label)
                for label, wnid in enumerate(classes.folders)
                for path in (images_below(folder / wnid) if (folder / wnid).is_dir() else ())
            ]
            if rows:
                return labelled(folder, rows, classes.names)
        return None

    return read


def numbered_folders(place: str) -> Callable[[str, Path], Pictures | None]:
    """Make a reader of the folders `0` to `999` below a place."""

    def read(split: str, root: Path) -> Pictures | None:
        return class_folders(root / place, numbered()) if (root / place).is_dir() else None

    return read


def tiny(split: str, root: Path) -> Pictures | None:
    """Read `tiny-imagenet-200`; test is the official validation set, whose labels are in `val_annotations.txt`."""
    base = root / "tiny-imagenet-200"
    if not (base / "wnids.txt").is_file():
        return None
    wnids = tuple(read_lines(base / "wnids.txt"))
    if strange := set(wnids) - set(known_1000().folders):
        raise DataError(
            f"{base / 'wnids.txt'}: expected ids of ImageNet's 1,000 classes, got {quoted(min(strange), 40)}"
        )
    known = subset(wnids)()
    if split == "train":
        return class_folders(base / "train", known, before="train/") if (base / "train").is_dir() else None
    if not (base / "val" / "val_annotations.txt").is_file():
        return class_folders(base / "val", known, before="val/") if (base / "val").is_dir() else None
    listed = (line.split("\t") for line in read_lines(base / "val" / "val_annotations.txt"))
    wnid = {parts[0]: parts[1] for parts in listed if len(parts) > 1}
    paths = [path for path in images_below(base / "val") if path.rpartition("/")[2] in wnid]
    if not paths:
        raise DataError(f"{base / 'val'}: expected the images of val_annotations.txt, found none")
    rows = ((path, known.label(wnid[path.rpartition("/")[2]], base)) for path in paths)
    return labelled(base / "val", rows, known.names, before="val/")


def _has_classes(folder: Path) -> bool:
    return any(item.name[:1] == "n" and item.name[1:].isdecimal() for item in folder.iterdir())
