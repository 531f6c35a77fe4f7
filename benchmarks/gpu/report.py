"""The check's result: Markdown for people, JSON beside it. Needs nothing but Python."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from machine import markdown_table

from gpu.schedule import Check
from gpu.sections import RAN, Row, Section, write_whole


def markdown(check: Check) -> str:
    """All of it."""
    here: dict[str, Any] = check.inventory.get("machine", {})  # type: ignore[assignment]
    versions = ", ".join(f"{name} {number}" for name, number in here.get("versions", {}).items() if number)
    lines = [f"# GPU check: {check.inventory.get('gpu') or 'no GPU'}"]
    lines.append(f"{_today()}, {here.get('device')}, {here.get('system')}. {versions}.")
    if not check.is_complete:
        lines.append("**Not complete**: there was no time for all of it.")
    return "\n\n".join([*lines, *(text for section in check.sections() for text in _section(section))]) + "\n"


def result_stem(check: Check, *, is_quick: bool) -> str | None:
    """What the result's files are called; None where there is nothing to keep: no GPU, or an emulated one."""
    name = check.inventory.get("gpu")
    if not isinstance(name, str) or check.inventory.get("is_emulated"):
        return None
    return "-".join([*name.lower().replace("/", " ").split(), _today(), *(["quick"] if is_quick else [])])


def write(check: Check, folder: Path, stem: str) -> list[Path]:
    """Write both files, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "card": check.inventory["gpu"],
        "nvidia_smi": check.inventory.get("card"),
        "machine": check.inventory.get("machine"),
        "date": _today(),
        "is_complete": check.is_complete,
        "sections": [section.to_json() for section in check.sections()],
        "clocks_after": check.clocks,
    }
    files = [folder / f"{stem}.json", folder / f"{stem}.md"]
    write_whole(files[0], json.dumps(content, indent=2) + "\n")
    write_whole(files[1], markdown(check))
    return files


def _section(section: Section) -> list[str]:
    status = "" if section.status == RAN else f"**{section.status}**: {section.reason}"
    table = markdown_table(_aligned(section.rows)) if section.rows else ""
    bars = "\n".join(f"- {bar}" for bar in section.bars)
    return [f"## {section.title}", *filter(None, [status, table, bars, "\n\n".join(section.notes)])]


def _aligned(rows: list[Row]) -> list[Row]:
    """With the same keys in every row."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()
