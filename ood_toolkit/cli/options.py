"""Options that several commands have, and how a listing is printed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.api.prompts import WORDNET, Prompts
from ood_toolkit.store.files import default_store

if TYPE_CHECKING:
    from ood_toolkit.api.stream import AnyScorer
    from ood_toolkit.benchmark.gather import Gathered
    from ood_toolkit.benchmark.settings import Request
    from ood_toolkit.encode.sets import Sets

__all__ = [
    "encoding",
    "limit",
    "model",
    "models",
    "opened",
    "prompts",
    "seed",
    "store",
]

Command = Callable[..., Any]
MODEL_HELP = (
    "Model to encode with, such as ViT-B-32/laion2b_s34b_b79k, ARCH/FILE, local-dir:PATH, timm:NAME; or the "
    "label of imported arrays. By default the one that fits."
)
model = click.option("--model", help=MODEL_HELP)
models = click.option("--model", "models", multiple=True, help=f"{MODEL_HELP} Repeat it to compare models.")
PROMPT_SETS = ("own", "simple", "openai")
prompts = click.option(
    "--prompts",
    multiple=True,
    metavar="TEMPLATE|FILE|SET",
    help='Prompt template with {}, such as "a photo of a {}", a file with one a line, or a set of templates: own (all '
    "of the data set's), simple, openai (80). Repeat it for an ensemble. By default the data set's first template, and "
    "each scorer's own where its paper has one.",
)
head = click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="FILE|DIR",
    help="Trained head in the place of prompts: a file, or the folder that oodkit train head or prompts wrote. With "
    "several ID sets NAME=FILE for each, or the folder.",
)
RECIPES = ("normalise-sum-normalise", "mean-then-normalise", "average-scores")
recipe = click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    default=RECIPES[0],
    show_default=True,
    help="How several prompts become one: of their embeddings, or of the scores under each.",
)
negatives = click.option(
    "--negatives",
    metavar="FILE|wordnet",
    help="Words that negative labels are mined from, one a line. By default wordnet, 70,000 words, where --scorers "
    "names a score that has negatives; they are encoded once.",
)
texts = click.option(
    "--texts",
    multiple=True,
    metavar="BANK=FILE",
    help="Further texts for scores that need text:BANK: a text file with one a line, or their embeddings in .npz, "
    ".safetensors or .pt. Repeat it for several banks.",
)
ci = click.option("--ci", is_flag=True, help="Add 95 % intervals: DeLong's for AUROC, a bootstrap for the rest.")
ci_replicates = click.option(
    "--ci-replicates", type=click.IntRange(1), default=1000, show_default=True, help="Resamples of the bootstrap."
)
paired = click.option(
    "--paired", is_flag=True, help="Test each scorer's AUROC against one scorer's on the same images, Holm-corrected."
)
against = click.option(
    "--against",
    default="first",
    show_default=True,
    metavar="SPEC",
    help="With --paired: the scorer that the others are tested against; first, or best, that of the largest AUROC.",
)


def check_comparisons(ci: bool, ci_replicates: int, paired: bool, against: str) -> None:
    """Refuse an option that has no effect without another."""
    if against != "first" and not paired:
        raise click.UsageError("--against: goes with --paired")
    if ci_replicates != 1000 and not ci:
        raise click.UsageError("--ci-replicates: goes with --ci")


seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every random choice.")
limit = click.option("--limit", type=click.IntRange(1), help="Use at most so many images of each set.")
keep = click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["pre_projection", "local"]),
    help="Encode this beside the embedding, for scorers that need extra:pre_projection or extra:local.",
)
data_root = click.option(
    "--data-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the data sets' pictures; by default OODKIT_DATA, else the folder data.",
)
ENCODING = (
    data_root,
    click.option("--download", is_flag=True, help="Download data sets and weights that are not here."),
    click.option("--strict", is_flag=True, help="Stop at an unreadable image instead of skipping it."),
    click.option("--rehash", is_flag=True, help="Read every picture again, also those that seem unchanged."),
    click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="What the model encodes in.  "
                 "[default: fp32]"),
    click.option("--batch-size", type=click.IntRange(1), help="Images in a forward pass, a divisor of 1024; by default "
                 "32 on a CPU, else 256."),
    click.option("--workers", type=click.IntRange(1), help="Threads that read and decode; by default one for each "
                 "core."),
    click.option("--compile", is_flag=True, help="Compile the image tower first."),
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What "
                 "encodes: this process, or a Ray cluster."),
    click.option("--share", metavar="URL", help="Where the workers of a cluster put what they encode if they do not "
                 "see the store, such as s3://bucket/folder."),
    click.option("--device", default="cpu", show_default=True, help="Torch device to compute on, such as cuda."),
)  # fmt: skip


def encoding(command: Command) -> Command:
    """Add the options that say where pictures lie and how they are encoded."""
    for option in reversed(ENCODING):
        command = option(command)
    return command


store = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of encoded and imported arrays; by default OODKIT_STORE, else the user's cache folder.",
)


def read_prompts(given: Sequence[str]) -> tuple[str, ...]:
    """Give the templates of `--prompts`, reading files and named sets; `own` stays, for each data set has its own."""
    from ood_toolkit.errors import DataError
    from ood_toolkit.models.templates import named_templates

    templates: list[str] = []
    for text in given:
        if "{}" in text or text == "own":
            templates.append(text)
        elif text in PROMPT_SETS:
            templates += named_templates(text)
        elif Path(text).is_file():
            lines = _lines(Path(text))
            if not lines:
                raise DataError(f"--prompts: expected a template on each line of {text}, got an empty file")
            templates += lines
        else:
            raise DataError(
                f"--prompts: expected a template with {{}}, a file with one a line, or {', '.join(PROMPT_SETS)}; "
                f"got {text!r}"
            )
    for template in templates:
        if template != "own" and template.count("{}") != 1:
            raise DataError(f"--prompts: expected {{}} once in each template, got {template!r}")
    return tuple(templates)


def _lines(file: Path) -> list[str]:
    from ood_toolkit.errors import DataError

    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"--prompts: expected {file} to be text in UTF-8") from None


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or that is not there."""
    import torch

    from ood_toolkit.errors import ModelError

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"--device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from None


def opened(
    ids: tuple[str, ...],
    groups: dict[str, tuple[str, ...]],
    *,
    model: str | None,
    store: Path | None,
    data_root: Path | None,
    download: bool,
    precision: str | None,
    device: str,
    engine: str,
    seed: int,
    limit: int | None,
    prompts: Sequence[str] = (),
    recipe: str = RECIPES[0],
    val_split: float | None = None,
    keep: Sequence[str] = (),
    wished: Sequence[str] = (),
    views: bool = False,
    negatives: str | None = None,
    texts: Sequence[str] = (),
    local: Prompts | None = None,
    csid: tuple[str, ...] = (),
    tune: tuple[str, ...] = (),
    heads: Sequence[str] = (),
    needs_pictures: bool = False,
    splits: tuple[str, ...] = ("test",),
    **effort: Any,
) -> tuple[Request, Sets]:
    """Turn what a command asks for into a request, and open the sets of the model that answers for them.

    What must be refused is refused before torch is imported. Imported sets count as here if they have one of `splits`.
    """
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.cli.progress import progress
    from ood_toolkit.encode.choice import finder
    from ood_toolkit.errors import DataError

    if effort.get("share") and engine == "local":
        raise click.UsageError("--share goes with --engine ray")
    if data_root is not None and not data_root.is_dir() and not download:
        raise DataError(f"--data-root: no such folder: {data_root}")
    if heads and prompts:
        raise click.UsageError("--head and --prompts are two heads; give one")
    from ood_toolkit.benchmark.settings import Request, head_files

    trained = head_files(heads, ids)
    if trained and not _holds_texts(trained):
        if "local" in keep:
            raise click.UsageError("--keep local: compares patches with class texts, and --head has none")
        wished = [kind for kind in wished if kind != "local"]
    templates = read_prompts(prompts)
    words, banks = _words(negatives), read_banks(texts)
    find = finder(get_registry(), download=download)
    named = (*ids, *csid, *tune)
    choice = chosen(model, named, groups, find, splits=splits, store=store, download=download, precision=precision)
    if not download:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no library behind us downloads what nobody asked for
    from ood_toolkit.benchmark.gather import open_sets
    from ood_toolkit.encode.options import Effort
    from ood_toolkit.encode.sets import Place

    if engine == "local":  # a cluster's workers have devices of their own
        check_device(device)
    given = Effort(device, effort.pop("batch_size", None), engine=engine, **effort)
    root = data_root or default_data_root()
    place = Place(store or default_store(), root, given, download, limit, seed, needs_pictures)
    merged: Any = RECIPES[0] if recipe == "average-scores" else recipe
    request = Request(
        ids, groups, templates, merged, views, val_split, seed, limit, words, banks, local, csid, tune, trained
    )
    return request, open_sets(choice, find, place, keep, wished, progress)


def _holds_texts(trained: Mapping[str, str]) -> bool:
    """Tell whether all trained heads are of class texts, so that patches can be compared with them."""
    from ood_toolkit.store.head_file import read_head

    return all(read_head(file).head.kind == "zero_shot" for file in trained.values())


def asked_by(scorers: Sequence[AnyScorer], text: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the options what scorers, given as this text, want encoded beside the features."""
    needs = {need for scorer in scorers for need in scorer.needs}
    kinds = [kind for kind in ("pre_projection", "local") if f"extra:{kind}" in needs]
    local = {s.prompts: s for s in scorers if "extra:local" in s.needs and s.prompts is not None}
    if len(local) > 1 and not where.get("prompts"):
        names = " and ".join(scorer.spec for scorer in local.values())
        raise click.UsageError(f"--scorers: {names} need extra:local under different prompts; run them apart")
    _refuse_unasked(scorers, needs, where)
    return {
        **where,
        "wished": kinds,
        "views": "text:prompts" in needs,
        "negatives": where.get("negatives") or (WORDNET if _wants_words(scorers, text) else None),
        "local": next(iter(local), None),
    }


def _refuse_unasked(scorers: Sequence[AnyScorer], needs: Collection[str], where: Mapping[str, Any]) -> None:
    """Refuse further texts that no scorer of the run looks at: most likely the name is mistyped."""
    from ood_toolkit.errors import DataError

    asked = {need.removeprefix("text:") for need in needs if need.startswith("text:")}
    for bank in read_banks(where.get("texts", ())):
        if bank not in asked:
            known = f"; they ask for {', '.join(sorted(asked))}" if asked else ""
            raise DataError(f"--texts: no scorer of this run asks for text:{bank}{known}")
    if where.get("negatives") and not any(
        bank.source == WORDNET for s in scorers if s.prompts for bank in s.prompts.banks
    ):
        raise DataError("--negatives: no scorer of this run has negatives, as neglabel, csp, cma, adaneg and tanl have")


def _wants_words(scorers: Sequence[AnyScorer], text: str) -> bool:
    """Tell whether a score with negatives was asked for by name; a group alone does not have 70,000 words encoded."""
    named = set(re.findall(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", text))
    wanting = [s for s in scorers if s.prompts and any(bank.source == WORDNET for bank in s.prompts.banks)]
    return any(scorer.name in named for scorer in wanting)


def _words(given: str | None) -> str:
    """Check `--negatives`."""
    from ood_toolkit.data.words import read_words
    from ood_toolkit.errors import DataError

    if given and given != WORDNET:
        if not Path(given).is_file():
            raise DataError(f"--negatives: expected wordnet or a file with one word a line, got {given!r}")
        read_words(given)  # what is wrong with it is said before anything is encoded
    return given or ""


def read_banks(given: Sequence[str]) -> dict[str, str]:
    """Read `--texts BANK=FILE`."""
    from ood_toolkit.errors import DataError

    banks = {}
    for text in given:
        bank, equals, file = text.partition("=")
        if not (equals and bank.strip() and file):
            raise click.UsageError(f"--texts: expected BANK=FILE, got {text!r}")
        if not Path(file).is_file():
            raise DataError(f"--texts: no such file: {file}")
        banks[bank.strip()] = file
    return banks


def gathered(request: Request, sets: Sets, needs: Collection[str], *, with_train: bool = False) -> Gathered:
    """Encode what the store lacks, with progress, and say on stderr what was encoded and what could not be read."""
    from ood_toolkit.benchmark.gather import gather
    from ood_toolkit.cli.progress import clear, encoded

    start = time.monotonic()
    found = gather(request, sets, with_train=with_train or bool({"train", "train_labels"} & set(needs)))
    clear()
    encoded(found.about, time.monotonic() - start)
    return found


def chosen(
    model: str | None, ids: Sequence[str], groups: Mapping[str, Sequence[str]], find: Any = None, *,
    splits: Sequence[str] = ("test",), store: Path | None, download: bool, precision: str | None, **more: Any,
) -> Any:  # fmt: skip
    """Say which model answers for the sets; what must be refused is refused, and torch is not imported."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.encode.choice import choose, finder

    registry, folder = get_registry(), store or default_store()
    named = dict.fromkeys([*ids, *(name for names in groups.values() for name in names)])
    find = find or finder(registry, download=download)
    return choose(registry, folder, model, list(named), find, splits, download=download, precision=precision)


def default_data_root() -> Path:
    """Give `OODKIT_DATA`, else the folder `data` here."""
    return Path(os.environ.get("OODKIT_DATA") or "data")
