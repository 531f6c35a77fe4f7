"""Sample parts as a camera."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest

from edgerd.cameras.sample import SampleCamera
from edgerd.errors import InputError
from edgerd.types import Frame


def frames(uri: str, n_frames: int = 100) -> list[Frame]:
    camera = SampleCamera(uri)
    return [frame for frame in itertools.islice(iter(camera.read, None), n_frames) if frame]


def test_same_uri_same_frames() -> None:
    uri = "sample://ring?n=4&seed=3&defective=0.5&size=64"
    first, second = frames(uri), frames(uri)
    assert len(first) == 4
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.data, b.data)
        assert a.source == b.source


def test_another_seed_shows_other_parts() -> None:
    (a,), (b,) = frames("sample://ring?n=1&size=64&seed=0"), frames("sample://ring?n=1&size=64&seed=1")
    assert not np.array_equal(a.data, b.data)


def test_without_n_it_is_endless() -> None:
    camera = SampleCamera("sample://ring?size=64&pool=2")
    assert camera.n_frames is None
    assert all(camera.read() is not None for _ in range(50))


def test_source_says_which_parts_are_defective() -> None:
    assert all(frame.source.endswith(":good") for frame in frames("sample://ring?n=5&size=64"))
    assert not any(frame.source.endswith(":good") for frame in frames("sample://ring?n=5&size=64&defective=1"))
    shown = frames("sample://ring?n=400&size=64&defective=0.25&pool=400&seed=1", 400)
    assert 60 < sum(not frame.source.endswith(":good") for frame in shown) < 140


def test_pool_repeats_its_parts() -> None:
    shown = frames("sample://ring?n=7&size=64&pool=3")
    assert [np.array_equal(frame.data, shown[0].data) for frame in shown] == [True, False, False] * 2 + [True]
    assert [frame.number for frame in shown] == list(range(7))


def test_live_camera_keeps_its_pace() -> None:
    camera = SampleCamera("sample://ring?size=64&pool=2&live=1&fps=100")
    assert camera.live
    started_s = time.monotonic()
    for _ in range(11):
        camera.read()
    assert time.monotonic() - started_s >= 0.1


def test_live_camera_can_be_closed_while_it_waits() -> None:
    camera = SampleCamera("sample://ring?size=64&live=1&fps=0.01")
    camera.read()
    closer = threading.Timer(0.05, camera.close)
    closer.start()
    assert camera.read() is None
    closer.join()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sample://rung", "Did you mean 'ring'"),
        ("sample://ring?defectiv=0.1", "defectiv"),
        ("sample://ring?n=0", "n: Input should be greater than or equal to 1"),
        ("sample://ring?defective=nan", "defective"),
        ("sample://ring?fps=", "fps"),
        ("sample://ring?pool=1", "pool"),
    ],
)
def test_uri_that_cannot_be_used(uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SampleCamera(uri)
    assert caught.value.exit_code == 2
