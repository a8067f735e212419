"""What the header of a run of the seminar must look like, as it is not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ood_toolkit.report.shapes import (
    anything,
    by_name,
    check_shapes,
    each,
    is_finite,
    is_flag,
    is_number,
    is_text,
    maybe,
    object_of,
)

__all__ = ["check_seminar"]

SEMINAR_SET = {
    **dict.fromkeys(("role", "name", "split"), is_text),
    **dict.fromkeys(("classes", "train", "val", "test"), is_number),
    "stands_for": is_flag,
}
SEMINAR_ACCURACY = {
    **dict.fromkeys(("role", "model"), is_text),
    **dict.fromkeys(("measured_train", "published_train", "measured_test", "published_test"), maybe(is_finite)),
}
SEMINAR_UNCERTAINTY = {
    **dict.fromkeys(("role", "task", "thresholds"), is_text),
    **dict.fromkeys(("published", "f1", "accuracy", "auroc", "id_accepted"), maybe(is_finite)),
}
SEMINAR_DETECTION = {
    **dict.fromkeys(("ood", "ood_role", "thresholds"), is_text),
    **dict.fromkeys(("images", "uncertain"), is_number),
    **dict.fromkeys(("rate", "published", "id_accepted", "auroc", "tnr_at_tpr95"), maybe(is_finite)),
    "id_roles": each(is_text),
}
SEMINAR = {
    "description": is_text,
    "sources": each(is_text),
    "notes": each(is_text),
    "recipe": by_name(anything),
    "sets": each(object_of(SEMINAR_SET)),
    "accuracy": each(object_of(SEMINAR_ACCURACY)),
    "uncertainty": each(object_of(SEMINAR_UNCERTAINTY)),
    "detection": each(object_of(SEMINAR_DETECTION)),
}


def check_seminar(file: Path, header: Mapping[str, Any]) -> None:
    """Refuse, with the one line of a `DataError`, a header whose seminar could not be shown."""
    wanted = f"an object with {', '.join(SEMINAR)}, as the preset ust-etri writes it"
    check_shapes(file, header, {"seminar": (object_of(SEMINAR), wanted)})
