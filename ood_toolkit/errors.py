"""What can go wrong, by name: every error is an `OodkitError` and also the builtin a caller would expect.

- OodkitError (Exception)
  - UsageError (ValueError)
  - OutputsError (ValueError)
    - RowError (IndexError)
  - NotFittedError (ValueError, AttributeError)
  - NotSavableError (TypeError)
  - ScorerError (ValueError)
  - SpecError (ValueError)
  - MetricError (ValueError)
  - DataError (ValueError)
    - AbsentError
  - ModelError (ValueError)
  - StoreError (ValueError)
  - DetectorError (ValueError)
  - TrainingError (ValueError)
  - PluginError (RuntimeError)
"""


class OodkitError(Exception):
    """The root of all errors that this package raises on purpose; the message is one line."""


class UsageError(OodkitError, ValueError):
    """Options of a run contradict each other, or one has no effect without another."""


class OutputsError(OodkitError, ValueError):
    """Arrays, labels or a head do not fit together, or something was asked that they cannot give."""


class RowError(OutputsError, IndexError):
    """A row was asked for that outputs do not have; ends an iteration over them."""


class NotFittedError(OodkitError, ValueError, AttributeError):
    """A scorer or combiner was used before `fit`."""


class NotSavableError(OodkitError, TypeError):
    """The state of a scorer cannot be written without pickle."""


class ScorerError(OodkitError, ValueError):
    """A scorer was given a parameter out of range, or gave a score that breaks its contract."""


class SpecError(OodkitError, ValueError):
    """A spec such as `knn:k=50` does not parse, or names something unknown."""


class MetricError(OodkitError, ValueError):
    """Scores that no metric can be computed from: empty, of the wrong shape, or holding NaN."""


class DataError(OodkitError, ValueError):
    """A data set, split or file is missing, unreadable or contradicts itself."""


class AbsentError(DataError):
    """The pictures of a data set are not where they were looked for."""


class ModelError(OodkitError, ValueError):
    """A model is unknown, cannot be loaded or cannot do what was asked."""


class StoreError(OodkitError, ValueError):
    """An entry of the store is missing, damaged, or would be overwritten."""


class DetectorError(OodkitError, ValueError):
    """A saved detector is unreadable, or the outputs given to one are of another model."""


class TrainingError(OodkitError, ValueError):
    """A training run cannot start, go on, or be taken up again as it was asked."""


class PluginError(OodkitError, RuntimeError):
    """A plugin could not be loaded, or two plugins claim one name."""


def one_line(error: BaseException) -> str:
    """Say an error in one line, with its type unless it is one of ours."""
    said = " ".join(str(error).split())
    return said if isinstance(error, OodkitError) else f"{type(error).__name__}: {said or 'no message'}"
