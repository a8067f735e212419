"""Pictures and prompts through a model, each once: features into the store, prompts into heads."""
