"""The UST-ETRI seminar on class-specific thresholds, from the embeddings to every row that it printed."""
