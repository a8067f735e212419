"""`oodkit serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.benchmark.settings import MODEL_HELP
from ood_toolkit.cli import options
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_message


@click.command("serve")
@click.argument("file", type=Place())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--max-upload", type=click.FloatRange(0, min_open=True), default=16, show_default=True, metavar="MIB",
    help="Largest body of a request; more is a 413.",
)  # fmt: skip
@click.option(
    "--max-pixels", type=click.IntRange(1), default=50_000_000, show_default=True,
    help="Most pixels of a picture, as its file claims them.",
)  # fmt: skip
@click.option(
    "--max-rows", type=click.IntRange(1), default=1000, show_default=True,
    help="Most pictures or vectors in a request; more is a 413.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=30, show_default=True, metavar="SECONDS",
    help="Longest time from a request's headers to its answer; more is a 408.",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(1), default=256, show_default=True,
    help="Most requests that are accepted and not answered yet; more are a 429.",
)  # fmt: skip
@click.option("--vectors-only", is_flag=True, help="Load no model: take embeddings or logits, and refuse pictures.")
@click.option("--model", metavar="NAME", help=f"Where the file's model lies elsewhere now. {MODEL_HELP}")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images in a forward pass.")
@options.of("workers")
@options.of("device")
@options.of("download")
def command(file: Path, host: str, port: int, **given: Any) -> None:
    """Serve the detector in FILE over HTTP: pictures or vectors in, decisions out, in one process.

    POST /predict decides; GET /health, /info, /metrics and /docs tell. With OODKIT_TOKEN in the environment, clients
    must show it as "Authorization: Bearer TOKEN". SIGTERM and Ctrl-C stop it after all that was accepted is answered.
    Needs ood-toolkit[serve].
    """
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.detectors.serving.serve import serve

    def say(text: str) -> None:
        clear()
        print_message(text)

    progress("loading the model")
    serve(file, host, port, say, **given)
