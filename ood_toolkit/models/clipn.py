"""CLIPN's checkpoints: a CLIP of open_clip with a second text tower that reads "not this class"."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.model import ModelEntry
from ood_toolkit.errors import ModelError
from ood_toolkit.models.clip import OPTIONS, OpenClip, as_this_open_clip, build_clip, build_tokenizer, check_options
from ood_toolkit.models.configuration import check_choices, check_config, check_size
from ood_toolkit.models.digits_clip import DigitsClip, DigitsClipn
from ood_toolkit.models.open_clip_recipe import CONFIG_NAME, DEFAULT_CHOICES, OpenClipRecipe
from ood_toolkit.models.preprocessing import Preprocessing
from ood_toolkit.models.pretrained import architectures, config_of, package_folder
from ood_toolkit.models.saving import folder_config
from ood_toolkit.models.templates import clipn_templates
from ood_toolkit.models.weights import Checkpoint, check_file, checkpoint_of, load_strictly, read_held
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import shown
from ood_toolkit.store.foreign.objects import read_object
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CLIPN", "Clipn", "load_clipn", "save_clipn"]

SWITCH: Mapping[str, bool] = {"true": True, "false": False}
FOLDER = "local-dir"
"""Stands for the architecture where `open_clip_config.json` beside the checkpoint tells it."""


class Clipn(OpenClip):
    """CLIPN by Wang, Li, Yao and Li, ICCV 2023, arXiv 2308.12213, as its code evaluates a checkpoint.

    The "no" tower is a second text tower of the same shape. A checkpoint with `prompt_no` (16, 77, w) is the learnable
    variant: the mean of these prompts is added to the embedded tokens at all positions, and both towers read the same
    sentences. One without is the hand-crafted variant, whose second tower reads the paired "no" sentences. The paper's
    learnable variant puts learned tokens into the sentence; what was released adds them to it. A checkpoint of
    `oodkit train clipn` says with which templates it was trained; these take the place of CLIPN's 128.

    Cosines are multiplied by exp(logit_scale) of the checkpoint, where CLIPN's evaluation takes the constant 100.
    """

    has_no_tower = True

    def __init__(
        self,
        clip: Any,
        recipe: OpenClipRecipe,
        fingerprint: str,
        tokenize: Callable[..., Tensor],
        quotes: bool = True,
        trained_with: tuple[Sequence[str], Sequence[str]] | None = None,
    ) -> None:
        super().__init__(clip, recipe, fingerprint, tokenize)
        learnable = clip.prompt_no is not None
        yes, no = clipn_templates(quotes)
        self.templates, self.no_templates = map(tuple, trained_with or (yes, yes if learnable else no))
        prompts = len(clip.prompt_no) if learnable else 0
        said = {**json.loads(self.architecture), "no_tower": {"learned_prompts": prompts}}
        self.architecture = json.dumps(said, sort_keys=True, separators=(",", ":"))


def load_clipn(
    argument: str, *, quotes: str | bool = True, precision: str = "fp32", **changes: Any
) -> Clipn | DigitsClipn:
    """Load `ARCH/FILE`, both text towers strictly; `CLIPN.options` has the options."""
    if (file := _of_digits(argument)) is not None:
        return _load_digits(argument, file, precision, **changes)
    from ood_toolkit.models.text_tower import is_plain

    quoted, recipe = _switch(quotes), _settled(argument)
    recipe = check_options(recipe, precision, **changes) or recipe
    assert recipe.weights is not None  # settled from a file
    clip = build_clip(recipe)
    if not is_plain(clip) or recipe.config["text_cfg"].get("hf_tokenizer_name"):
        raise ModelError(f"{recipe.what}: CLIPN doubles text towers like OpenAI's CLIP, which this one is not")
    found, trained_with = _fill(clip, recipe.weights, recipe.what)
    model = Clipn(clip, recipe, found.fingerprint, build_tokenizer(recipe), quoted, trained_with)
    model.precision, model.notes = precision, found.notes
    return model


def _fill(clip: Any, file: Path, what: str) -> tuple[Checkpoint, tuple[Sequence[str], Sequence[str]] | None]:
    """Load a checkpoint into a network, its second text tower too; give it and the templates it was trained with."""
    from ood_toolkit.models.text_tower import add_no_tower

    held = read_held(file)
    found = checkpoint_of(held, file)
    weights = found.weights
    if not any("_no." in name or name.endswith("_no") for name in weights):
        raise ModelError(f"{what}: it has no second text tower; pass {what.removeprefix('clipn:')}")
    prompts = weights.get("prompt_no")
    add_no_tower(clip, None if prompts is None else max(1, len(prompts)) if prompts.ndim else 1)
    load_strictly(clip, as_this_open_clip(weights, clip), what)
    yes, no = (_templates(held, key, what) for key in ("templates", "no_templates"))
    return found, (yes, no) if yes and no else None


def _templates(held: Mapping[str, Any], key: str, what: str) -> list[str]:
    """Return the templates that a checkpoint names, none where it names none."""
    found = held.get(key) or []
    if not isinstance(found, list | tuple) or not all(isinstance(t, str) and t.count("{}") == 1 for t in found):
        raise ModelError(f"{what}: {key}: expected templates with {{}} once in each, got {shown(found)}")
    return list(found)


def _of_digits(argument: str) -> Path | None:
    """Give the file of `digits-clip/FILE`; None for another architecture."""
    architecture, _, file = argument.partition("/")
    return place_of(file) if architecture == DigitsClip.name and file else None


def _load_digits(argument: str, file: Path, precision: str = "fp32", **changes: Any) -> DigitsClipn:
    from ood_toolkit.models.digits_clip import build_clip as build_digits

    _check_digits(argument, file, precision, **changes)
    clip = build_digits()
    found, trained_with = _fill(clip, file, f"clipn:{argument}")
    model = DigitsClipn(clip, found.fingerprint, f"clipn:{DigitsClip.name}/{file}", trained_with)
    model.notes = found.notes
    return model


def _check_digits(argument: str, file: Path, precision: str = "fp32", **changes: Any) -> None:
    given = [*(["precision"] if precision != "fp32" else []), *(name for name, value in changes.items() if value)]
    if given:
        raise ModelError(f"clipn:{argument}: digits-clip has no option {given[0]!r}")
    check_file(file)


def save_clipn(
    model: OpenClip | DigitsClip,
    file: Path,
    epoch: int,
    optimizer: Mapping[str, Any],
    templates: tuple[Sequence[str], Sequence[str]],
) -> str:
    """Write a model with a second text tower as CLIPN's training does; give the name that `--model` takes for it.

    What CLIPN's own loader looks at is `state_dict`; with it go the templates of both towers. A model of open_clip has
    `open_clip_config.json` beside it, with its activation and preprocessing.
    """
    import torch

    weights = {name: weight.detach().cpu() for name, weight in model.clip.state_dict().items()}
    said = {"epoch": epoch, "name": model.name, "state_dict": weights, "optimizer": optimizer}
    architecture = DigitsClip.name
    if isinstance(model, OpenClip):
        architecture = model.name.partition("/")[0]
        if architecture not in architectures() or config_of(architecture).get("quick_gelu"):
            architecture = FOLDER
        with replaced_file(file.with_name(CONFIG_NAME)) as partial:
            partial.write_text(folder_config(model), encoding="utf-8")
    with replaced_file(file) as partial, partial.open("wb") as out:
        torch.save({**said, "templates": list(templates[0]), "no_templates": list(templates[1])}, out)
    return f"clipn:{architecture}/{file}"


def check_clipn(argument: str, *, quotes: str | bool = True, precision: str = "fp32", **changes: Any) -> None:
    """Refuse before anything heavy is imported what `load_clipn` cannot load."""
    _switch(quotes)
    if (file := _of_digits(argument)) is not None:
        _check_digits(argument, file, precision, **changes)
        return
    check_options(_settled(argument), precision, **changes)


def files_of_clipn(argument: str, **options: Any) -> list[Path] | None:
    """Name the files that decide what `load_clipn` gives."""
    if (file := _of_digits(argument)) is not None:
        return [file]
    return _settled(argument).files()


def _settled(argument: str) -> OpenClipRecipe:
    """Settle the architecture and the file, with the preprocessing that CLIPN's code has for all checkpoints."""
    architecture, _, file = argument.partition("/")
    path = place_of(file)
    if file and path.with_name(CONFIG_NAME).is_file():
        return _of_folder(architecture, path)
    config = config_of(architecture)
    if not file:
        raise ModelError(f"clipn:{argument}: expected clipn:ARCH/FILE, such as clipn:ViT-B-16/epoch_10.pt")
    if config.get("quick_gelu"):
        raise ModelError(
            f"clipn:{argument}: CLIPN was trained from weights with GELU, but {architecture} has QuickGELU; "
            f"pass clipn:{architecture.removesuffix('-quickgelu')}/{file}"
        )
    check_file(path)
    preprocessing = Preprocessing.square(config["vision_cfg"].get("image_size", 224), **DEFAULT_CHOICES)
    return OpenClipRecipe(
        f"clipn:{architecture}/{path}",
        config | {"quick_gelu": False},
        preprocessing,
        path,
        None,
        None,
        read=(path.with_name(CONFIG_NAME), package_folder("open_clip") / "model_configs" / f"{architecture}.json"),
    )


def _of_folder(architecture: str, path: Path) -> OpenClipRecipe:
    """Settle a checkpoint of ours: the file beside it tells architecture, activation and preprocessing."""
    what, beside = f"clipn:{architecture}/{path}", path.with_name(CONFIG_NAME)
    if architecture != FOLDER:
        config_of(architecture)  # refuses an unknown name
    check_file(path)
    said = read_object(beside, ModelError, f"{what}: cannot read {beside}")
    config = check_config(said.get("model_cfg"), f"{what}: {CONFIG_NAME}")
    check_size(config, path, f"{what}: {CONFIG_NAME}")
    given = check_choices(said.get("preprocess_cfg"), f"{what}: {CONFIG_NAME}")
    choices = {key: given.get(key, default) for key, default in DEFAULT_CHOICES.items()}
    preprocessing = Preprocessing.square(config["vision_cfg"].get("image_size", 224), **choices)
    return OpenClipRecipe(what, config, preprocessing, path, None, None, read=(beside,))


def _switch(value: str | bool) -> bool:
    found = value if isinstance(value, bool) else SWITCH.get(value.lower())
    if found is None:
        raise ModelError(f"quotes: expected true or false, got {value!r}")
    return found


CLIPN = ModelEntry(
    name="clipn",
    description="A checkpoint of CLIPN, learnable or hand-crafted, whose second text tower reads 'not this class'.",
    load=load_clipn,
    argument="ARCH/FILE",
    check=check_clipn,
    files=files_of_clipn,
    options={
        "quotes": "true (default): its 128 templates stand in quotes, as in its code; false: plain sentences",
        **{name: said for name, said in OPTIONS.items() if name not in ("context", "download")},
    },
    notes=(
        "`oodkit train clipn` writes such files; of digits-clip they are clipn:digits-clip/FILE, and of a folder's "
        "model clipn:local-dir/FILE.",
        "CLIPN released ViT-B-16, three runs, on Google Drive: github.com/xmed-lab/CLIPN.",
    ),
)
