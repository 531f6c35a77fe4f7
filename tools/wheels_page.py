"""Write docs/reference/wheels.md, which dependencies have wheels for Linux: `python tools/wheels_page.py`.

pip is asked, through whatever index it is configured with, once for each direct dependency, Python version and machine.
Of x86-64, where nearly everything has wheels, the page names what has none. uv (`pip install uv`) is asked whether all
extras can be installed together: unlike pip, it evaluates requirements for other Pythons and machines than its own.
"""

from __future__ import annotations

import json
import shutil
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
COMPILED = "tensorrt"
"""The extra that has no wheels: pip compiles pycuda."""
NONE, NOT_NEEDED = "none", "not needed"
_NO_WHEEL = "No matching distribution found"

_HEAD = """# Wheels for aarch64

Which dependencies pip installs without a compiler on aarch64 Linux with glibc 2.35 or newer (JetPack 6, Raspberry Pi
OS): the newest version that edgerd allows and that has a wheel, by Python version. Written by `tools/wheels_page.py`; a
test fails where a dependency is missing here. "base" is `pip install edgerd`, any other name is an extra. pycuda comes
as source alone: pip compiles it, for which CUDA (JetPack has it) and a C++ compiler are needed.
"""
_TOGETHER = f"""## All extras in one environment

All extras but `{COMPILED}` can be installed together, from wheels alone; they are so many packages:
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


def together_command(python: str, machine: str, extras: Iterable[str]) -> list[str]:
    """Asks uv for versions of all that these extras need, from wheels alone."""
    platform = f"{machine}-manylinux_2_{GLIBC_MINORS[-1]}"
    flags = [part for extra in extras for part in ("--extra", extra)]
    ask = ["--only-binary", ":all:", "--python-version", python, "--python-platform", platform, *flags]
    short = ["--quiet", "--no-header", "--no-annotate", "--no-python-downloads"]
    return ["uv", "pip", "compile", *short, *ask, str(REPOSITORY / "pyproject.toml")]


def together(python: str, machine: str, extras: Iterable[str]) -> str:
    """How many packages all extras together are, on Linux with this Python and machine.

    Raises:
        RuntimeError: They exclude each other, or one has no wheel; or uv is not installed.
    """
    if shutil.which("uv") is None:
        raise RuntimeError("uv is not installed: pip install uv")
    ended = subprocess.run(together_command(python, machine, extras), capture_output=True, text=True, check=False)  # noqa: S603  uv
    if ended.returncode:
        raise RuntimeError(f"The extras do not resolve together on {machine} with Python {python}: {ended.stderr}")
    return str(sum("==" in line for line in ended.stdout.splitlines()))


def newest_allowed(versions: Iterable[str], wanted: Iterable[Requirement]) -> str:
    """The first of the versions that all requirements allow; "none" where there is no such wheel."""
    specifiers = [requirement.specifier for requirement in wanted]
    return next((each for each in versions if all(one.contains(each) for one in specifiers)), NONE)


def applies(requirement: Requirement, python: str, machine: str = TABLED) -> bool:
    """Whether a requirement is one on Linux with this Python and machine."""
    there = {"python_version": python, "platform_machine": machine, "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(there)


def page(
    wanted: Mapping[str, Mapping[str, Requirement]],
    found: Mapping[tuple[str, str, str], str],
    counts: Mapping[tuple[str, str], str],
) -> str:
    """The page.

    Args:
        wanted: What `requirements` gives.
        found: For a package, a Python version and a machine, the newest version that has a wheel; missing where it is
            not needed.
        counts: For a Python version and a machine, how many packages all extras together are.
    """
    lines = [_HEAD, f"| package | for | {' | '.join(PYTHONS)} |", f"|---|---|{'---|' * len(PYTHONS)}"]
    for name, groups in wanted.items():
        cells = [found.get((name, python, TABLED), NOT_NEEDED) for python in PYTHONS]
        lines.append(f"| {name} | {', '.join(groups)} | {' | '.join(cells)} |")
    for machine in (TABLED, LISTED):
        without = sorted({name for (name, _, on), version in found.items() if version == NONE and on == machine})
        lines += ["", f"Without a wheel for some Python version on {machine}: {', '.join(without) or 'none of them'}."]
    lines += ["", _TOGETHER, f"| machine | {' | '.join(PYTHONS)} |", f"|---|{'---|' * len(PYTHONS)}"]
    for machine in (TABLED, LISTED):
        lines.append(f"| {machine} | {' | '.join(counts[python, machine] for python in PYTHONS)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ask uv and pip, and write the page."""
    project = project_table()
    extras = [extra for extra in project["optional-dependencies"] if extra not in (*FOR_DEVELOPERS, COMPILED)]
    counts = {where: together(*where, extras) for where in product(PYTHONS, (TABLED, LISTED))}
    wanted = requirements(project)
    found: dict[tuple[str, str, str], str] = {}
    for name, groups in wanted.items():
        for python, machine in product(PYTHONS, (TABLED, LISTED)):
            asked = [requirement for requirement in groups.values() if applies(requirement, python, machine)]
            if asked:
                command = pip_command(name, python, machine)
                ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  pip
                versions = versions_from(ended.stdout, ended.stderr, ended.returncode)
                found[name, python, machine] = newest_allowed(versions, asked)
    PAGE.write_text(page(wanted, found, counts), encoding="utf-8")


if __name__ == "__main__":
    main()
