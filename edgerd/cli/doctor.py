"""`edgerd doctor`: what this machine can do, and what to install for the rest."""

from __future__ import annotations

import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edgerd import __version__
from edgerd.cli.console import print_table
from edgerd.cli.doctor_gpu import Check, gpu_checks
from edgerd.cli.doctor_line import line_checks, version_of
from edgerd.errors import MissingDependencyError
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.machine import cpu_features, cpu_name, usable_cores

_NEEDED_GB = 3
_TRAINING = (("torch", "torch"), ("safetensors", "safetensors"), ("onnxscript", "onnxscript"))


@click.command()
def doctor() -> None:
    """Say what this machine can do, and what to install for the rest.

    The exit code is 0 if pictures can be judged here, else 6.
    """
    table = Table(show_header=False, box=None, pad_edge=False)
    able = False
    for label, text in _machine():
        table.add_row(label, "", text)
    for name in RUNTIMES:
        probe = load_runtime(name).probe()
        able |= probe.usable
        found = f"{probe.version}: {', '.join(probe.precisions)}" if probe.usable else ""
        text = "; ".join(filter(None, [found, probe.reason.rstrip("."), _next(probe.fix)]))
        table.add_row(name, _mark(probe.usable), escape(text))
    for check in gpu_checks():
        _add(table, check)
    ok, text = _opencv()
    able &= ok
    table.add_row("opencv", _mark(ok), escape(text))
    for check in line_checks():
        _add(table, check)
    missing = [package for package, module in _TRAINING if find_spec(module) is None]
    ready = ", ".join(f"{package} {version_of(package)}" for package, _ in _TRAINING if package not in missing)
    table.add_row(
        "training",
        _mark(not missing),
        escape(ready if not missing else "not installed" + _next('pip install "edgerd[train]"', "; ")),
    )
    print_table(table)
    if not able:
        raise MissingDependencyError("Pictures cannot be judged on this machine.", hint="Install what is marked above.")


def _machine() -> list[tuple[str, str]]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    low = f" (a training run and its bundle need about {_NEEDED_GB} GB)" if free_gb < _NEEDED_GB else ""
    return [
        ("edgerd", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("cpu", f"{cpu_name()}, {usable_cores()} cores to use"),
        ("", ", ".join(cpu_features()) or "features unknown"),
        ("disk", f"{free_gb:.0f} GB free here{low}"),
    ]


def _opencv() -> tuple[bool, str]:
    """Whether OpenCV imports (it needs libGL, which slim containers lack), and what there is to say of it."""
    try:
        import cv2
    except ImportError as error:
        fix = (
            "apt-get install libgl1 libglib2.0-0, or pip uninstall -y opencv-python && pip install "
            "opencv-python-headless"
        )
        return False, f"does not import: {error}{_next(fix, '; ')}"
    window = next(
        (line.split(":")[1].strip() for line in cv2.getBuildInformation().splitlines() if "GUI:" in line), "?"
    )
    return True, f"{cv2.__version__}, windows: {window}"


def _add(table: Table, check: Check) -> None:
    table.add_row(check.label, _mark(check.ok), escape(check.text.rstrip(".") + _next(check.fix, "; ")))


def _mark(ok: bool) -> str:
    return "[green]yes[/green]" if ok else "[yellow]no[/yellow]"


def _next(fix: str, separator: str = "") -> str:
    return f"{separator}next: {fix}" if fix else ""
