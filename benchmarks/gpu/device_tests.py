"""`pytest -m gpu`, in a process of its own: how many passed, and what they reported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from gpu.sections import NotRunError, Section

_REPOSITORY = Path(__file__).parents[2]
_NOTHING_COLLECTED = 5
_REPORT = "ONNX Runtime inside a captured graph of ours: "


def fill(section: Section, timeout_s: int = 900) -> None:
    """Run them; a failure makes the section fail."""
    if not (_REPOSITORY / "tests").is_dir():
        raise NotRunError("there is no tests folder beside benchmarks")
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rs", "-s", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=timeout_s, check=False)
    if ended.returncode == _NOTHING_COLLECTED or "No module named pytest" in ended.stderr:
        raise NotRunError((ended.stderr or ended.stdout).strip().splitlines()[-1])
    counts = dict.fromkeys(("passed", "failed", "errors", "skipped"), 0)
    last = next((line for line in reversed(ended.stdout.splitlines()) if " in " in line), "")
    for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last):
        counts["errors" if word.startswith("error") else word] = int(number)
    skipped = sorted(set(re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", ended.stdout, re.MULTILINE)))
    if not ended.returncode and not counts["passed"]:
        raise NotRunError(f"all {counts['skipped']} were skipped: {'; '.join(skipped)}")
    section.rows.append(counts)
    section.notes += [f"skipped: {reason}" for reason in skipped]
    section.notes += [line for line in ended.stdout.splitlines() if line.startswith(_REPORT)]
    if ended.returncode:
        section.status, section.reason = "failed", "\n".join(ended.stdout.splitlines()[-40:])
