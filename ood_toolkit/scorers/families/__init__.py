"""What several scores share: margins, shaped activations, Gaussians, subspaces, negative labels, neighbours."""
