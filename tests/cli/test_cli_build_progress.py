"""What a build shows: lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from edgerd.building.listener import BuildStep
from edgerd.cli import progress
from edgerd.cli.build_progress import BuildDisplay
from edgerd.runtimes.tensorrt.progress import BuildProgress


@pytest.fixture
def display():
    with BuildDisplay() as shown:
        yield shown


@pytest.fixture
def lines(display, capfd):
    """Show some progress; gives the lines that stderr got."""

    def show(*progress):
        capfd.readouterr()
        for one in progress:
            display.update(BuildProgress(*one))
        return capfd.readouterr().err.splitlines()

    return show


def test_a_phase_is_named_when_it_begins(lines):
    assert lines(("Building", 0, 40, 0.2), ("Building", 1, 40, 0.4), ("Timing", 3, 8, 1.6)) == [
        "TensorRT: Building, 0 of 40, 0 s",
        "TensorRT: Timing, 3 of 8, 2 s",
    ]


def test_a_long_phase_is_named_every_30_seconds(lines):
    assert lines(*(("Building", second, 200, float(second)) for second in range(70))) == [
        "TensorRT: Building, 0 of 200, 0 s",
        "TensorRT: Building, 30 of 200, 30 s",
        "TensorRT: Building, 60 of 200, 60 s",
    ]


def test_phases_that_take_turns_do_not_fill_the_log(lines):
    turns = [(phase, step, 9, 1.0) for step in range(9) for phase in ("Building", "Timing")]
    assert len(lines(*turns)) == 2


def test_that_it_stops_is_said_between_two_intervals(lines):
    assert lines(("Building", 12, 40, 94.0), ("stopping after this step", 0, 0, 95.0)) == [
        "TensorRT: Building, 12 of 40, 94 s",
        "TensorRT: stopping after this step, 95 s",
    ]


def test_the_next_build_begins_anew(lines, display, capfd):
    lines(("Building", 0, 40, 0.0), ("Building", 40, 40, 100.0))
    display.say("TensorRT fp16: built in 100 s")
    assert capfd.readouterr().out == "TensorRT fp16: built in 100 s\n"
    assert lines(("Building", 0, 9, 0.0), ("Building", 1, 9, 31.0)) == [
        "TensorRT: Building, 0 of 9, 0 s",
        "TensorRT: Building, 1 of 9, 31 s",
    ]


def test_a_log_that_nobody_reads_does_not_end_a_build(display, monkeypatch):
    tried = []

    def broken(line, **_):
        tried.append(line)
        raise BrokenPipeError

    monkeypatch.setattr(progress.click, "echo", broken)
    display.update(BuildProgress("Building", 0, 40, 0.0))
    assert tried == ["TensorRT: Building, 0 of 40, 0 s"]


def test_a_terminal_has_a_bar_and_only_the_stop_as_a_line():
    screen = io.StringIO()
    with BuildDisplay(console=Console(file=screen, force_terminal=True, width=100)) as display:
        display.update(BuildProgress("Building", 3, 40, 50.0))
        display._shown._bar.refresh()
        display.update(BuildProgress("stopping after this step", 0, 0, 51.0))
        display.update(BuildProgress("Timing", 0, 8, 52.0))
    assert "Building" in screen.getvalue()
    assert "TensorRT: Building" not in screen.getvalue()
    assert "TensorRT: Timing" not in screen.getvalue()
    assert screen.getvalue().count("TensorRT: stopping after this step, 51 s") == 1


def test_a_log_names_each_engine_when_it_is_begun(display, capfd):
    for step in (
        BuildStep("what FP32 says", n_pictures=30),
        BuildStep("building", "openvino int8", 1, 2),
        BuildStep("comparing with FP32", "openvino int8", 1, 2, n_pictures=30),
        BuildStep("building", "openvino fp32", 2, 2),
    ):
        display.begin(step)
        display.advance()
    assert capfd.readouterr().err.splitlines() == [
        "what FP32 says",
        "openvino int8 (1 of 2): building",
        "openvino fp32 (2 of 2): building",
    ]


def test_a_terminal_shows_engine_step_count_and_time(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = io.StringIO()
    with BuildDisplay(console=Console(file=screen, force_terminal=True, width=100)) as display:
        display.begin(BuildStep("comparing with FP32", "openvino int8", 1, 2, n_pictures=30))
        for _ in range(7):
            display.advance()
        display._shown._bar.refresh()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"openvino int8 \(1 of 2\): comparing with FP32 .*7 of 30 pictures  0:00", shown)
