"""The Python packages without which nothing can be measured. Needs nothing but Python."""

from __future__ import annotations

import importlib.util
import sys

MODULES = {
    "av": "av",
    "click": "click",
    "cv2": "opencv-python",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "platformdirs": "platformdirs",
    "pydantic": "pydantic",
    "rich": "rich",
} | ({"tomli": "tomli"} if sys.version_info < (3, 11) else {})
"""Module -> package: edgerd's own dependencies, for a checkout that is not installed."""


def missing() -> list[str]:
    """Packages that are not here. onnxruntime-gpu has onnxruntime's module, opencv-python-headless that of OpenCV."""
    return [package for module, package in MODULES.items() if importlib.util.find_spec(module) is None]
