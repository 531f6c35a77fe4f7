"""edgerd: from a folder of pictures of good parts to a guarded, real-time defect alert on an edge device.

from edgerd import Inspector

inspection = Inspector.open("bundle").inspect(frame)   # frame: uint8 (h, w, 3), BGR
inspection.verdict, inspection.score, inspection.regions
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgerd.bundle.bundle import Bundle
    from edgerd.events import Alert
    from edgerd.inspection.inspector import Inspector
    from edgerd.types import Frame, Inspection, Verdict

# Releases of ONNX Runtime from 1.32 on send usage data to Microsoft unless this is set before their first import.
# edgerd sends nothing that it was not told to send. To allow it, set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("edgerd")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

_PUBLIC = {
    "Alert": "edgerd.events",
    "Bundle": "edgerd.bundle.bundle",
    "Frame": "edgerd.types",
    "Inspection": "edgerd.types",
    "Inspector": "edgerd.inspection.inspector",
    "Verdict": "edgerd.types",
}

__all__ = ["Alert", "Bundle", "Frame", "Inspection", "Inspector", "Verdict", "__version__"]


def __getattr__(name: str) -> Any:
    """Load public names when they are first used: `edgerd --help` must not wait for numpy and OpenCV."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'edgerd' has no attribute {name!r}")
