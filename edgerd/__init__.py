"""edgerd: from a folder of pictures of good parts to a guarded, real-time defect alert on an edge device.

from edgerd import Inspector

inspection = Inspector.open("bundle").inspect(frame)   # frame: uint8 (h, w, 3), BGR; a path; a PIL picture; a tensor
inspection.verdict, inspection.score, inspection.regions

And from pictures to that bundle, where `edgerd[train]` is installed: `train`, `export`, `build_engine`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgerd.bundle.bundle import Bundle
    from edgerd.errors import EdgerdError
    from edgerd.events import Alert
    from edgerd.inspection.inspector import Inspector
    from edgerd.steps.build_engine import build_engine
    from edgerd.steps.export import export
    from edgerd.steps.train import train
    from edgerd.types import Box, DefectRegion, Frame, Inspection, PixelFormat, Verdict

# Releases of ONNX Runtime from 1.32 on send usage data to Microsoft unless this is set before their first import.
# edgerd sends nothing that it was not told to send. To allow it, set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("edgerd")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

_PUBLIC = {
    "Alert": "edgerd.events",
    "Box": "edgerd.types",
    "Bundle": "edgerd.bundle.bundle",
    "DefectRegion": "edgerd.types",
    "EdgerdError": "edgerd.errors",
    "Frame": "edgerd.types",
    "Inspection": "edgerd.types",
    "Inspector": "edgerd.inspection.inspector",
    "PixelFormat": "edgerd.types",
    "Verdict": "edgerd.types",
    "build_engine": "edgerd.steps.build_engine",
    "export": "edgerd.steps.export",
    "train": "edgerd.steps.train",
}

__all__ = [
    "Alert",
    "Box",
    "Bundle",
    "DefectRegion",
    "EdgerdError",
    "Frame",
    "Inspection",
    "Inspector",
    "PixelFormat",
    "Verdict",
    "__version__",
    "build_engine",
    "export",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load public names when they are first used: `edgerd --help` must not wait for numpy and OpenCV."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'edgerd' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion, whether they are loaded yet or not."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
