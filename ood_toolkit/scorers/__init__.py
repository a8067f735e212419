"""The built-in scorers, one file for each paper; beside them threshold rules, calibration, `fit` and `score`."""
