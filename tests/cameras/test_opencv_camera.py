"""Cameras of this machine: none is there, and a driver in place of OpenCV's."""

from __future__ import annotations

import pytest

from edgerd.cameras.opencv import DeviceCamera
from edgerd.errors import CameraError


def test_device_that_is_not_there_says_what_to_check(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="Camera 93 does not open") as caught:
        DeviceCamera("93")
    assert "/dev/video" in str(caught.value)
    assert capfd.readouterr().err == ""
