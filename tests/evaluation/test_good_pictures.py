"""The page about good pictures that may not be good: complete, in one file, and only where it is needed."""

from __future__ import annotations

import base64
import errno
import re

import cv2
import numpy as np
import pytest

from edgerd.errors import StorageError
from edgerd.evaluation import good_pictures
from edgerd.evaluation.good_pictures import MOST_SHOWN, write_good_pictures

SCORES = [1.0, 1.1, 0.9, 1.05, 4.0, 0.95, 1.0, 1.02, 9.0, 0.98]


def names(n):
    return [f"good/{index:03d}.png" for index in range(n)]


def grey(index):
    """Tiles of a picture whose colour is its index: uint8 (1, 32, 48, 3)."""
    return np.full((1, 32, 48, 3), 10 * (index % 25), np.uint8)


def write(file, scores=SCORES, picture=grey, **options):
    return write_good_pictures(file, options.pop("names", names(len(scores))), scores, picture, **options)


def pictures_on(page):
    """What the page shows, in its order: (caption, picture)."""
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)">', page)
    return [
        (name, cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR))
        for content, name in found
    ]


def test_the_suspicious_come_first_and_ordinary_ones_stand_beside_them(tmp_path):
    assert write(tmp_path / "page.html") == (8, 4)
    page = (tmp_path / "page.html").read_text()
    shown = pictures_on(page)
    assert [name for name, _ in shown[:2]] == ["good/008.png", "good/004.png"]
    assert not {name for name, _ in shown[2:]} & {"good/008.png", "good/004.png"}
    assert len(shown) == 8
    for name, picture in shown:
        assert (picture == 10 * int(name[5:8])).all()
    assert "score 9.00" in page
    assert "2 of 10 pictures of good parts score far above" in page


def test_the_page_loads_nothing(tmp_path):
    write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert all(address.startswith("data:image/png;base64,") for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "<script" not in page


def test_it_says_what_becomes_of_the_threshold(tmp_path):
    write(tmp_path / "few.html")
    assert "do not count for the threshold" in (tmp_path / "few.html").read_text()
    write(tmp_path / "many.html", SCORES * 10)
    assert "raise the threshold" in (tmp_path / "many.html").read_text()


def test_without_suspicious_pictures_there_is_no_page_and_an_old_one_goes(tmp_path):
    page = tmp_path / "page.html"
    assert write(page, SCORES[:4]) == ()
    write(page)
    assert page.exists()
    assert write(page, SCORES[:4]) == ()
    assert not page.exists()


def test_tiles_lie_as_they_lay_in_the_picture_and_large_ones_become_small(tmp_path):
    def tiled(_):
        return np.stack([np.full((200, 300, 3), 40 * number, np.uint8) for number in range(6)])

    write(tmp_path / "page.html", picture=tiled, columns=3)
    _, picture = pictures_on((tmp_path / "page.html").read_text())[0]
    assert picture.shape == (98, 220, 3)
    assert picture[20, [30, 110, 190], 0].tolist() == [0, 40, 80]
    assert picture[80, [30, 110, 190], 0].tolist() == [120, 160, 200]


def test_names_are_text(tmp_path):
    write(tmp_path / "page.html", names=[f'<b>"{index}&' for index in range(10)])
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;&quot;8&amp;" in page
    assert '<b>"8' not in page


def test_not_more_than_can_be_looked_at(tmp_path):
    suspicious = write(tmp_path / "page.html", [1.0] * 200 + [5.0] * (MOST_SHOWN + 2), picture=lambda _: grey(1))
    page = (tmp_path / "page.html").read_text()
    assert len(suspicious) == MOST_SHOWN + 2
    assert len(pictures_on(page)) == MOST_SHOWN + 6
    assert f"The {MOST_SHOWN} highest are shown." in page


def test_a_full_disk(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(good_pictures, "replaced_file", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write(tmp_path / "page.html")
