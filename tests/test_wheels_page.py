"""The list of wheels for aarch64: what pip's answers mean, and that every dependency is in it."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from packaging.requirements import Requirement

from tools import wheels_page


def test_versions_are_read_from_what_pip_prints():
    output = '{"name": "av", "versions": ["18.1.0", "17.0.0"], "latest": "18.1.0"}'
    assert wheels_page.versions_from(output, "WARNING: pip index is experimental", 0) == ["18.1.0", "17.0.0"]
    no_wheel = "WARNING: something\nERROR: No matching distribution found for pycuda\n"
    assert wheels_page.versions_from("", no_wheel, 1) == []


def test_an_index_that_does_not_answer_is_not_a_missing_wheel():
    with pytest.raises(RuntimeError, match="connection refused"):
        wheels_page.versions_from("", "ERROR: connection refused", 1)


@pytest.mark.parametrize(
    ("versions", "wanted", "newest"),
    [
        (["2.0", "1.0"], ["a>=1"], "2.0"),
        (["2.0", "1.5", "1.0"], ["a>=1", "a<2"], "1.5"),
        (["0.9"], ["a>=1"], "none"),
        ([], ["a"], "none"),
    ],
)
def test_the_newest_version_that_edgerd_allows(versions, wanted, newest):
    assert wheels_page.newest_allowed(versions, map(Requirement, wanted)) == newest


def test_requirements_of_extras_are_put_together():
    project = {
        "name": "edgerd",
        "dependencies": ["click>=8", "tomli>=2; python_version < '3.11'"],
        "optional-dependencies": {
            "web": ["uvicorn>=1"],
            "watch": ["uvicorn>=2"],
            "all": ["edgerd[web,watch]"],
            "docs": ["zensical"],
            "dev": ["ruff"],
        },
    }
    wanted = wheels_page.requirements(project)
    assert {name: list(groups) for name, groups in wanted.items()} == {
        "click": ["base"],
        "tomli": ["base"],
        "uvicorn": ["web", "watch"],
    }
    tomli = wanted["tomli"]["base"]
    assert [wheels_page.applies(tomli, python) for python in ("3.10", "3.14")] == [True, False]


def test_the_page_says_what_has_no_wheel_and_what_is_not_needed():
    wanted = {"tomli": {"base": Requirement("tomli")}, "pycuda": {"tensorrt": Requirement("pycuda")}}
    found = {("tomli", "3.10", "aarch64"): "2.4", ("tomli", "3.10", "x86_64"): "2.4"}
    found |= {("pycuda", python, "aarch64"): "none" for python in wheels_page.PYTHONS}
    found |= {("pycuda", python, "x86_64"): "2026.1" for python in wheels_page.PYTHONS}
    counts = {(python, machine): "70" for python in wheels_page.PYTHONS for machine in ("aarch64", "x86_64")}
    text = wheels_page.page(wanted, found, counts)
    assert "| tomli | base | 2.4 | not needed | not needed | not needed | not needed |" in text
    assert "| pycuda | tensorrt | none | none | none | none | none |" in text
    assert "\nWithout a wheel for some Python version on aarch64: pycuda.\n" in text
    assert "\nWithout a wheel for some Python version on x86_64: none of them.\n" in text
    assert text.endswith("\n| x86_64 | 70 | 70 | 70 | 70 | 70 |\n")


def test_uv_is_asked_for_wheels_of_all_extras_at_once():
    command = wheels_page.together_command("3.14", "aarch64", ["train", "openvino"])
    assert command[:3] == ["uv", "pip", "compile"]
    assert " --only-binary :all: --python-version 3.14 --python-platform aarch64-manylinux_2_35" in " ".join(command)
    assert " --extra train --extra openvino " in " ".join(command)


def test_extras_that_do_not_resolve_are_an_error(monkeypatch, tmp_path):
    uv = tmp_path / "uv"
    uv.write_text(
        '#!/bin/sh\ncase "$*" in *--extra*) echo "they exclude each other" >&2; exit 1;; esac\necho av==18.1\n'
    )
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert wheels_page.together("3.12", "x86_64", []) == "1"
    with pytest.raises(RuntimeError, match=r"on x86_64 with Python 3\.12: they exclude each other"):
        wheels_page.together("3.12", "x86_64", ["train"])


def test_pip_is_asked_for_wheels_of_the_machine_alone():
    command = wheels_page.pip_command("av", "3.12", "x86_64")
    assert "--only-binary=:all:" in command
    platforms = [after for before, after in pairwise(command) if before == "--platform"]
    assert "manylinux_2_28_x86_64" in platforms
    assert all(platform.endswith("_x86_64") for platform in platforms)


def test_every_dependency_is_on_the_page():
    rows = dict(re.findall(r"^\| (\S+) \| ([^|]+) \|", wheels_page.PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    wanted = wheels_page.requirements(wheels_page.project_table())
    assert {name: rows.get(name) for name in wanted} == {name: ", ".join(groups) for name, groups in wanted.items()}
