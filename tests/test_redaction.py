"""Secrets in addresses of cameras."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'\\&"), min_size=6).map(
    lambda text: f"Q7{text}z"  # so that it is in no address by chance
)
HOSTS = st.sampled_from(["10.0.0.3", "10.0.0.3:554", "cam1", "cam1:8080", "[fe80::1]:554", "line-2.plant.example"])
PATHS = st.sampled_from(["", "/", "/live/ch1", "/a:b", "/video.mjpg?fps=5", "/user=admin&channel=1&stream=0.sdp"])
NAMES = st.sampled_from(
    [
        "password",
        "pwd",
        "pass",
        "passwd",
        "Password",
        "PWD",
        "token",
        "access_token",
        "key",
        "api_key",
        "apikey",
        "auth",
        "loginpas",
        "secret",
        "psw",
        "sig",
        "X-Amz-Signature",
        "sessionid",
        "user_pw",
        "admin_password",
    ]
)


@given(
    st.sampled_from(["rtsp", "rtsps", "http", "https", "RTSP"]),
    st.sampled_from(["admin", "", "a.b"]),
    SECRETS,
    HOSTS,
    PATHS,
)
def test_a_password_before_the_host_is_hidden_and_the_host_is_shown(
    scheme: str, user: str, secret: str, host: str, path: str
) -> None:
    shown = without_secrets(f"{scheme}://{user}:{secret}@{host}{path}")
    assert secret not in shown
    assert shown == f"{scheme}://{user}:***@{host}{path}"


@given(
    st.sampled_from(["rtsp", "http", "HTTPS"]),
    HOSTS,
    st.sampled_from(["/?", "/ok?", "/", "/ok?fps=5&", "/user=a&"]),
    NAMES,
    SECRETS,
)
def test_a_secret_parameter_is_hidden_and_the_next_is_shown(
    scheme: str, host: str, begin: str, name: str, secret: str
) -> None:
    shown = without_secrets(f"{scheme}://{host}{begin}{name}={secret}&channel=1&stream=0.sdp")
    assert secret not in shown
    assert shown.endswith("***&channel=1&stream=0.sdp")


@given(
    st.sampled_from(["user-pw", "user-id", "password", "location", "proxy-pw"]), SECRETS, st.sampled_from(["=", " = "])
)
def test_a_secret_property_of_a_pipeline_is_hidden_and_the_others_are_shown(name: str, secret: str, joint: str) -> None:
    value = f"rtsp://admin:{secret}@10.0.0.3/live" if name == "location" else secret
    shown = without_secrets(f'gst://rtspsrc {name}{joint}"{value}" latency=0 ! rtph264depay ! avdec_h264')
    assert secret not in shown
    assert "latency=0 ! rtph264depay ! avdec_h264" in shown


@given(st.text())
def test_any_text_can_be_shown_twice(text: str) -> None:
    """An address that is redacted already, as in an error about a stored address, is not changed again."""
    shown = without_secrets(text)
    assert without_secrets(shown) == shown


@pytest.mark.parametrize(
    "address",
    [
        "0", "/dev/v4l/by-id/usb-Acme-video-index0", "line.mp4", "sample://ring?n=12&defective=0.5&size=96",
        "csi://0?width=1280&height=720", "http://10.0.0.3:8080/video.mjpg?fps=5", "rtsp://10.0.0.3/live/ch@2",
        "gst://v4l2src device=/dev/video0 ! video/x-raw,format=YUY2,framerate=30/1 ! queue leaky=downstream",
        "gst://x264enc key-int-max=30 ! identity bypass-on=1",
    ],
)  # fmt: skip
def test_an_address_without_a_secret_is_shown_as_it_is(address: str) -> None:
    assert without_secrets(address) == address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://10.0.0.3/user=admin_password=Sekret1_channel=1", "rtsp://10.0.0.3/user=admin_password=***"),
        ("http://tok3n@10.0.0.3/", "http://***@10.0.0.3/"),
        ("http://proxy/?url=rtsp://admin:Sekret1@10.0.0.3/live", "http://proxy/?url=rtsp://admin:***@10.0.0.3/live"),
        ("admin:Sekret1@10.0.0.3/live", "admin:***@10.0.0.3/live"),
        ("gst://rtspsrc 'user-pw=Sek", "gst://rtspsrc 'user-pw=***"),
        ("Could not open rtsp://admin:Sekret1@10.0.0.3/live", "Could not open rtsp://admin:***@10.0.0.3/live"),
    ],
)
def test_where_secrets_were_found(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "a" * 100_000 + "password=secret", "_key" * 25_000 + "=secret", "key" + " " * 100_000 + "=secret"],
)
def test_long_text_takes_no_time_that_grows_with_its_square(text):
    assert "secret" not in without_secrets(text)
