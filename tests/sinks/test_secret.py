"""Secrets come from the environment or a file, and show nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerd.errors import InputError
from edgerd.sinks.secret import read_address, read_secret


def test_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "geheim")
    (tmp_path / "password").write_text("geheim \n")
    assert read_secret("env:BROKER_PASSWORD", "the password").get_secret_value() == "geheim"
    secret = read_secret(f"file:{tmp_path / 'password'}", "the password")
    assert secret.get_secret_value() == "geheim "
    assert "geheim" not in f"{secret!r} {secret}"


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    with pytest.raises(InputError, match="environment variable BROKER_PASSWORD with the password is not set"):
        read_secret("env:BROKER_PASSWORD", "the password")
    with pytest.raises(InputError, match=r"nothing with the password cannot be read: No such file"):
        read_secret(f"file:{tmp_path / 'nothing'}", "the password")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not text"):
        read_secret(f"file:{tmp_path / 'binary'}", "the password")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_secret(f"file:{tmp_path / 'empty'}", "the password")


def test_a_secret_that_is_written_out_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        read_secret("geheim", "the password")
    assert "geheim" not in str(caught.value)
    assert "env:NAME" in str(caught.value)


def test_an_address_is_written_out_only_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.example.com/T0/geheim?token=geheim")
    assert read_address("https://mes.example.com/alerts", "the web hook") == "https://mes.example.com/alerts"
    assert read_address("env:HOOK", "the web hook") == "https://hooks.example.com/T0/geheim?token=geheim"
    for address in ("https://me:geheim@mes.example.com", "https://mes.example.com?token=geheim"):
        with pytest.raises(InputError, match="The web hook holds a secret") as caught:
            read_address(address, "the web hook")
        assert "geheim" not in str(caught.value)
