"""What has to be installed for a step."""

from __future__ import annotations

from importlib.util import find_spec

from edgerd.errors import MissingDependencyError


def need_torch() -> None:
    """Raise MissingDependencyError where `edgerd[train]` is not installed."""
    missing = [name for name in ("torch", "safetensors", "onnxscript") if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"Training and export need {', '.join(missing)}.",
            expected="PyTorch, safetensors and onnxscript",
            hint='pip install "edgerd[train]"',
        )
