"""Models: image and text towers that turn pictures and prompts into one embedding space."""
