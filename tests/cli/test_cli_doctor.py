"""`edgerd doctor`: what is there, what is not, and what to type."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgerd.cameras import genicam_process
from edgerd.cli import doctor_line
from edgerd.cli.doctor_line import EXTRAS
from edgerd.runtimes import RUNTIMES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def words(text):
    return " ".join(text.split())


def test_every_runtime_is_named(edgerd):
    result = edgerd("doctor")
    assert result.exit_code == 0
    for name in (*RUNTIMES, "opencv", "gstreamer", "training", "disk"):
        assert any(line.startswith(name) for line in result.out.splitlines()), name
    assert "fp32" in result.out


def test_what_is_missing_comes_with_the_command_that_brings_it(edgerd, monkeypatch):
    for name in ("torch", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    result = edgerd("doctor")
    assert result.exit_code == 0  # ONNX Runtime is enough
    assert 'training no not installed; next: pip install "edgerd[train]"' in words(result.out)
    assert "openvino no" in words(result.out)


@pytest.mark.parametrize("is_there", [True, False])
def test_gstreamer_is_only_for_some_cameras(edgerd, monkeypatch, tmp_path, is_there):
    if is_there:
        program = tmp_path / "gst-launch-1.0"
        program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    result = edgerd("doctor")
    assert result.exit_code == 0
    (row,) = [words(line) for line in result.out.splitlines() if line.startswith("gstreamer")]
    if is_there:
        assert row == f"gstreamer yes {program}, for csi:// and gst:// cameras"
    else:
        assert row.startswith(
            "gstreamer no gst-launch-1.0 is not installed; only csi:// and gst:// cameras need it; next: "
        )
        assert {"gstreamer1.0-tools", "gstreamer1.0-plugins-good"} <= set(row.split())


def row_of(result, label):
    (row,) = [words(line) for line in result.out.splitlines() if line.startswith(f"{label} ")]
    return row


def test_what_a_line_may_talk_to_is_named_with_its_version(edgerd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    result = edgerd("doctor")
    assert re.match(
        r"pyav yes \d+\.\d+\.\d+ with libavcodec \d+.*, for videos, rtsp:// and http:// cameras", row_of(result, "pyav")
    )
    for extra, (use, modules) in EXTRAS.items():
        row = row_of(result, extra)
        assert row.startswith(f"{extra} yes "), row
        assert row.endswith(f"for {use}")
        assert all(f"{package} {version(package)}" in row for package in modules)


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_part_of_a_line_that_is_missing_comes_with_its_extra(edgerd, monkeypatch, extra):
    package, module = next(iter(EXTRAS[extra][1].items()))
    monkeypatch.setattr(doctor_line, "find_spec", lambda name: None if name == module else find_spec(name))
    monkeypatch.setenv("COLUMNS", "300")
    result = edgerd("doctor")
    assert result.exit_code == 0
    assert row_of(result, extra).startswith(f"{extra} no not installed: {package}, for {EXTRAS[extra][0]}; ")
    assert row_of(result, extra).endswith(f'next: pip install "edgerd[{extra}]"')


def test_its_extras_bring_what_it_looks_for_and_one_brings_them_all():
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra, (_, modules) in EXTRAS.items():
        assert {re.match(r"[\w-]+", requirement)[0] for requirement in declared[extra]} == set(modules)
    assert declared["line"] == [f"edgerd[{','.join(EXTRAS)}]"]


@pytest.mark.parametrize(("status", "mark"), [(0, "yes"), (1, "no")])
def test_industrial_cameras_need_aravis_for_the_python_that_reads_them(edgerd, monkeypatch, tmp_path, status, mark):
    program = tmp_path / "python3"
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setattr(genicam_process, "_python", lambda: str(program))
    monkeypatch.setenv("COLUMNS", "300")
    result = edgerd("doctor")
    assert result.exit_code == 0
    row = row_of(result, "genicam")
    assert row.startswith(f"genicam {mark} ")
    assert str(program) in row
    assert ("gir1.2-aravis-0.8" in row) is bool(status)


def test_without_a_runtime_nothing_can_be_judged(edgerd_process):
    process = edgerd_process("doctor", blocked=("onnxruntime", "openvino"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 6
    assert "onnxruntime no" in words(out)
    assert "cannot be judged on this machine" in err


def test_without_opencv_it_names_libgl_and_commands_point_to_doctor(edgerd_process, bundle):
    doctor = edgerd_process("doctor", blocked=("cv2",))
    out, err = doctor.communicate(timeout=60)
    assert doctor.returncode == 6, err
    assert "libgl1" in out
    inspect = edgerd_process("inspect", bundle.path, "a.png", blocked=("cv2",))
    _, err = inspect.communicate(timeout=60)
    assert inspect.returncode == 6
    assert "cv2 cannot be imported" in err
    assert "edgerd doctor" in err
