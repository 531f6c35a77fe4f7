"""`edgerd run` in a terminal: colours, narrow windows, several cameras, terminals that cannot move their cursor."""

from __future__ import annotations

import re

import pytest

LINE = "sample://ring?n=12&defective=0.5&size=96"
ALL_NG = ("--threshold", 0.001)
CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@pytest.fixture
def shown(on_terminal, bundle, monkeypatch):
    """`shown(columns, *options)`: what `edgerd run` shows on a terminal of this width."""
    monkeypatch.setenv("TERM", "xterm-256color")

    def run(columns, *options, cameras=(LINE,)):
        flags = [part for camera in cameras for part in ("--camera", camera)]
        text, exit_code = on_terminal("run", *flags, "--bundle", bundle.path, *options, columns=columns)
        assert exit_code == 0
        return text

    return run


def status_lines(text, begin):
    plain = CONTROL.sub("", text)
    return [line for line in re.split(r"[\r\n]+", plain) if line.startswith(begin)]


def test_no_color_is_respected(shown, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    colour = re.compile(r"\x1b\[(?:[\d;]*;)?[39][0-7](?:;[\d;]*)?m")
    assert colour.search(shown(100, *ALL_NG))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(shown(100, *ALL_NG))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_counts_and_the_worst_latency_are_there_at_any_usual_width(shown, columns):
    lines = status_lines(shown(columns), ("OK ", "NG "))
    assert lines
    for line in lines:
        assert len(line) <= columns
        assert re.search(r"\d+ OK, \d+ NG  .*worst \d+\.\d ms$", line), line


def test_a_very_narrow_terminal_gets_one_line_that_is_cut(shown):
    lines = status_lines(shown(20), tuple("0123456789"))
    assert lines
    assert [line for line in lines if len(line) > 20 or not line.endswith("…")] == []


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_each_camera_has_its_line(shown, columns):
    cameras = tuple(f"sample://ring?live=1&fps=40&size=96&seed={seed}" for seed in (4, 5))
    text = shown(columns, "--max-frames", 60, cameras=cameras)  # long enough to be drawn several times
    for seed in (4, 5):
        lines = [line for line in re.split(r"[\r\n]+", CONTROL.sub("", text)) if f"seed={seed}: " in line]
        assert lines
        for line in lines:
            assert len(line) <= columns
            assert re.search(r"\d+ OK, \d+ NG  .*worst \d+\.\d ms$", line), line


def test_a_terminal_that_cannot_move_its_cursor_gets_a_log(shown, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    text = shown(80, *ALL_NG)
    assert "alert raised: " in text
    assert "\x1b" not in text
