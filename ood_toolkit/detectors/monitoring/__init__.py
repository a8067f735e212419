"""What `Monitor` is made of: evidence of drift, counts with what was to be expected of them, feeds and the state."""
