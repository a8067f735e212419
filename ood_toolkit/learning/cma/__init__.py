"""CMA: both towers fine-tuned with cross-modal alignment, CVPR 2025, arXiv 2503.18817; FLYP at lambda 0."""
