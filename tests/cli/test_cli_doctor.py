"""`edgerd doctor`: what is there, what is not, and what to type."""

from __future__ import annotations

import sys

from edgerd.runtimes import RUNTIMES


def words(text):
    return " ".join(text.split())


def test_every_runtime_is_named(edgerd):
    result = edgerd("doctor")
    assert result.exit_code == 0
    for name in (*RUNTIMES, "opencv", "training", "disk"):
        assert any(line.startswith(name) for line in result.out.splitlines()), name
    assert "fp32" in result.out


def test_what_is_missing_comes_with_the_command_that_brings_it(edgerd, monkeypatch):
    for name in ("torch", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    result = edgerd("doctor")
    assert result.exit_code == 0  # ONNX Runtime is enough
    assert 'training no not installed; next: pip install "edgerd[train]"' in words(result.out)
    assert "openvino no" in words(result.out)


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
