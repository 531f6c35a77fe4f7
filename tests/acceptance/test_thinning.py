"""Good pictures from a camera are evenly spread over the time that it was watched, whatever is rejected."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.acceptance.new_pictures import pictures_from_camera
from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.watching import Thinning
from edgerd.data.preprocess import prepare
from edgerd.data.samples import line_parts


def test_pictures_stay_apart_after_dark_minutes(bundle, monkeypatch):
    """A line whose light is off for half of the time must not give the other half in a few seconds."""
    now, frame_s = [0.0], 0.5
    parts = [part.part.picture for part in line_parts("ring", 8, 0.0, seed=5, size=96)]
    taken_at: dict[bytes, float] = {}

    def script():
        while True:
            now[0] += frame_s
            number = round(now[0] / frame_s)
            if 120 <= now[0] < 420:
                yield np.zeros_like(parts[0])
                continue
            picture = parts[number % 8].copy()
            picture[:8, :8] = number % 256, number // 256, 0  # no two alike
            taken_at[prepare(picture, bundle.manifest.preprocess).tobytes()] = now[0]
            yield picture

    monkeypatch.setattr("edgerd.cameras.watching.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("edgerd.acceptance.new_pictures.open_camera", lambda uri: FakeCamera(script(), live=True))
    new = pictures_from_camera(bundle, "0", 10.0, 150)
    times = [taken_at[picture.tobytes()] for picture in new.pictures]
    interval_s = 600 / 150
    assert min(np.diff(times)) >= interval_s / 2
    assert len([moment for moment in times if moment > 420]) <= 180 / interval_s + 1
    assert 70 <= len(new) <= 80  # half of the time, half of the pictures


@settings(max_examples=200, deadline=None)
@given(
    interval_s=st.floats(0.1, 60),
    gaps=st.lists(st.one_of(st.floats(0.01, 1), st.floats(1, 300)), max_size=200),
    rejected=st.sets(st.integers(0, 199)),
    dark=st.tuples(st.integers(0, 199), st.integers(0, 199)),
)
def test_thinning_holds_whatever_is_rejected(interval_s, gaps, rejected, dark):
    thinning, now_s, taken = Thinning(interval_s, 0.0), 0.0, []
    for number, gap_s in enumerate(gaps):
        now_s += gap_s
        if not thinning.is_due(now_s) or number in rejected or dark[0] <= number < dark[1]:
            continue
        thinning.took(now_s)
        taken.append(now_s)
    for first in range(len(taken)):
        for last in range(first + 1, len(taken)):
            assert taken[last] - taken[first] >= (last - first - 0.5) * interval_s - 1e-6


def test_frames_that_come_a_little_late_cost_no_pictures():
    """150 pictures of ten minutes, from a camera whose frames never fall on the grid."""
    thinning, taken = Thinning(4.0, 0.0), 0
    for number in range(1, int(600 / 0.07)):
        if thinning.is_due(number * 0.07):
            thinning.took(number * 0.07)
            taken += 1
    assert taken == 150
