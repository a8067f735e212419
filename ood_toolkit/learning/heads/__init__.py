"""Linear heads on the rows of a frozen model, with class-wise thresholds from validation."""
