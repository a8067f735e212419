"""Training: the scripts that make the weights which this package ships."""
