"""What every result says of where it was measured, and how tables are printed."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgerd.runtimes.machine import cpu_features, cpu_name, usable_cores

_PACKAGES = (
    *("edgerd", "onnxruntime", "onnxruntime-gpu", "openvino", "torch", "pycuda", "anomalib", "nncf"),
    *("opencv-python", "opencv-python-headless", "numpy"),
)


def machine() -> dict[str, Any]:
    """Device, features, cores, system, versions and day."""
    return {
        "device": cpu_name(),
        "features": list(cpu_features()),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: _version(package) for package in _PACKAGES},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same keys as a Markdown table; None is a dash, floats have four digits that count."""
    header = list(rows[0])
    lines = [header, ["---"] * len(header), *([_cell(row[key]) for key in header] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def print_results(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str], json_file: Path | None) -> None:
    """Print Markdown on stdout and, where asked, write the same figures as JSON."""
    here = machine()
    print(_markdown(title, here, rows, notes))
    if json_file:
        json_file.write_text(_json(here, rows, notes))


def write_results(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str], stem: Path) -> None:
    """Print Markdown on stdout, and write it and the same figures as JSON beside each other: `stem`.md and .json."""
    here = machine()
    markdown = _markdown(title, here, rows, notes)
    print(markdown)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(markdown + "\n")
    stem.with_suffix(".json").write_text(_json(here, rows, notes))


def _markdown(title: str, here: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items() if number)
    parts = [
        f"# {title}",
        f"{here['date']}, {here['device']}, {here['cores']} cores, {here['system']}",
        f"Features: {', '.join(here['features'])}. Versions: {versions}.",
        markdown_table(rows),
        *notes,
    ]
    return "\n\n".join(parts)


def _json(here: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    return json.dumps({"machine": here, "rows": list(rows), "notes": list(notes)}, indent=2) + "\n"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
