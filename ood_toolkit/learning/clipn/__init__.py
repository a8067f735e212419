"""CLIPN: a second text tower that learns to say "no", ICCV 2023, arXiv 2308.12213."""
