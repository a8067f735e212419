"""The store: arrays on disk, keyed by their content, under the names that people give them."""
