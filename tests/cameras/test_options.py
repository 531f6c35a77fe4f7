"""Options in a camera's URI."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from edgerd.cameras import open_camera
from edgerd.cameras.options import options_in
from edgerd.errors import CameraError, InputError, MissingDependencyError


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = Field(default=640, ge=1)


def test_options_are_read_and_left_out_ones_keep_their_defaults() -> None:
    assert options_in("x://0?width=320", Options, "").width == 320
    assert options_in("x://0", Options, "").width == 640


@pytest.mark.parametrize("query", ["width=wide", "width=0", "width="])
def test_a_value_that_an_option_cannot_have_is_named(query: str) -> None:
    with pytest.raises(InputError, match="width: Input should be") as caught:
        options_in(f"x://0?{query}", Options, "x://0?width=320")
    assert "x://0?width=320" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_misspelt_option_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match="there is no option 'widht'") as caught:
        options_in("x://0?widht=320", Options, "")
    assert "Did you mean 'width'?" in str(caught.value)


@settings(deadline=None)  # some of it starts a process
@given(
    st.sampled_from(
        ["csi://", "sample://", "device://", "device://9", "/dev/video9", "gst://", "files://", "video://"]
    ),
    st.text(st.characters() | st.sampled_from("?&=%0[]:/'\0\ud800"), max_size=30),
)
def test_whatever_is_typed_is_opened_or_refused_in_our_own_words(scheme: str, rest: str) -> None:
    with contextlib.suppress(InputError, CameraError, MissingDependencyError):
        open_camera(scheme + rest).close()


@pytest.mark.parametrize(
    "uri", ["device://99999999999999999999", "4294967296", "csi://[", "rtsp://h\ud800/", "gst://\0"]
)
def test_addresses_that_a_library_would_trip_over_are_refused(uri: str) -> None:
    with pytest.raises((InputError, CameraError)):
        open_camera(uri)


@pytest.mark.parametrize("uri", ["csi://0?fsp=1", "sample://?n=0", "device://0?colour=1", "/dev/video0?width=1"])
def test_every_camera_with_options_refuses_wrong_ones_before_it_opens(uri: str) -> None:
    with pytest.raises(InputError):
        open_camera(uri)
