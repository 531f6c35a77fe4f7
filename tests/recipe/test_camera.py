"""Names of cameras, and the products that they have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.recipe.camera import Camera, camera_name


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("0", "camera-0"),
        ("/dev/video0", "dev-video0"),
        ("rtsp://admin:hunter2@10.0.0.3:554/live", "rtsp-10.0.0.3-554-live"),
        ("rtsp://admin:{password}@10.0.0.3:554/live", "rtsp-10.0.0.3-554-live"),
        ("rtsp://10.0.0.3/user=admin&password=hunter2", "rtsp-10.0.0.3-user-admin-password"),
        ("http://[::1]/a?token=hunter2", "http-1-a"),
        ("gst://videotestsrc ! video/x-raw", "gst-videotestsrc-video-x-raw"),
        ("sample://ring?n=3", "sample-ring"),
        ("pictures/*.png", "pictures-png"),
        ("...", "camera"),
        ("ä", "camera"),
    ],
)
def test_a_name_made_from_a_uri(uri, name):
    assert camera_name(uri) == name


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from(["", "rtsp://", "gst://", "/dev/", "http://["]))
def test_a_name_of_any_uri_is_one_that_a_recipe_takes(text, scheme):
    name = camera_name(scheme + text)
    assert re.fullmatch("[A-Za-z0-9_.-]{1,64}", name)
    assert Camera(name=name, uri="0", bundle="b").name == name


@settings(deadline=None)
@given(st.from_regex("[a-z]{8}", fullmatch=True))
def test_a_name_holds_no_password(password):
    for uri in ("rtsp://admin:{}@host/live", "http://host/a?token={}", "gst://rtspsrc user-pw={} ! decodebin"):
        assert password not in camera_name(uri.format(password))


def test_a_bundle_of_its_own_is_one_product():
    camera = Camera(uri="0", bundle="b", threshold=0.5, region={"x": 1, "y": 2})
    (product,) = camera.all_products.values()
    assert camera.first_product == "default"
    assert (str(product.bundle), product.threshold, product.region.x) == ("b", 0.5, 1)
