"""`edgerd doctor`: what is there, what is not, and what to type."""

from __future__ import annotations

import sys

import pytest

from edgerd.runtimes import RUNTIMES


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
