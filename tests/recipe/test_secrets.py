"""Secrets that a recipe names come from an environment variable or a file, and show nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerd.errors import InputError
from edgerd.recipe.secrets import read_secret
from edgerd.recipe.sinks import MqttRecord

SECRET = "geheim"


def broker(**source: object) -> MqttRecord:
    return MqttRecord.model_validate({"type": "mqtt", "host": "broker.example.com", "user": "edgerd", **source})


def test_it_is_read_without_the_line_end_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", SECRET)
    (tmp_path / "password").write_text(f" {SECRET} \r\n")
    from_variable, from_file = broker(password_env="BROKER_PASSWORD"), broker(password_file=tmp_path / "password")
    assert read_secret(from_variable, "password") == SECRET
    assert read_secret(from_file, "password") == f" {SECRET} "
    assert SECRET not in f"{from_variable!r} {from_file!r}"
    assert read_secret(broker(), "password") is None


@pytest.mark.parametrize("content", [None, ""], ids=["not set", "empty"])
def test_a_variable_without_it_is_named(content: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    if content is not None:
        monkeypatch.setenv("BROKER_PASSWORD", content)
    with pytest.raises(InputError, match="variable BROKER_PASSWORD, which holds a password, is not set"):
        read_secret(broker(password_env="BROKER_PASSWORD"), "password")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read: No such file"), (b"\n", "is empty"), (b"geheim\xff", "is not UTF-8")],
    ids=["missing", "empty", "binary"],
)
def test_a_file_without_it_is_named_and_not_shown(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(InputError, match=f"password, which holds a password, {why}") as caught:
        read_secret(broker(password_file=tmp_path / "password"), "password")
    assert SECRET not in str(caught.value)
