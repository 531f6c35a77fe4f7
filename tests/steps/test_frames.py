"""Pictures out of a video or from a camera: spread over time, none twice, and nothing that shows no part."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timezone
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import damaged_frame
from edgerd.data.pictures import read_picture
from edgerd.data.samples import line_parts
from edgerd.errors import CameraError, InputError
from edgerd.steps.frames import Spread, take_frames
from edgerd.types import Frame

PARTS = [part.part.picture for part in line_parts("ring", 40, 0.0, seed=5, size=96)]
BLACK = np.zeros((96, 96, 3), np.uint8)


def noisy(picture, seed):
    """The same scene again, as a sensor with its noise sees it."""
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def take(tmp_path, monkeypatch):
    """`take(script, count=..., ...)`: take frames from a camera that gives what stands in its script."""

    def from_script(script, spread=None, *, live=False, n_frames=None, **options):
        camera = FakeCamera(script, live=live, n_frames=n_frames)
        monkeypatch.setattr("edgerd.steps.frames.open_camera", lambda uri: camera)
        return take_frames("line.avi", tmp_path / "out", spread or Spread(), **options)

    return from_script


@pytest.fixture
def video(tmp_path):
    """Writes frames as `line.avi`, ten in a second."""

    def write(frames):
        path = tmp_path / "line.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
        for frame in frames:
            writer.write(frame)
        writer.release()
        return path

    return write


def damaged(number):
    return damaged_frame(Frame(np.empty((0, 0, 3), np.uint8), number=number, source="line.avi"), "torn")


def seconds_of(files):
    """The times in the names of pictures from a video."""
    found = [re.fullmatch(r"line_(\d\d)-(\d\d)-(\d\d\.\d{3})\.png", file).groups() for file in files]
    return [3600 * int(hours) + 60 * int(minutes) + float(seconds) for hours, minutes, seconds in found]


def test_frames_of_a_video_are_spread_over_all_of_it_and_called_by_their_time(video, tmp_path):
    path = video(PARTS)
    taken = take_frames(str(path), tmp_path / "out", Spread(count=8), frames_per_s=10.0)
    assert seconds_of(taken.files) == pytest.approx([0.5 * index for index in range(8)])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == taken.files
    assert taken.left_out == {"between two that were taken": 28}
    assert taken.n_read == 36  # the rest would not be taken
    whole = read_picture(tmp_path / "out" / taken.files[2])
    assert np.abs(whole.astype(int) - PARTS[10]).mean() < 4  # MJPG is lossy


def test_a_frame_that_is_due_at_its_very_moment_is_taken(video, tmp_path):
    """0.2 + 0.2 + 0.2 is a little more than 0.6."""
    taken = take_frames(str(video(PARTS)), tmp_path / "out", Spread(count=20), frames_per_s=10.0)
    assert seconds_of(taken.files) == pytest.approx([0.2 * index for index in range(20)])


def test_one_every_so_many_seconds_to_the_end_of_a_video(video, tmp_path):
    path = video(PARTS)
    taken = take_frames(str(path), tmp_path / "out", Spread(count=None, every_s=0.7), frames_per_s=10.0)
    assert seconds_of(taken.files) == pytest.approx([0, 0.7, 1.4, 2.1, 2.8, 3.5])
    assert taken.n_read == 40
    fewer = take_frames(str(path), tmp_path / "fewer", Spread(count=3, every_s=0.7), frames_per_s=10.0)
    assert fewer.files == taken.files[:3]


def test_a_belt_that_stands_still_gives_one_picture(take):
    frames = [*PARTS[:5], *(noisy(PARTS[5], seed) for seed in range(20)), *PARTS[6:10]]
    taken = take(frames, Spread(count=29), n_frames=29)
    assert len(taken.files) == 10
    assert taken.left_out == {"nearly the same as one that was taken": 19}


def test_what_was_seen_long_ago_is_not_taken_again(take):
    frames = [*PARTS[:6], *(noisy(part, 1) for part in PARTS[:6])]
    assert len(take(frames, Spread(count=12), n_frames=12).files) == 6


@pytest.mark.parametrize("kind", ["ring", "weave", "label"])
def test_different_parts_are_never_nearly_the_same(take, kind):
    """A texture must not be averaged away: two pieces of one cloth are two pictures."""
    parts = [part.part.picture for part in line_parts(kind, 20, 0.0, seed=3, size=256)]
    assert len(take(parts, Spread(count=20), n_frames=20).files) == 20


def test_what_shows_no_part_is_left_out_and_made_up_for(take, tmp_path):
    frames = [PARTS[0], damaged(1), BLACK, BLACK, np.full_like(BLACK, 90), PARTS[1], PARTS[2], PARTS[3]]
    said = []
    taken = take(frames, Spread(count=4), n_frames=8, say=said.append)
    assert taken.files == ["line_000000.png", "line_000005.png", "line_000007.png"]
    assert taken.left_out == {
        "arrived damaged, or cannot be read": 1,
        "black, or of one colour": 3,
        "between two that were taken": 1,
    }
    assert len(said) == 1
    assert "torn" in said[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_frames=st.integers(1, 60),
    count=st.integers(1, 80),
    kinds=st.lists(st.sampled_from(["part", "black", "damaged", "same"]), min_size=60, max_size=60),
)
def test_every_frame_is_accounted_for(tmp_path_factory, monkeypatch, n_frames, count, kinds):
    script, number = [], 0
    for index, kind in enumerate(kinds[:n_frames]):
        if kind == "damaged":
            script.append(damaged(index))
            continue
        number += kind == "part"
        script.append(BLACK if kind == "black" else PARTS[number % 40])
    with monkeypatch.context() as patch:
        camera = FakeCamera(script, n_frames=n_frames)
        patch.setattr("edgerd.steps.frames.open_camera", lambda uri: camera)
        out = tmp_path_factory.mktemp("out")
        try:
            taken = take_frames("line.avi", out, Spread(count=count))
        except InputError:
            assert "part" not in kinds[:n_frames]
            return
    assert len(taken.files) <= count
    assert len(taken.files) + sum(taken.left_out.values()) == taken.n_read <= n_frames
    assert sorted(file.name for file in out.iterdir()) == taken.files


def test_a_live_camera_is_watched_for_the_minutes_given(take, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("edgerd.cameras.watching.time", SimpleNamespace(monotonic=lambda: now[0]))

    def script():
        for number in range(100_000):
            now[0] += 0.5
            at = datetime(2026, 3, 1, 6, 59, tzinfo=timezone.utc).timestamp() + now[0] - 1000
            yield Frame(PARTS[number % 40], number=number, captured_at=at, source="0")

    taken = take(script(), Spread(count=12, minutes=2.0), live=True)
    assert taken.n_read <= 240
    assert len(taken.files) == 12
    assert taken.files[0] == "2026-03-01T06-59-00.500Z.png"
    times = [datetime.strptime(file, "%Y-%m-%dT%H-%M-%S.%fZ.png") for file in taken.files]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert min(gaps) >= 5.0  # 10 s on average, half an interval late at most


def test_a_clock_that_is_set_back_overwrites_no_picture(take, tmp_path):
    frames = [Frame(part, number=number, captured_at=1e9, source="0") for number, part in enumerate(PARTS[:3])]
    taken = take(frames, Spread(count=None, every_s=1e-6), live=True)
    assert taken.files == [f"2001-09-09T01-46-40.000Z{suffix}.png" for suffix in ("", "_1", "_2")]
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize(("live", "error"), [(False, InputError), (True, CameraError)])
def test_a_source_that_shows_nothing(take, tmp_path, live, error):
    with pytest.raises(error, match="gave no frame that shows something; 3 were looked at"):
        take([BLACK, BLACK, BLACK], live=live, n_frames=3)
    assert not (tmp_path / "out").exists()


def test_a_lost_camera_leaves_what_was_taken(take, tmp_path):
    with pytest.raises(CameraError, match="gone"):
        take([*PARTS[:3], CameraError("The camera is gone.")], Spread(count=None, every_s=1e-6), live=True)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_stop_leaves_what_was_taken(take):
    stop = threading.Event()
    taken = take(
        PARTS, Spread(count=40), n_frames=40, stop=stop, on_frame=lambda read, *_: stop.set() if read == 6 else None
    )
    assert (taken.n_read, len(taken.files)) == (6, 6)


def test_a_folder_with_files_in_it_is_left_alone(take, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="has files in it"):
        take(PARTS)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_seconds_cannot_be_counted_where_frames_have_no_times(take):
    with pytest.raises(InputError, match="have no times, so --every 2 cannot be used"):
        take(PARTS, Spread(count=None, every_s=2.0), n_frames=40)


def test_a_video_that_ends_early_is_named(take):
    assert "ended after 10 of the 40 frames" in take(PARTS[:10], Spread(count=40), n_frames=40).early_end
