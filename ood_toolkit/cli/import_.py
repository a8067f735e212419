"""`oodkit import`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_line


@click.command("import")
@click.argument("name")
@click.argument("file", type=Place())
@click.option("--model", default="imported", show_default=True, help="Label of the model that made the arrays.")
@click.option("--text", type=Place(), help="File with the text embeddings of the classes.")
@click.option("--head", type=Place(), help="File with weight and bias of a linear head.")
@click.option(
    "--texts",
    multiple=True,
    metavar="BANK=FILE",
    help="With --text: embeddings of further texts, such as negatives=FILE, or candidates=FILE to mine negatives from.",
)
@click.option("--split", type=Choice(["test", "val", "train"]), default="test", show_default=True, help="Split.")
@click.option("--scores", is_flag=True, help="FILE holds ready scores, higher = more in-distribution.")
@click.option("--key", help="With --scores: the array to take; by default scores, NAME, id_NAME or ood_NAME.")
@click.option("--lower-is-id", is_flag=True, help="With --scores: lower = more in-distribution; they are negated.")
@click.option("--replace", is_flag=True, help="Point the name at the new arrays if it has others already.")
@options.store
def command(
    name: str,
    file: Path,
    model: str,
    text: Path | None,
    head: Path | None,
    texts: tuple[str, ...],
    split: str,
    scores: bool,
    key: str | None,
    lower_is_id: bool,
    replace: bool,
    store: Path | None,
) -> None:
    """Bring arrays into the store under a data set's name.

    FILE.npz holds embeddings | features | logits, and labels, classes | class_names | names, ids | files, text,
    weight, bias where there are such; texts and a linear head may lie in files of their own. Labels may be class
    names. With --scores it holds one number an image. What looks like a mistake, such as probabilities in the place of
    logits, is said below.

    FILE may also be an .npy file of embeddings, a Parquet file with a column of vectors (embedding) and others (label,
    id | path | image_path, score), or a folder of clip-retrieval (img_emb/*.npy, metadata/*.parquet).
    """
    from ood_toolkit.api.spec import nearest
    from ood_toolkit.benchmark.reading import read_banks
    from ood_toolkit.store.files import default_store
    from ood_toolkit.store.imports import Imports
    from ood_toolkit.store.npz import doubts_of_arrays, not_taken, read_import, read_scores

    if not scores and (key or lower_is_id):
        raise click.UsageError("--key and --lower-is-id go with --scores")
    if text and head:
        raise click.UsageError("--text and --head are two heads; give one")
    if scores and (text or head):
        raise click.UsageError("--text and --head do not go with --scores")
    if texts and not text:
        raise click.UsageError("--texts: goes with --text, the texts of the classes")
    with options.usage():
        banks = {bank: Path(path) for bank, path in read_banks(texts).items()}
    arrays = read_scores(file, name, key, lower_is_id=lower_is_id) if scores else read_import(file, text, head, banks)
    source = ", ".join(path.name for path in (file, text, head, *banks.values()) if path is not None)
    imports = Imports(store or default_store())
    imports.add(name, model, split, arrays, source, replace=replace)
    held = ", ".join(f"{part} {array.shape}" for part, array in arrays.items())
    print_line(f"{name} ({split}) of model {model}: {held}")
    for key in () if scores else not_taken(file):
        hint = nearest(key, ("labels", "classes", "class_names", "ids", "embeddings", "features", "logits"))
        print_line(f"  not taken: {key}{f'; {hint}' if hint.startswith('did you mean') else ''}")
    for doubt in doubts_of_arrays(arrays):
        print_line(f"  {doubt}")
