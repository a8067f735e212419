"""A run: settings to sets, splits and heads, scorers over all of them, rows of a report; and presets."""
