"""What `edgerd doctor` says about what a line may talk to: cameras, receivers of alerts, PLCs, monitoring."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from edgerd.cameras.genicam_process import python_with_aravis
from edgerd.cameras.gstreamer_process import PROGRAM
from edgerd.cli.doctor_gpu import Check
from edgerd.errors import MissingDependencyError

EXTRAS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "webhook": ("web hooks", {"httpx": "httpx"}),
    "mqtt": ("MQTT", {"paho-mqtt": "paho"}),
    "modbus": ("PLCs over Modbus TCP", {"pymodbus": "pymodbus"}),
    "opcua": ("OPC UA", {"asyncua": "asyncua"}),
    "control": ("triggers and products over HTTP", {"starlette": "starlette", "uvicorn": "uvicorn"}),
    "monitor": (
        "metrics and health over HTTP",
        {"prometheus-client": "prometheus_client", "starlette": "starlette", "uvicorn": "uvicorn"},
    ),
}
"""Each optional part of a line, called as its extra: what it is for, and its packages with the modules they bring."""

_GSTREAMER_FIX: Final = "sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good"


def line_checks() -> Iterator[Check]:
    """Whether each part that only some lines need is there, and what to type where it is not."""
    yield _pyav()
    yield _gstreamer()
    yield _genicam()
    for extra, (use, modules) in EXTRAS.items():
        missing = [package for package, module in modules.items() if find_spec(module) is None]
        if missing:
            text = f"not installed: {', '.join(missing)}, for {use}"
            yield Check(extra, False, text, f'pip install "edgerd[{extra}]"')
        else:
            yield Check(
                extra, True, f"{', '.join(f'{package} {version_of(package)}' for package in modules)}, for {use}"
            )


def version_of(package: str) -> str:
    """Version of an installed package; "?" where it came without its record."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def _pyav() -> Check:
    try:
        import av
    except ImportError as error:
        text = f"does not import: {error}; videos, rtsp:// and http:// cameras need it"
        return Check("pyav", False, text, "pip install --force-reinstall av")
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return Check("pyav", True, f"{av.__version__} with libavcodec {ffmpeg}, for videos, rtsp:// and http:// cameras")


def _gstreamer() -> Check:
    program = shutil.which(PROGRAM)
    if program is None:
        text = f"{PROGRAM} is not installed; only csi:// and gst:// cameras need it"
        return Check("gstreamer", False, text, _GSTREAMER_FIX)
    return Check("gstreamer", True, f"{program}, for csi:// and gst:// cameras")


def _genicam() -> Check:
    try:
        program = python_with_aravis()
    except MissingDependencyError as error:
        text = f"{error.what.rstrip('.')}; only genicam:// cameras need it"
        return Check("genicam", False, text, error.hint or "")
    return Check("genicam", True, f"Aravis 0.8, read by {program}, for genicam:// cameras")
