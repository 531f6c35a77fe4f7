"""torchvision without its compiled library, for this benchmark's environment only.

anomalib imports torchvision, and torchvision registers shape functions for two of its compiled operators at import. Its
wheels on PyPI carry a library for PyTorch's CUDA build; beside PyTorch's CPU build the library does not load, the two
operators do not exist, and the import ends in "operator torchvision::nms does not exist". Declaring their schemas is
enough: they suppress overlapping boxes, which nothing here does, and models and transforms are written in Python.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library = torch.library.Library("torchvision", "FRAGMENT")
"""Kept: what it declares goes with it."""


@cache
def declare_missing_operators() -> None:
    """Make `import torchvision` work; nothing is declared where its compiled library loads. Before the import."""
    if _compiled_library_loads():
        return
    for schema in _SCHEMAS:
        _library.define(schema)


def _compiled_library_loads() -> bool:
    found = find_spec("torchvision")
    for file in Path(found.origin).parent.glob("_C.*") if found and found.origin else ():
        try:
            torch.ops.load_library(str(file))
        except OSError:
            continue
        return True
    return False
