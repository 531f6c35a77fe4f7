"""The recipe that `edgerd init` writes is valid, as it is and with every comment that is a setting made one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recipes import loaded

from edgerd.errors import InputError
from edgerd.recipe import Recipe
from edgerd.recipe.template import recipe_text
from edgerd.redaction import without_secrets


def holds_a_secret(text):
    """Whether the redaction takes a path for an address with a secret in it."""
    return without_secrets(text) != text


paths = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: "://" not in text and not {".", ".."} & set(Path(text).parts) and not holds_a_secret(text)
)


def text_for(uri="0", bundle="/plant/bundle", threshold=0.91234):
    return recipe_text(uri, Path(bundle), Path("/plant"), (640, 480), threshold)


def with_all_settings(text):
    return re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)


def test_it_says_what_was_asked_for():
    (camera,) = loaded(text_for()).recipe.cameras
    assert (camera.name, camera.uri, camera.bundle) == ("camera-0", "0", Path("/plant/bundle"))
    assert 'bundle = "bundle"' in text_for()
    assert "640x480" in text_for()
    assert "0.9123" in text_for()
    assert "0.9123" not in text_for(threshold=None)


@pytest.mark.parametrize("uri", ["0", "rtsp://admin:hunter2@10.0.0.3/live", "/plant/pictures"])
def test_every_comment_that_is_a_setting_is_a_valid_one(uri):
    text = with_all_settings(text_for(uri))
    recipe = loaded(text).recipe
    assert {sink.type for sink in recipe.sinks} == {"jsonl", "webhook", "mqtt", "modbus", "opcua"}
    named = {field.alias or name for name, field in Recipe.model_fields.items()}
    assert set(re.findall(r"^\[+(\w+)\]", text, re.MULTILINE)) == named


def test_a_password_is_left_out():
    text = text_for("rtsp://admin:hunter2@10.0.0.3/live?x=1")
    assert "hunter2" not in text
    (camera,) = loaded(text).recipe.cameras
    assert (camera.uri, camera.password_env) == ("rtsp://admin:{password}@10.0.0.3/live?x=1", "CAMERA_PASSWORD")
    with pytest.raises(InputError, match="several secrets"):
        text_for("rtsp://admin:hunter2@10.0.0.3/live?token=abc")


def test_a_pipeline_gets_its_password_back(monkeypatch):
    (camera,) = loaded(
        text_for("gst://rtspsrc location=rtsp://10.0.0.3/live user-pw=hunter2 ! decodebin")
    ).recipe.cameras
    for password in ("hunter2", "a b'c"):
        monkeypatch.setenv("CAMERA_PASSWORD", password)
        assert f"user-pw={password}" in shlex.split(camera.address())


@settings(deadline=None)
@given(paths, paths)
@example("{password}", "0")
def test_any_path_comes_back_as_it_was(pictures, bundle):
    (camera,) = loaded(text_for(f"/plant/{pictures}/", f"/elsewhere/{bundle}")).recipe.cameras
    assert camera.bundle == Path(f"/elsewhere/{bundle}")
    assert Path(camera.uri) == Path(f"/plant/{pictures}")


def test_a_path_that_is_not_utf_8_is_refused():
    with pytest.raises(InputError, match="UTF-8"):
        text_for(bundle="/plant/b\udce4")
