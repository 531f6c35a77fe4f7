"""The live status line of a run: what the line engineer glances at."""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from edgerd.cli.console import would_block
from edgerd.events import Alert
from edgerd.line.update import Update
from edgerd.types import Verdict

_INTERVAL_S = 0.2
_LOG_INTERVAL_S = 10.0
_COLOURS = {Verdict.OK: "green", Verdict.NG: "bold red", Verdict.NO_DECISION: "yellow"}


class StatusLine:
    """Frames per second, latencies, dropped frames and the last verdict, on stderr; a context manager.

    On a terminal one line that renews itself, with a line above it per alert; elsewhere (a log file, systemd's journal,
    a terminal that cannot move its cursor) a line per alert and one every ten seconds. It has no colours where NO_COLOR
    is set. A reader that stops reading holds nothing up.

    Args:
        name_cameras: Say which camera a line speaks of.
    """

    def __init__(self, *, name_cameras: bool = False) -> None:
        self._name_cameras = name_cameras
        console = Console(stderr=True)
        self._terminal = sys.stderr.isatty() and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._due_s = 0.0

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
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + (_INTERVAL_S if self._terminal else _LOG_INTERVAL_S)
        if would_block(sys.stderr):
            return
        line = status_text(update)
        if self._name_cameras:
            line = Text.assemble(f"{update.camera}: ", line, no_wrap=True, overflow="ellipsis")
        if self._terminal:
            self._live.update(line, refresh=True)
        elif update.statistics.frames > 1:
            click.echo(line.plain, err=True)

    def say(self, line: str, style: str = "") -> None:
        """Print a line that stays, above the one that renews itself; nothing where nobody reads (Ctrl-S)."""
        if would_block(sys.stderr):
            return
        if self._terminal:
            # the terminal breaks what is too long: a path that is broken into two lines cannot be copied
            self._live.console.print(Text(line, style=style), soft_wrap=True)
        else:
            click.echo(line, err=True)


def status_text(update: Update) -> Text:
    """The line itself, what matters most first: a narrow terminal cuts its end off."""
    statistics, inspection = update.statistics, update.inspection
    latency = statistics.frame_ms
    verdict = inspection.verdict
    score = inspection.reason if inspection.score is None else f"{inspection.score:.3f}"
    percentiles = "/".join(_milliseconds(latency.percentile(percent)) for percent in (50, 95, 99))
    alerts = f"{statistics.alerts}" + f" ({statistics.held_back} NG held back)" * (statistics.held_back > 0)
    return Text.assemble(
        (f"{verdict.value} {score}", _COLOURS[verdict]),
        f" (NG > {inspection.threshold:.3f})  {statistics.frames_per_s:.1f} fps  alerts {alerts}  "
        f"dropped {statistics.dropped}  p50/p95/p99 {percentiles} ms  {statistics.frames} frames",
        no_wrap=True,
        overflow="ellipsis",
    )


def alert_line(alert: Alert) -> str:
    """One line about an alert."""
    where = "".join(f" at {region.box.x},{region.box.y}" for region in alert.regions[:1])
    source = alert.source if alert.source != alert.camera else f"frame {alert.frame}"
    return f"alert {alert.state}: {source} scores {alert.score:.3f}{where}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
