"""Options in a camera's URI."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from edgerd.cameras import open_camera
from edgerd.cameras.options import options_in
from edgerd.errors import InputError


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


@pytest.mark.parametrize("uri", ["csi://0?fsp=1", "sample://?n=0", "device://0?colour=1", "/dev/video0?width=1"])
def test_every_camera_with_options_refuses_wrong_ones_before_it_opens(uri: str) -> None:
    with pytest.raises(InputError):
        open_camera(uri)
