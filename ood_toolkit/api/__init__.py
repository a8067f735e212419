"""What a plugin builds on: scorers, combiners, data sets, models, prompts, specs, hooks and the registry."""
