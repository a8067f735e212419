"""Encoding on a Ray cluster, into the same store and to the same bytes as in one process."""
