"""Data sets: pictures with ids and labels, in named splits."""
