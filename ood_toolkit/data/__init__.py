"""Data sets: named splits of pictures with ids and labels, their parts by class, and word lists."""
