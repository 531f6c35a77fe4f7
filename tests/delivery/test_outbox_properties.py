"""Whatever happens in whatever order: nothing is lost, the order holds, and only what was not settled comes twice."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from outbox_parts import alert, frames_for, opened

SINKS = ["s", "t"]


class AnyInterleaving(RuleBasedStateMachine):
    """A line, two sinks and a process that ends well or is killed, against what must be so.

    A kill is a copy of the files as they are while the process still runs: that is what the next process finds.
    """

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="edgerd-outbox-"))
        self.n_folders = 0
        self.folder = self.root / "0"
        self.outbox = opened(self.folder, SINKS)
        self.n_appended = 0
        self.received: dict[str, list[int]] = {sink: [] for sink in SINKS}
        self.dead: dict[str, list[int]] = {sink: [] for sink in SINKS}
        self.settled = dict.fromkeys(SINKS, 0)
        self.settled_on_disk = dict.fromkeys(SINKS, 0)
        self.open_alerts: dict[str, dict[str, int]] = {}

    @rule(n_events=st.integers(1, 3), camera=st.sampled_from("ab"), is_over=st.booleans())
    def append(self, n_events: int, camera: str, is_over: bool) -> None:
        events = [alert(self.n_appended + number, camera) for number in range(n_events)]
        self.n_appended += n_events
        state = None if is_over else {"frame": self.n_appended}
        self.outbox.append(events, {camera: state})
        if state:
            self.open_alerts[camera] = state
        else:
            self.open_alerts.pop(camera, None)

    @rule()
    def flush(self) -> None:
        assert self.outbox.flush(30)
        self.settled_on_disk = dict(self.settled)

    @rule(sink=st.sampled_from(SINKS), limit=st.integers(1, 4), n_taken=st.integers(0, 4), is_refused=st.booleans())
    def deliver(self, sink: str, limit: int, n_taken: int, is_refused: bool) -> None:
        """The sink takes the first few of a batch; the one after them it refuses for good, or fails to take."""
        self.outbox.flush(30)
        batch = self.outbox.take(sink, limit)
        frames = [stored.event["frame"] for stored in batch]
        assert frames == list(range(self.settled[sink], min(self.settled[sink] + limit, self.n_appended)))
        taken = batch[:n_taken]
        self.received[sink] += frames[:n_taken]
        if taken:
            self.outbox.delivered(sink, taken[-1].number)
            self.settled[sink] = frames[len(taken) - 1] + 1
        if is_refused and len(batch) > n_taken:
            self.outbox.refused(sink, batch[n_taken].number, "no")
            self.dead[sink].append(frames[n_taken])
            self.settled[sink] = frames[n_taken] + 1

    @rule()
    def restart(self) -> None:
        assert self.outbox.close(30)
        self.outbox = opened(self.folder, SINKS)
        assert self.outbox.open_alerts() == self.open_alerts

    @precondition(lambda self: self.n_folders < 4)
    @rule()
    def kill(self) -> None:
        """Killed after what was appended is on the disk, with what was settled there, or not yet."""
        assert self.outbox.flush(30)
        self.n_folders += 1
        folder = self.root / str(self.n_folders)
        folder.mkdir()
        for file in self.folder.glob("outbox.db*"):
            shutil.copy(file, folder)
        self.outbox.close(30)
        self.folder, self.outbox = folder, opened(folder, SINKS)
        assert self.outbox.open_alerts() == self.open_alerts

    @invariant()
    def every_event_waits_or_is_settled(self) -> None:
        if not hasattr(self, "outbox"):
            return
        self.outbox.flush(30)
        for sink in SINKS:
            assert frames_for(self.outbox, sink) == list(range(self.settled[sink], self.n_appended))
            assert sorted(self.received[sink] + self.dead[sink]) == list(range(self.settled[sink]))

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.close(30)
            shutil.rmtree(self.root)


AnyInterleaving.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestAnyInterleaving = AnyInterleaving.TestCase
