"""Counts how many pasted defects are found: a rough recall for data sets without defective pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import PastedRecall, RoughRecall

LEAST_SHARE_FOUND = 0.25
"""A model that finds a smaller share of the pasted defects finds next to nothing."""


def rough_recall(scores: npt.ArrayLike, kinds: Sequence[str], threshold: float) -> RoughRecall:
    """Count the pasted defects that are found.

    Args:
        scores: (n,), any float type, one per pasted defect, n >= 1.
        kinds: The kind of each, one of `edgerd.data.pasted.PASTED_KINDS`.
        threshold: NG is a score above it, strictly.
    """
    is_found, kind = np.asarray(scores, np.float64) > threshold, np.asarray(kinds, np.str_)
    return RoughRecall(
        per_kind={
            name: PastedRecall(n=int((kind == name).sum()), found=int(is_found[kind == name].sum()))
            for name in dict.fromkeys(kinds)
        }
    )


def is_too_low(record: RoughRecall) -> bool:
    """Whether a person must be told that the bundle finds next to nothing."""
    return record.found < LEAST_SHARE_FOUND * record.n


def describe_recall(record: RoughRecall) -> str:
    """The count in words, kind by kind: "31 of 48 pasted defects (thin 6 of 8, small 3 of 8, ...)"."""
    kinds = ", ".join(f"{name} {kind.found} of {kind.n}" for name, kind in record.per_kind.items())
    return f"{record.found} of {record.n} pasted defects ({kinds})"
