"""The built-in combiners, one file per rule."""
