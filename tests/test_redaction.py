"""Secrets in addresses of cameras."""

from __future__ import annotations

import pytest

from edgerd.redaction import without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.3:554/live", "rtsp://admin:***@10.0.0.3:554/live"),
        ("rtsp://:secret@10.0.0.3/live", "rtsp://:***@10.0.0.3/live"),
        ("rtsp://admin:p@ss@10.0.0.3/live", "rtsp://admin:***@10.0.0.3/live"),
        ("http://10.0.0.3:8080/a:b@c", "http://10.0.0.3:8080/a:b@c"),
    ],
)
def test_password_is_not_shown(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown
