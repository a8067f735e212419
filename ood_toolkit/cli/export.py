"""`oodkit export`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.benchmark.settings import MODEL_HELP
from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_line, print_message


@click.command("export")
@click.argument("file", type=Place())
@click.option(
    "--onnx", "out", type=Place(dir_okay=False), required=True, metavar="OUT",
    help="The file to write; an ONNX graph of torch that is there is replaced, any other file refused.",
)  # fmt: skip
@click.option(
    "--inputs", type=Choice(("pixels", "features")),
    help="What goes in: preprocessed pixels, or what the image tower makes of them. [default: pixels where the file "
    "names a model that can be loaded]",
)  # fmt: skip
@click.option("--model", metavar="NAME", help=f"Where the file's model lies elsewhere now. {MODEL_HELP}")
@options.of("download")
def command(file: Path, out: Path, inputs: str | None, model: str | None, download: bool) -> None:
    """Write the detector in FILE as one ONNX graph: image tower, head, score and thresholds.

    It takes any number of rows and gives prediction, confidence, score and accepted of each, in runtimes that know
    nothing of this package. It is run under onnxruntime and held against the detector before it takes its place. For
    msp, maxlogit, energy, entropy, mcm, neglabel, knn, mahalanobis, and class thresholds on these. Needs
    ood-toolkit[onnx].
    """
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.detectors.places import GRAPH

    reserve(out, GRAPH)
    from ood_toolkit.detectors.export.exporting import export

    made = export(file, out, inputs=inputs, model=model, download=download)
    if made.note:
        print_message(made.note)
    for line in made.lines:
        print_line(line)
