"""The built-in combiners, one file for each rule."""
