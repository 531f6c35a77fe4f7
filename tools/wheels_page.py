"""Write docs/reference/wheels.md, which dependencies have wheels for Linux: `python tools/wheels_page.py`.

pip is asked, through whatever index it is configured with, once for each direct dependency, Python version and machine.
Of x86-64, where nearly everything has wheels, the page names what has none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "reference" / "wheels.md"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
TABLED, LISTED = "aarch64", "x86_64"
"""The machine that has a table, and the one of which only the gaps are listed."""
GLIBC_MINORS = range(17, 36)
"""Up to glibc 2.35: Ubuntu 22.04, which JetPack 6 stands on. Debian 12 (Raspberry Pi OS) has 2.36."""
BASE = "base"
FOR_DEVELOPERS = ("dev", "docs")
NONE, NOT_NEEDED = "none", "not needed"
_NO_WHEEL = "No matching distribution found"

_HEAD = """# Wheels for aarch64

Which dependencies pip installs without a compiler on aarch64 Linux with glibc 2.35 or newer (JetPack 6, Raspberry Pi
OS): the newest version that edgerd allows and that has a wheel, by Python version. Written by `tools/wheels_page.py`; a
test fails where a dependency is missing here. "base" is `pip install edgerd`, any other name is an extra. pycuda comes
as source alone: pip compiles it, for which CUDA (JetPack has it) and a C++ compiler are needed.
"""


def project_table() -> dict[str, Any]:
    """`[project]` of pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def requirements(project: Mapping[str, Any]) -> dict[str, dict[str, Requirement]]:
    """What a project asks for: package -> "base" or extra -> requirement; without what only developers need."""
    groups = {BASE: project["dependencies"], **project["optional-dependencies"]}
    wanted: dict[str, dict[str, Requirement]] = {}
    for group, lines in groups.items():
        for requirement in map(Requirement, () if group in FOR_DEVELOPERS else lines):
            if requirement.name != project["name"]:  # an extra made of others
                wanted.setdefault(requirement.name, {})[group] = requirement
    return wanted


def pip_command(name: str, python: str, machine: str) -> list[str]:
    """Asks pip for the versions of a package that have a wheel for a machine."""
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS)]
    flags = [part for platform in platforms for part in ("--platform", platform)]
    ask = ["index", "versions", "--json", "--only-binary=:all:", "--python-version", python, *flags]
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *ask, name]


def versions_from(output: str, errors: str, exit_code: int) -> list[str]:
    """The versions that pip printed, newest first; none where it says that there is no wheel.

    Raises:
        RuntimeError: pip failed for another reason, such as the network.
    """
    if exit_code == 0:
        versions: list[str] = json.loads(output)["versions"]
        return versions
    if _NO_WHEEL in errors:
        return []
    raise RuntimeError(f"pip index versions failed with {exit_code}: {errors}")


def newest_allowed(versions: Iterable[str], wanted: Iterable[Requirement]) -> str:
    """The first of the versions that all requirements allow; "none" where there is no such wheel."""
    specifiers = [requirement.specifier for requirement in wanted]
    return next((each for each in versions if all(one.contains(each) for one in specifiers)), NONE)


def applies(requirement: Requirement, python: str, machine: str = TABLED) -> bool:
    """Whether a requirement is one on Linux with this Python and machine."""
    there = {"python_version": python, "platform_machine": machine, "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(there)


def page(wanted: Mapping[str, Mapping[str, Requirement]], found: Mapping[tuple[str, str, str], str]) -> str:
    """The page.

    Args:
        wanted: What `requirements` gives.
        found: For a package, a Python version and a machine, the newest version that has a wheel; missing where it is
            not needed.
    """
    lines = [_HEAD, f"| package | for | {' | '.join(PYTHONS)} |", f"|---|---|{'---|' * len(PYTHONS)}"]
    for name, groups in wanted.items():
        cells = [found.get((name, python, TABLED), NOT_NEEDED) for python in PYTHONS]
        lines.append(f"| {name} | {', '.join(groups)} | {' | '.join(cells)} |")
    for machine in (TABLED, LISTED):
        without = sorted({name for (name, _, on), version in found.items() if version == NONE and on == machine})
        lines += ["", f"Without a wheel for some Python version on {machine}: {', '.join(without) or 'none of them'}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ask pip, and write the page."""
    wanted = requirements(project_table())
    found: dict[tuple[str, str, str], str] = {}
    for name, groups in wanted.items():
        for python, machine in product(PYTHONS, (TABLED, LISTED)):
            asked = [requirement for requirement in groups.values() if applies(requirement, python, machine)]
            if asked:
                command = pip_command(name, python, machine)
                ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  pip
                versions = versions_from(ended.stdout, ended.stderr, ended.returncode)
                found[name, python, machine] = newest_allowed(versions, asked)
    PAGE.write_text(page(wanted, found), encoding="utf-8")


if __name__ == "__main__":
    main()
