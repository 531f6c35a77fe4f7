"""A recipe holds no secret: one that stands in it is refused and not shown, and one that is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import FULL, loaded

from edgerd.errors import InputError, RecipeError
from edgerd.recipe import load_recipe

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f'password = "{SECRET}"',
        f'passwort_env = "{SECRET}"',
        f'password_env = "{SECRET}!"',
        f'uri = "rtsp://admin:{SECRET}@10.0.0.3/live"',
        f'uri = "http://10.0.0.3/video?token={SECRET}"',
        f'uri = "gst://rtspsrc location=rtsp://10.0.0.3 user-pw={SECRET} ! decodebin"',
        f'masks = ["rtsp://admin:{SECRET}@10.0.0.3/live"]\nuri = "http://10.0.0.3/?token=x"',
        f'[[sink]]\ntype = "webhook"\nurl = "https://example.com/?key={SECRET}"',
        f'[[sink]]\ntype = "webhook"\nsecret = "{SECRET}"\nurl = "https://example.com/"',
        f'[control]\ntoken = "{SECRET}"',
    ],
)
def test_a_secret_in_the_file_is_refused_with_advice_and_not_shown(line):
    text = line if "uri =" in line else f'uri = "0"\n{line}'
    with pytest.raises(RecipeError) as caught:
        loaded(f'[[camera]]\nbundle = "b"\n{text}\n')
    assert SECRET not in str(caught.value)
    assert "_env" in str(caught.value)


def test_secrets_come_from_the_environment_or_a_file(tmp_path, monkeypatch):
    file = tmp_path / "edgerd.toml"
    file.write_text(FULL)
    recipe = load_recipe(file).recipe
    with pytest.raises(InputError, match="LEFT_PASSWORD"):
        recipe.cameras[0].address()
    monkeypatch.setenv("LEFT_PASSWORD", "a b/@c")
    assert recipe.cameras[0].address() == "rtsp://admin:a%20b%2F%40c@10.0.0.3:554/live"
    with pytest.raises(InputError, match="token"):
        recipe.sinks[1].address()
    (tmp_path / "token").write_text("t0ken\n")
    assert recipe.sinks[1].address() == "https://hooks.example.com/t0ken"


def test_all_secrets_that_are_missing_are_named_at_once(tmp_path, monkeypatch):
    file = tmp_path / "edgerd.toml"
    file.write_text(FULL)
    recipe = load_recipe(file).recipe
    with pytest.raises(InputError) as caught:
        recipe.check_secrets()
    named = ["LEFT_PASSWORD", "HOOK_SECRET", "CONTROL_TOKEN", str(tmp_path / "token"), str(tmp_path / "mqtt-password")]
    assert all(name in caught.value.what for name in named)
    for name in named[:3]:
        monkeypatch.setenv(name, SECRET)
    for name in named[3:]:
        Path(name).write_text(SECRET)
    recipe.check_secrets()
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        recipe.check_secrets()
