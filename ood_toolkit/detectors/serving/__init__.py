"""A detector behind HTTP: `oodkit serve`. Needs the extra `serve`; nothing else of the package imports this."""
