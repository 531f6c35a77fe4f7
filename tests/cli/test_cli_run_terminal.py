"""`edgerd run` in a terminal: colours, narrow windows, and terminals that cannot move their cursor."""

from __future__ import annotations

import os
import re
import sys

import pytest

LINE = "sample://ring?n=12&defective=0.5&size=96"
ALL_NG = ("--threshold", 0.001)


def shown_on_a_terminal(start, columns, *options):
    import fcntl
    import struct
    import termios

    for name in ("COLUMNS", "LINES"):  # pytest imports readline, which sets them behind Python's back
        os.unsetenv(name)
    terminal, other_end = os.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    start(LINE, *options, stderr=other_end).wait(timeout=60)
    os.close(other_end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    return shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_no_color_is_respected(start, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    colour = re.compile(r"\x1b\[(?:[\d;]*;)?[39][0-7](?:;[\d;]*)?m")
    assert colour.search(shown_on_a_terminal(start, 100, *ALL_NG))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(shown_on_a_terminal(start, 100, *ALL_NG))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("columns", [60, 20])
def test_a_narrow_terminal_gets_one_line_that_is_cut(start, columns, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = shown_on_a_terminal(start, columns)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    lines = [line for line in re.split(r"[\r\n]+", plain) if line.startswith(("OK ", "NG "))]
    assert lines
    assert [line for line in lines if len(line) > columns or not line.endswith("…")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_that_cannot_move_its_cursor_gets_a_log(start, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in shown_on_a_terminal(start, 80, *ALL_NG).replace("\x1b[0m", "")
