"""`pytest -m gpu`, in a process of its own: how many passed, and what they reported."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

from gpu import REPOSITORY
from gpu.sections import FAILED, NotRunError, Section

_NEEDED = ("pytest", "pytest_timeout")
_MARK = "pytest.mark.gpu"
_REPORT = "ONNX Runtime inside a captured graph of ours: "


def fill(section: Section) -> None:
    """Run them; a failure makes the section fail.

    Only files that have such tests are read, without the plugins that happen to be installed: what the other tests
    need is not needed here.
    """
    if not (REPOSITORY / "tests").is_dir():
        raise NotRunError("there is no tests folder beside benchmarks")
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise NotRunError(f"{' and '.join(missing)} missing. Next: pip install pytest pytest-timeout")
    files = [str(file) for file in sorted((REPOSITORY / "tests").rglob("test_*.py")) if _MARK in file.read_text()]
    # a warning of a package that happens to be there is no failure of ours
    options = ["-q", "-rs", "-s", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-W", "default"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", *options, *files],
        cwd=REPOSITORY,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    _read(section, ended.returncode, ended.stdout + ended.stderr)


def _read(section: Section, code: int, output: str) -> None:
    lines = output.splitlines()
    counts = dict.fromkeys(("passed", "failed", "errors", "skipped"), 0)
    last = next((line for line in reversed(lines) if re.search(r" in [\d.]+s", line)), "")
    for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last):
        counts["errors" if word.startswith("error") else word] = int(number)
    skipped = sorted(set(re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", output, re.MULTILINE)))
    if not code and not counts["passed"]:
        raise NotRunError(f"all {counts['skipped']} were skipped: {'; '.join(skipped)}")
    section.notes += [f"skipped: {reason}" for reason in skipped]
    section.notes += [line for line in lines if line.startswith(_REPORT)]
    section.add(counts)
    if code:
        section.status, section.reason = FAILED, f"pytest ended with {code}.\n" + "\n".join(lines[-40:])
