"""What is said of a camera beside its verdicts."""

from __future__ import annotations

import numpy as np
from inspection_parts import DEFECTIVE, GOOD
from line_parts import run_camera

from edgerd.cameras.fake import FakeCamera
from edgerd.inspection.inspector import Inspector
from edgerd.line.update import Update

OTHER = np.full_like(GOOD, 200)  # above the threshold everywhere


def said(inspector: Inspector, pictures: list) -> list[str]:
    updates: list[Update] = []
    run_camera(inspector, FakeCamera(pictures), on_update=updates.append)
    return [update.warning for update in updates if update.warning]


def test_pictures_of_something_else_are_called_so_once(inspector: Inspector) -> None:
    (warning,) = said(inspector, [GOOD, OTHER, GOOD, OTHER])
    assert "is it another product" in warning


def test_a_defect_is_not_taken_for_something_else(inspector: Inspector) -> None:
    assert said(inspector, [GOOD, DEFECTIVE, GOOD]) == []
