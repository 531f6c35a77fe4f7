"""The live status lines of a run: what the line engineer glances at, a line for each camera."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import click
from rich.live import Live
from rich.text import Text

from edgerd.cli.console import would_block
from edgerd.cli.places import place
from edgerd.cli.progress import stderr_console
from edgerd.events import Alert
from edgerd.line.statistics import RunStatistics
from edgerd.line.update import Update
from edgerd.types import Verdict

_INTERVAL_S = 0.2
_LOG_INTERVAL_S = 10.0
_COLOURS = {Verdict.OK: "green", Verdict.NG: "bold red", Verdict.NO_DECISION: "yellow"}
_NAME_SHARE = 3
"""A camera's name may take up one of so many parts of the line; addresses are long."""
_SHORTEST_NAME = 8
"""Where the line is too narrow for that, a name is cut to so many characters."""
_UNBOUNDED = 10_000
"""Columns of a log, which has no width."""


@dataclass(frozen=True)
class _Seen:
    """What was seen last of a camera: no pixels, which may lie in memory that the camera writes to again.

    Attributes:
        verdict: What was said of the newest frame.
        score: Its score, or why there is none.
        threshold: What the score was compared with.
        statistics: The counts of this camera; they go on changing.
    """

    verdict: Verdict
    score: str
    threshold: float
    statistics: RunStatistics

    @classmethod
    def of(cls, update: Update) -> _Seen:
        """What an update tells."""
        inspection = update.inspection
        score = inspection.reason if inspection.score is None else f"{inspection.score:.3f}"
        return cls(inspection.verdict, score, inspection.threshold, update.statistics)


class StatusLine:
    """Verdicts, frames per second, latencies and dropped frames, on stderr; a context manager.

    On a terminal a line per camera that renews itself, with a line above them per alert; elsewhere (a log file,
    systemd's journal, a terminal that cannot move its cursor) a line per alert and one every ten seconds for each
    camera. It has no colours where NO_COLOR is set. A reader that stops reading holds nothing up.

    Args:
        name_cameras: Say which camera a line speaks of.
    """

    def __init__(self, *, name_cameras: bool = False) -> None:
        self._name_cameras = name_cameras
        console = stderr_console()
        self._terminal = console.is_interactive
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._seen: dict[str, _Seen] = {}
        self._drawn_s = -_INTERVAL_S
        self._logged_s: dict[str, float] = {}

    def __enter__(self) -> StatusLine:
        if self._terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._live.stop()

    def update(self, update: Update) -> None:
        """Take in what became of a frame."""
        if update.warning:
            self.say(f"warning: {update.warning}", style="yellow")
        if update.alert:
            camera = f"{update.camera}: " if self._name_cameras else ""
            self.say(camera + alert_line(update.alert), style="bold red")
        if self._terminal:
            self._seen[update.camera] = _Seen.of(update)
            self._draw()
        else:
            self._log(update)

    def _draw(self) -> None:
        now_s = time.monotonic()
        if now_s - self._drawn_s < _INTERVAL_S or would_block(sys.stderr):
            return
        self._drawn_s = now_s
        columns = self._live.console.width
        lines = [self._line(camera, seen, columns) for camera, seen in self._seen.items()]
        self._live.update(Text("\n", no_wrap=True, overflow="ellipsis").join(lines), refresh=True)

    def _log(self, update: Update) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s.get(update.camera, -_LOG_INTERVAL_S) < _LOG_INTERVAL_S or would_block(sys.stderr):
            return
        self._logged_s[update.camera] = now_s
        if update.statistics.frames > 1:
            click.echo(self._line(update.camera, _Seen.of(update), _UNBOUNDED).plain, err=True)

    def _line(self, camera: str, seen: _Seen, columns: int) -> Text:
        if not self._name_cameras:
            return status_text(seen, columns)
        for widest in (columns // _NAME_SHARE, _SHORTEST_NAME):
            # the end of an address tells cameras apart
            name = camera if len(camera) <= widest else f"…{camera[len(camera) - widest + 1 :]}"
            left = columns - len(name) - 2
            line = status_text(seen, left)
            if line.cell_len <= left:
                break
        return Text.assemble(f"{name}: ", line, no_wrap=True, overflow="ellipsis")

    def say(self, line: str, style: str = "") -> None:
        """Print a line that stays, above those that renew themselves; nothing where nobody reads (Ctrl-S)."""
        if would_block(sys.stderr):
            return
        if self._terminal:
            # the terminal breaks what is too long: a path that is broken into two lines cannot be copied
            self._live.console.print(Text(line, style=style), soft_wrap=True)
        else:
            click.echo(line, err=True)


def status_text(seen: _Seen, columns: int) -> Text:
    """The line itself: on a narrow terminal what matters least is left out, never the counts and the worst latency.

    Args:
        seen: What was seen last of a camera.
        columns: How wide the line may be; what is narrower than all forms of it is cut at the end.
    """
    statistics = seen.statistics
    counts = f"{statistics.ok} OK, {statistics.ng} NG"
    counts += f", {statistics.no_decision} undecided" * (statistics.no_decision > 0)
    figures = statistics.frame_ms.percentiles()
    worst = f"worst {_milliseconds(figures['max'])} ms"
    percentiles = "/".join(_milliseconds(value) for value in (figures["p50"], figures["p95"], figures["p99"]))
    rate = f"{statistics.frames_per_s:.1f} fps"
    alerts = f"alerts {statistics.alerts}" + f" ({statistics.held_back} NG held back)" * (statistics.held_back > 0)
    dropped = f"dropped {statistics.dropped}"
    threshold = f" (NG > {seen.threshold:.3f})"
    verdict = f"{seen.verdict.value} {seen.score}"
    forms = (
        (verdict, threshold, counts, rate, alerts, dropped, f"p50/p95/p99 {percentiles} ms, {worst}"),
        (verdict, threshold, counts, rate, alerts, dropped, worst),
        (verdict, "", counts, rate, alerts, dropped, worst),
        (verdict, "", counts, rate, alerts, worst),
        (verdict, "", counts, rate, worst),
        (verdict, "", counts, worst),
        (seen.verdict.value, "", counts, worst),
        (counts, "", worst),
    )
    for head, limit, *rest in forms:
        line = Text.assemble((head, _COLOURS[seen.verdict]), limit, "  ", "  ".join(rest))
        if line.cell_len <= columns:
            break
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def alert_line(alert: Alert) -> str:
    """One line about an alert."""
    where = f" {place(alert.regions)}".rstrip()
    source = alert.source if alert.source != alert.camera else f"frame {alert.frame}"
    return f"alert {alert.state}: {source} scores {alert.score:.3f}{where}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
