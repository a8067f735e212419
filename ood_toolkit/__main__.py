"""`python -m ood_toolkit` is `oodkit`."""

from ood_toolkit.cli import main

main()
