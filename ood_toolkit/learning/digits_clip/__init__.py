"""How `digits-clip` was trained, the model whose weights come with this package."""
