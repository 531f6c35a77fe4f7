"""What the tests of lines share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edgerd.line.supervised import SupervisedCamera


@pytest.fixture(autouse=True)
def no_supervised_camera_is_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the cameras that a test has made: each has a thread that reads."""
    made: list[SupervisedCamera] = []
    make = SupervisedCamera.__init__

    def remember(camera: SupervisedCamera, *arguments: Any, **options: Any) -> None:
        make(camera, *arguments, **options)
        made.append(camera)

    monkeypatch.setattr(SupervisedCamera, "__init__", remember)
    yield
    for camera in made:
        camera.close()
