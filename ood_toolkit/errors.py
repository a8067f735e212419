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

import errno
import logging
import os


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


REASONS = {
    errno.ENOSPC: "no space is left on its disk; free some, or choose another folder",
    errno.EDQUOT: "your share of its disk is full; free some, or choose another folder",
    errno.EFBIG: "the file became larger than its disk allows; choose another folder",
    errno.EACCES: "there is no permission for it; change its permissions, or choose another",
    errno.EPERM: "there is no permission for it; change its permissions, or choose another",
    errno.EROFS: "its disk can only be read; choose another folder",
    errno.ENOENT: "no such file or folder; check its name",
    errno.EEXIST: "it is there already; choose another name",
    errno.ENOTEMPTY: "the folder holds something already; choose another name",
    errno.EISDIR: "expected a file, it is a folder; name a file in it",
    errno.ENOTDIR: "a part of the path is a file, not a folder; check its name",
    errno.ENAMETOOLONG: "the name is too long for its disk; choose a shorter one",
    errno.ELOOP: "its links lead in a circle; name what they should lead to",
    errno.EMFILE: "too many files are open; raise the limit, as with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; close some programs",
    errno.ENOMEM: "not enough memory; close some programs",
    errno.EIO: "its disk gave an error; check the disk",
    errno.EBUSY: "it is in use; try again later",
    errno.ETXTBSY: "it is in use; try again later",
    errno.EPIPE: "the reader went away",
    errno.EINVAL: "the system does not allow it there; choose another name or folder",
    errno.ENXIO: "it is no plain file; name a file",
    errno.ENODEV: "it is no plain file; name a file",
    errno.EADDRINUSE: "another program listens there; choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own",
    errno.ECONNREFUSED: "nobody answers there; check the address and the network",
    errno.ECONNRESET: "the connection was lost; try again",
    errno.ETIMEDOUT: "no answer came in time; try again",
    errno.ENETUNREACH: "there is no way to it; check the network",
    errno.EHOSTUNREACH: "there is no way to it; check the network",
    errno.ESTALE: "its disk was unmounted or changed meanwhile; try again",
}
"""What the system refuses, in words, and what to do."""


def one_line(error: BaseException, module: str = "") -> str:
    """Say an error in one line, with its type unless it is one of ours; of the system's, path, reason and remedy.

    `module` is whose code was called: where that is not this package's, the line ends with the place in it, unless the
    error is one of ours.
    """
    if isinstance(error, OSError) and (why := refusal(error)):
        named = dict.fromkeys(os.fsdecode(path) for path in (error.filename, error.filename2) if _is_path(path))
        return f"{' to '.join(named)}{': ' if named else ''}{why}"
    said = " ".join(str(error).split())
    if isinstance(error, OodkitError):
        return said
    return f"{type(error).__name__}: {said or 'no message'}{place(error, module)}"


def place(error: BaseException, module: str) -> str:
    """Give ` (FILE.py:LINE)`, the innermost frame of an error in a module's package; "" for none, and for this package.

    The whole traceback goes to the log `ood_toolkit` at level DEBUG, which `oodkit --debug` shows.
    """
    package = module.partition(".")[0]
    if package in ("", __package__):
        return ""
    found, trace = "", error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] == package:
            found = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
        trace = trace.tb_next
    logging.getLogger(__package__).debug("raised%s", found, exc_info=error)
    return found


def kind_of(value: object) -> str:
    """Name what a caller handed over instead of what was expected: its type, or `None`."""
    return "None" if value is None else type(value).__name__


def refusal(error: OSError) -> str:
    """Give in words why the system refused something and what to do, without the path; "" for a reason unknown here."""
    return REASONS.get(error.errno or 0, "")


def _is_path(path: object) -> bool:
    return isinstance(path, str | bytes | os.PathLike)
