"""`oodkit discover`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place

if TYPE_CHECKING:
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.learning.discovery.study import Wishes


@click.command("discover")
@click.option("--id", "name", required=True, metavar="NAME", help="ID set: the classes that are known.")
@click.option("--among", required=True, metavar="NAME[,NAME...]", help="Sets whose images are looked through.")
@click.option(
    "--among-split",
    "splits",
    multiple=True,
    type=Choice(["train", "val", "test"]),
    default=["train", "val"],
    show_default=True,
    help="Split of these sets to look through, where a set has it; repeat it for several. Test images are left for "
    "measuring unless they are named here.",
)
@click.option("--ood", metavar="NAME[,NAME...]", help="Sets that stay unknown, to measure detection on.")
@options.model
@options.prompts
@click.option("--scorer", metavar="SPEC", help="Score that says what is uncertain.  [default: mahalanobis-pp]")
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Share of ID validation images that the score is to take for known; the less, the more is kept.",
)
@click.option(
    "--method", type=Choice(["dbscan", "hdbscan"]), default="dbscan", show_default=True, help="How to cluster."
)
@click.option("--eps", metavar="X|knee", help="DBSCAN's radius, or knee: the knee of the sorted k-distances. Default: "
              "it follows from --noise.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, 1, max_open=True), help="Share of images whose k-distance may exceed "
              "DBSCAN's radius.  [default: 0.45]")  # fmt: skip
@click.option(
    "--min-size", type=click.IntRange(2), default=10, show_default=True, help="Images that a cluster has at least."
)
@click.option("--neighbours", type=click.IntRange(2), default=20, show_default=True, help="Nearest images whose "
              "sharing makes the distance of two images.")  # fmt: skip
@click.option("--words", metavar="FILE|wordnet", help="Words to name clusters with: a file with one a line, or their "
              "embeddings in .npz.")  # fmt: skip
@click.option(
    "--accept", default="all", show_default=True, metavar="all|1,3,5", help="Clusters that the new head learns."
)
@click.option(
    "--val-split",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the ID test images that the threshold is found on. Default: the set's own validation, else 0.2.",
)
@options.seed
@options.limit
@options.encoding
@options.store
@click.option(
    "--output",
    required=True,
    type=Place(file_okay=False),
    metavar="DIR",
    help="New folder for clusters, picture sheet and head.",
)
def command(
    name: str,
    among: str,
    splits: tuple[str, ...],
    ood: str | None,
    scorer: str | None,
    target: float,
    method: Any,
    eps: str | None,
    noise: float | None,
    min_size: int,
    neighbours: int,
    words: str | None,
    accept: str,
    output: Path,
    **where: Any,
) -> None:
    """Cluster the images that a detector finds uncertain, and train a head that knows the clusters.

    Labels of the images, where there are any, only serve to measure what was found.
    """
    looked, unknown = _names(among), _names(ood or "")
    wanted = None if accept == "all" else _numbers(accept)
    if method != "dbscan" and (eps is not None or noise is not None):
        raise click.UsageError("--eps and --noise: go with --method dbscan")
    if eps is not None and noise is not None:
        raise click.UsageError("--eps and --noise are two ways to say one thing; give one")
    radius = None if eps in (None, "knee") else _radius(str(eps))
    from ood_toolkit.cli.reserving import reserve

    reserve(output)
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.opening import asked_by
    from ood_toolkit.learning.discovery.clusters import Clustering
    from ood_toolkit.learning.discovery.files import check_free
    from ood_toolkit.learning.discovery.study import FINER, SCORER, Wishes

    check_free(output)
    share = None if eps == "knee" else Clustering.noise if noise is None else noise
    clustering = Clustering(method, radius, share, min_size)
    wishes = Wishes(
        looked, tuple(dict.fromkeys(splits)), scorer or SCORER, clustering, neighbours, words=words, target=target
    )
    settings, registry = options.settings_of(ids=(name,), **where), get_registry()
    with options.usage():
        settings = asked_by(settings, [registry.scorer(wishes.scorer)], wishes.scorer, registry)
    settings = replace(settings, wished=tuple(dict.fromkeys([*settings.wished, FINER])))
    _run(settings, unknown, wishes, wanted, output)


def _run(
    settings: Settings, ood: tuple[str, ...], wishes: Wishes, accept: tuple[int, ...] | None, output: Path
) -> None:
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.cli.streams import print_form, shape
    from ood_toolkit.learning.discovery.files import write_search
    from ood_toolkit.learning.discovery.outcome import accepted_clusters, taught
    from ood_toolkit.learning.discovery.report import summary
    from ood_toolkit.learning.discovery.study import Search
    from ood_toolkit.learning.record import Record

    sets = options.open_sets(replace(settings, groups={"": (*wishes.among, *ood)}))
    search = Search(replace(settings, groups={"": ood}), sets, wishes, progress)
    about = {"name": sets.label, "fingerprint": sets.fingerprint, "encoder": sets.origin()}
    record = Record("discover", asdict(wishes) | {"accept": accept}, search.data(), about, settings.seed)
    findings = search.run()
    accepted = accepted_clusters(findings, accept)
    learnt = taught(search, findings, accepted) if accepted else None
    clear()
    result = search.result(findings, accepted) | ({} if learnt is None else learnt.figures)
    write_search(search, findings, learnt, record, result, output)
    print_form(summary(result, findings.clusters, output, *shape()))


def _names(text: str) -> tuple[str, ...]:
    from ood_toolkit.benchmark.reading import listed_names

    return tuple(dict.fromkeys(listed_names(text)))


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.UsageError(f"--accept: expected all, or numbers of clusters such as 1,3,5; got {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _radius(text: str) -> float:
    try:
        radius = float(text)
    except ValueError:
        radius = 0.0
    if not 0 < radius < float("inf"):
        raise click.UsageError(f"--eps: expected knee or a number above 0, got {text!r}")
    return radius
