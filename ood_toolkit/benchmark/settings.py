"""`Settings`: all that says what a run is, each field with the option that sets it.

The command line, presets, the seminar and the header of a run read the options off these fields, so that a new one is
declared here and used where it acts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ood_toolkit.api.prompts import Prompts, Recipe
from ood_toolkit.benchmark.option import Option, option, option_of
from ood_toolkit.benchmark.reading import (
    read_banks,
    read_groups,
    read_ids,
    read_lists,
    read_metrics,
    read_names,
    read_prompts,
    read_tuned,
    read_words,
)

__all__ = ["MODEL_HELP", "RECIPES", "Settings", "options"]

RECIPES = ("normalise-sum-normalise", "mean-then-normalise", "average-scores")
KINDS = ("pre_projection", "local")
MODEL_HELP = (
    "Model to encode with, such as ViT-B-32/laion2b_s34b_b79k, ARCH/FILE, local-dir:PATH, timm:NAME; or the "
    "label of imported arrays. By default the one that fits."
)
DEFAULT_ID, DEFAULT_OOD = "digits", ("letters", "patches")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run is: sets, model, texts, splits, what is measured and compared, and how images are encoded."""

    scorers: str = option(
        "classwise,grid,mean,msp,mcm", "--scorers", "Specs such as msp,knn:k=100; all; a group. Repeat it to add.",
        "benchmark", read=",".join, many=True, shows_default=True, of_outputs=True,
    )  # fmt: skip
    ready: tuple[str, ...] = option(
        (), "--scores",
        "Ready scores of your own method, imported with --scores under this label: a row beside the scorers, on the "
        "same images, matched by their ids. Repeat it for several.",
        "benchmark", read=read_names, many=True, metavar="LABEL", of_outputs=True,
    )  # fmt: skip
    ids: tuple[str, ...] = option(
        (), "--id", "ID set; repeat it for a combiner. Default: digits.", "benchmark",
        read=read_ids, many=True, metavar="NAME",
    )  # fmt: skip
    groups: Mapping[str, tuple[str, ...]] = option(
        {}, "--ood", "OOD sets, or GROUP=A,B for a mean. Default: letters,patches.", "benchmark",
        read=read_groups, many=True, metavar="A,B",
    )  # fmt: skip
    """OOD sets by group; the group "" is unnamed."""
    csid: tuple[str, ...] = option(
        (), "--csid",
        "Covariate-shifted ID sets, such as imagenet-v2: every scorer is shown once more on the full spectrum, where "
        "their images count as in-distribution beside the ID test. Nothing is fitted or calibrated on them.",
        "benchmark", read=read_lists, many=True, metavar="A,B",
    )  # fmt: skip
    models: tuple[str, ...] = option(
        (), "--model", f"{MODEL_HELP} Repeat it to compare models.", "images", read=read_names, many=True,
    )  # fmt: skip
    prompts: tuple[str, ...] = option(
        (), "--prompts",
        'Prompt template with {}, such as "a photo of a {}", a file with one a line, or a set of templates: own (all '
        "of the data set's), simple, openai (80). Repeat it for an ensemble. By default the data set's first template, "
        "and each scorer's own where its paper has one.",
        "benchmark", read=read_prompts, many=True, metavar="TEMPLATE|FILE|SET",
        measures=True, texts=True, of_outputs=True,
    )  # fmt: skip
    """Templates in place of the set's first and the scorers' own; `own` stands for all of the set's."""
    heads: tuple[str, ...] = option(
        (), "--head",
        "Trained head in the place of prompts: a file, or the folder that oodkit train head or prompts wrote. With "
        "several ID sets NAME=FILE for each, or the folder.",
        "benchmark", many=True, metavar="FILE|DIR", measures=True, texts=True, of_outputs=True,
    )  # fmt: skip
    recipe: str = option(
        RECIPES[0], "--recipe", "How several prompts become one: of their embeddings, or of the scores under each.",
        "benchmark", choices=RECIPES, shows_default=True, measures=True,
    )  # fmt: skip
    negatives: str = option(
        "", "--negatives",
        "Words that negative labels are mined from, one a line. By default wordnet, 70,000 words, where --scorers "
        "names a score that has negatives; they are encoded once.",
        "benchmark", read=read_words, metavar="FILE|wordnet", measures=True, texts=True,
    )  # fmt: skip
    """`wordnet`, a file with one word a line, or "" for none."""
    texts: Mapping[str, str] = option(
        {}, "--texts",
        "Further texts for scores that need text:BANK: a text file with one a line, or their embeddings in .npz, "
        ".safetensors or .pt. Repeat it for several banks.",
        "benchmark", read=read_banks, many=True, metavar="BANK=FILE", measures=True, texts=True,
    )  # fmt: skip
    """Files with further texts, or their embeddings, by the name of the bank that they become."""
    combiners: str = option(
        "", "--combiners",
        "Specs of combiners, or all; they merge the models of several ID sets. With one --id they merge its "
        "classifiers: each --model under its prompts, then each --head.",
        "benchmark",
        read=",".join, many=True, of_outputs=True,
    )  # fmt: skip
    val_split: float | None = option(
        None, "--val-split",
        "Share of the ID test images to calibrate on; 0 scores all of them and decides nothing. Default: the set's "
        "own validation, else 0.2.",
        "benchmark", kind=float, least=0, below=1, of_outputs=True, in_header=True,
    )  # fmt: skip
    tune: tuple[str, ...] = option(
        (), "--tune",
        "OOD validation sets, which are not tested on: each scorer takes the values of its grid that tell ID "
        "validation from them best. oodkit scorers show NAME tells its grid.",
        "benchmark", read=read_tuned, many=True, metavar="A,B", measures=True, of_outputs=True,
    )  # fmt: skip
    """The validation split of each is searched on, its test split where it has none."""
    protocol: str = option(
        "native", "--protocol",
        "Whose rules the metrics follow: native, openood-v1.5, pytorch-ood, mcm, clipn, knn-ood or vim.",
        "benchmark", shows_default=True, metavar="NAME",
    )  # fmt: skip
    metrics: tuple[str, ...] = option(
        (), "--metrics",
        "Further metrics of OOD detection: fpr@0.9 or fpr90_ood at any level, oscr, detection_error and so on; each "
        "but oscr also behind macro_, as its mean over the classes of an OOD set.",
        "benchmark", read=read_metrics, many=True, metavar="A,B",
    )  # fmt: skip
    """Keys of metrics beside those of the protocol."""
    ci: bool = option(
        False, "--ci", "Add 95 % intervals: DeLong's for AUROC, a bootstrap for the rest.", "benchmark", kind=bool
    )
    ci_replicates: int = option(
        1000, "--ci-replicates", "Resamples of the bootstrap.", "benchmark", kind=int, least=1, shows_default=True
    )
    paired: bool = option(
        False, "--paired", "Test each scorer's AUROC against one scorer's on the same images, Holm-corrected.",
        "benchmark", kind=bool,
    )  # fmt: skip
    against: str = option(
        "first", "--against",
        "With --paired: the scorer that the others are tested against; first, or best, that of the largest AUROC.",
        "benchmark", shows_default=True, metavar="SPEC",
    )  # fmt: skip
    keep: tuple[str, ...] = option(
        (), "--keep",
        "Encode this beside the embedding, for scorers that need extra:pre_projection or extra:local.",
        "benchmark", many=True, choices=KINDS,
    )  # fmt: skip
    seed: int = option(
        0, "--seed", "Seed of every random choice.", "effort", kind=int, least=0, shows_default=True, in_header=True
    )
    limit: int | None = option(
        None, "--limit", "Use at most so many images of each set.", "images", kind=int, least=1,
        measures=True, of_outputs=True, in_header=True,
    )  # fmt: skip
    data_root: Path | None = option(
        None, "--data-root", "Folder of the data sets' pictures; by default OODKIT_DATA, else the folder data.",
        "effort", kind=Path,
    )  # fmt: skip
    download: bool = option(
        False, "--download", "Download data sets and weights that are not here.", "effort", kind=bool
    )
    strict: bool = option(False, "--strict", "Stop at an unreadable image instead of skipping it.", "effort", kind=bool)
    rehash: bool = option(
        False, "--rehash", "Read every picture again, also those that seem unchanged.", "effort", kind=bool
    )
    precision: str | None = option(
        None, "--precision", "What the model encodes in.  [default: fp32]", "images", choices=("fp32", "bf16", "fp16")
    )
    batch_size: int | None = option(
        None, "--batch-size",
        "Images in a forward pass, a divisor of 1024; by default 32 on a CPU, else 256.", "effort", kind=int, least=1,
    )  # fmt: skip
    workers: int | None = option(
        None, "--workers", "Threads that read and decode; by default one for each core.", "effort", kind=int, least=1
    )
    compile: bool = option(False, "--compile", "Compile the image tower first.", "effort", kind=bool)
    engine: str = option(
        "local", "--engine", "What encodes: this process, or a Ray cluster.", "effort",
        choices=("local", "ray"), shows_default=True,
    )  # fmt: skip
    exchange: str | None = option(
        None, "--share",
        "Where the workers of a cluster put what they encode if they do not see the store, such as s3://bucket/folder.",
        "effort", metavar="URL",
    )  # fmt: skip
    device: str = option("cpu", "--device", "Torch device to compute on, such as cuda.", "effort", shows_default=True)
    store: Path | None = option(
        None, "--store",
        "Folder of encoded and imported arrays; by default OODKIT_STORE, else the user's cache folder.",
        "effort", kind=Path,
    )  # fmt: skip

    wished: tuple[str, ...] = ()
    """Kinds of output that scorers want encoded beside the features, where the model has them."""
    views: bool = False
    """Whether heads carry the embeddings of each template too."""
    local: Prompts | None = None
    """Prompts that `extra:local` is taken under; None: those of the run."""

    @classmethod
    def read(cls, **typed: Any) -> Settings:
        """Make settings of what was typed after each option, by field; what was not keeps its default."""
        known = options()
        return cls(
            **{name: value if (read := known[name].read) is None else read(value) for name, value in typed.items()}
        )

    @property
    def ood(self) -> tuple[str, ...]:
        """All OOD sets, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))

    @property
    def model(self) -> str | None:
        """The one model; None for the one that fits."""
        return self.models[0] if self.models else None

    @property
    def told(self) -> dict[str, Any]:
        """The values that the header of a run tells, by field."""
        return {name: getattr(self, name) for name, option in options().items() if option.in_header}

    @cached_property
    def trained(self) -> dict[str, str]:
        """Files of trained heads by ID set; `DataError` where one is not there."""
        from ood_toolkit.benchmark.head_files import head_files

        return head_files(self.heads, self.ids)

    @property
    def text_recipe(self) -> Recipe:
        """How the embeddings of several templates become one; scores are averaged over heads that are made so."""
        recipe: Any = RECIPES[0] if self.recipe == RECIPES[-1] else self.recipe
        return recipe

    def with_default_sets(self) -> Settings:
        """Take the embedded sets where no ID set is named."""
        if self.ids:
            return self
        return replace(self, ids=(DEFAULT_ID,), groups=self.groups or {"": DEFAULT_OOD})

    @property
    def combines_classifiers(self) -> bool:
        """Whether combiners merge several classifiers of one ID set, not models of several ID sets."""
        return bool(self.combiners) and len(self.ids) == 1

    def each_model(self) -> Iterator[Settings]:
        """Give the settings of each model's part of the run."""
        return (replace(self, models=(model,)) for model in self.models) if self.models else iter([self])

    def each_classifier(self) -> Iterator[Settings]:
        """Give the settings of each classifier of the one ID set: each model under its prompts, then each trained head.

        A head goes with the model that it was trained on, where several are named.
        """
        from ood_toolkit.benchmark.head_files import trained_on

        yield from (replace(part, heads=()) for part in self.each_model())
        for head in dict.fromkeys(self.heads):
            part = replace(self, heads=(head,), prompts=(), texts={}, negatives="")
            if len(self.models) > 1:
                part = replace(part, models=(trained_on(part.trained[self.ids[0]], self.models),))
            yield part


def options(only: Collection[str] | None = None) -> dict[str, Option]:
    """Give the options by field, in their order; all of them, or those of these fields."""
    known = {one.name: found for one in fields(Settings) if (found := option_of(one)) is not None}
    return {name: found for name, found in known.items() if only is None or name in only}
