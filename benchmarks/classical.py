"""Every classical score on real outputs of two ResNets: mean AUROC over four OOD sets, the best first, as Markdown.

    python benchmarks/classical.py --data DIR [--scorers SPECS] [--peer]

`DIR` is a folder of real data as tests use it (`OODKIT_TEST_DATA`). Of the 10,000 CIFAR-10 test images, in the order of
`numpy.random.default_rng(0).permutation(10_000)`, the first half stands for training and validation, with predicted
labels, since outputs on the training images are not at hand; the second half is ID. OOD are Tiny ImageNet, Food-101,
Caltech-101 and DTD. "right" is the AUROC of right against wrong predictions on the ID half. Some scores learn true
classes from labels: with predicted ones they see a network that is never wrong. `--peer` prints instead how far
pytorch-ood 0.4.0 is from each score that it has too (`pip install pytorch-ood==0.4.0`).
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from pytorch_ood_scores import apart, peers

from ood_toolkit import Head, Outputs, Scorer, get_registry, metrics

NETWORKS = ("resnet56", "resnet20")
OOD = ("tiny_imagenet_val", "food101", "caltech101", "dtd10")


class Case:
    """What one network put out: the half to learn from, the ID half with its true labels, and four OOD sets."""

    def __init__(self, folder: Path, network: str) -> None:
        held = np.load(folder / f"{network}_head.npz")
        names = [str(name) for name in held["classes"]]
        head = Head.linear(held["weight"], held["bias"], names)

        def load(name: str) -> tuple[np.ndarray, np.lib.npyio.NpzFile]:
            found = np.load(folder / f"{network}_{name}.npz")
            return found["features"].astype(np.float32), found

        features, found = load("cifar10_test")
        labels = np.array([names.index(str(name)) for name in found["names"]])
        order = np.random.default_rng(0).permutation(len(features))
        known, asked = order[: len(order) // 2], order[len(order) // 2 :]
        predicted = Outputs(features[known], head=head).prediction
        self.train = Outputs(features[known], labels=predicted, head=head)
        self.test = Outputs(features[asked], labels=labels[asked], head=head)
        self.ood = [Outputs(load(name)[0], head=head) for name in OOD]

    def measure(self, scorer: Scorer) -> tuple[float, float]:
        """Give, in per cent, the mean AUROC over the OOD sets and that of right against wrong predictions."""
        scorer.fit(self.train, self.train)
        inside, right = scorer.score(self.test), self.test.right
        assert right is not None
        mean = np.mean([metrics.auroc(inside, scorer.score(x)) for x in self.ood])
        return 100 * float(mean), 100 * metrics.auroc(inside[right], inside[~right])


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--scorers", default="classical", show_default=True, help="Scorers; those the data does not suit go.")
@click.option("--peer", is_flag=True, help="Print how far pytorch-ood is instead.")
def main(data: Path, scorers: str, peer: bool) -> None:
    """Print the table."""
    cases = [Case(data / "logits" / "resnet_cifar10", network) for network in NETWORKS]
    splits = {"val", "val_labels", "train", "train_labels"}
    suited = [s for s in get_registry().scorers(scorers) if not cases[0].test.lacking(frozenset(s.needs - splits))]
    if peer:
        print_peers([scorer for scorer in suited if scorer.spec in peers()], cases)
        return
    rows = [(scorer.spec, [case.measure(scorer) for case in cases]) for scorer in suited]
    print("| score | ResNet-56 | ResNet-20 | right, ResNet-56 | right, ResNet-20 |\n|---|---:|---:|---:|---:|")
    for spec, found in sorted(rows, key=lambda row: -row[1][0][0]):
        print(f"| `{spec}` | {' | '.join(f'{found[n][part]:.2f}' for part in (0, 1) for n in range(len(cases)))} |")


def print_peers(scorers: list[Scorer], cases: list[Case]) -> None:
    """Print the largest difference of AUROC from pytorch-ood over the OOD sets, for each network."""
    print("| score | ResNet-56 | ResNet-20 |\n|---|---:|---:|")
    for scorer in scorers:
        found = [apart(scorer, case.train, case.test, case.ood) for case in cases]
        print(f"| `{scorer.spec}` | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
