"""The built-in scorers, one file per paper or rule."""
