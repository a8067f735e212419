"""A detector as one ONNX graph, which other runtimes run without this package."""
