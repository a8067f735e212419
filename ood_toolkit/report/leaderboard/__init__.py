"""Many runs as one ranking: what they say of each scorer, whether they go together, ranks and means, tables."""
