"""The charts' library: Vega-Lite with Vega, as vl-convert-python carries it, for a page that asks for nothing."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from ood_toolkit.errors import DataError

__all__ = ["charts_library", "check_library"]


def check_library() -> None:
    """Raise `DataError` where the extra `html` is not installed; nothing is loaded."""
    if find_spec("vl_convert") is None:
        raise DataError(LACKING)


LACKING = "--html: needs vl-convert-python: pip install 'ood-toolkit[html]'"


@cache
def charts_library() -> str:
    """Give the script that defines `vegaEmbed`; `DataError` where the extra `html` is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise DataError(LACKING) from None
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    if "</script" in script.lower() or "<!--" in script:
        raise DataError("--html: this vl-convert-python holds a script that cannot stand in a page; try another")
    return script
