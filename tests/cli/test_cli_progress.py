"""How commands show progress: one line on a terminal, plain lines elsewhere, colours only where they are wanted."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from edgerd.cli import progress as progress_module
from edgerd.cli.console import warn
from edgerd.cli.main import print_error
from edgerd.cli.progress import ProgressDisplay, clock, progress

CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@pytest.fixture
def now(monkeypatch):
    """The time that displays see."""
    time_s = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: time_s[0]))
    return time_s


@pytest.fixture
def screen(monkeypatch):
    """`screen(width)`: a terminal, and what was drawn on it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    return lambda width: (Console(file=file, force_terminal=True, width=width), file)


def test_a_log_gets_a_line_every_30_seconds(now, capfd):
    with ProgressDisplay() as shown:
        shown.begin("calibrating", 200, "pictures")
        for second in range(100):
            now[0] = float(second)
            shown.advance()
    assert capfd.readouterr().err.splitlines() == [
        "calibrating, 31 of 200 pictures, 30 s",
        "calibrating, 61 of 200 pictures, 60 s",
        "calibrating, 91 of 200 pictures, 90 s",
    ]


def test_short_work_leaves_a_log_alone(capfd):
    with progress("evaluating", 3) as advance:
        for _ in range(3):
            advance()
    assert capfd.readouterr() == ("", "")


def test_a_count_of_nothing_is_not_shown(now, screen, capfd):
    with progress("calibrating", 0):
        pass
    console, drawn = screen(80)
    with ProgressDisplay(console=console) as shown:
        shown.begin("calibrating", 0, "pictures")
    assert "calibrating" in drawn.getvalue()
    assert "0 of 0" not in drawn.getvalue()
    assert "pictures" not in drawn.getvalue()


def test_work_is_announced_where_that_is_wanted(now, capfd):
    with ProgressDisplay(announces=True) as shown:
        shown.begin("openvino int8", phase="building")
        shown.phase("comparing", 20, "pictures")
        now[0] = 45.0
        shown.update(8, note="slow")
    assert capfd.readouterr().err.splitlines() == [
        "openvino int8: building",
        "openvino int8: comparing, 8 of 20 pictures, 45 s, slow",
    ]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_terminal_has_one_line_of_its_width(screen, width):
    console, file = screen(width)
    with ProgressDisplay(console=console) as shown:
        shown.begin("tensorrt fp16 (12 of 14)", 120, "pictures", phase="comparing with FP32")
        shown.update(40, note="loss 0.1234")
        shown._bar.refresh()
        lines = [line for line in CONTROL.sub("", file.getvalue()).replace("\r", "\n").splitlines() if line.strip()]
    assert "40 of 120 pictures" in lines[-1]
    assert max(map(len, lines)) <= width


def test_the_line_goes_away_at_the_end(screen):
    console, file = screen(80)
    with ProgressDisplay(console=console) as shown:
        shown.begin("calibrating", 2, "pictures")
        shown.line("what stays [even in brackets]")
    assert "what stays [even in brackets]" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K")  # the line is erased


def test_nothing_is_drawn_between_steps_where_something_is_measured(screen):
    console, file = screen(80)
    with ProgressDisplay(ticks=False, console=console) as shown:
        shown.begin("measuring 200 frames")
        before = file.getvalue()
        shown.advance()
        assert file.getvalue() == before
    assert "measuring 200 frames" in before


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (65, "1:05"), (59.7, "1:00"), (7265, "2:01:05")])
def test_durations(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("name", "value", "is_coloured"),
    [("TERM", "xterm", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False), ("NO_COLOR", "", True)],
)
def test_warnings_and_errors_are_coloured_only_where_that_is_wanted(monkeypatch, name, value, is_coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    warn("careful")
    print_error("it broke")
    assert ("\x1b[" in terminal.getvalue()) is is_coloured
    assert "careful" in terminal.getvalue()
