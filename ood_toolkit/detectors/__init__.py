"""What is deployed: a fitted scorer with its threshold, for one model."""
