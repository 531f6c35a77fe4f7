"""Whatever happens in whatever order: nothing is lost, the order holds, and only what was not settled comes twice."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from outbox_parts import alert, frames_for, opened

from edgerd.delivery import writer
from edgerd.delivery.database import Database
from edgerd.delivery.rows import Changes

SINKS = ["s", "t"]


class AnyInterleaving(RuleBasedStateMachine):
    """A line, two sinks, a disk that fails now and then and a process that ends or is killed: what must be so then.

    A kill is a copy of the files as they are while the process still runs: that is what the next process finds.
    """

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="edgerd-outbox-"))
        self.n_folders = 0
        self.folder = self.root / "0"
        self.n_failures = 0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writer, "_FIRST_PAUSE_S", 0.001)
        self.patch.setattr(Database, "commit", self._committing(Database.commit))
        self.outbox = opened(self.folder, SINKS, warnings=[])
        self.n_appended = 0
        self.received: dict[str, list[int]] = {sink: [] for sink in SINKS}
        self.dead: dict[str, list[int]] = {sink: [] for sink in SINKS}
        self.settled = dict.fromkeys(SINKS, 0)
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

    def _committing(self, commit: Callable[[Database, Changes], None]) -> Callable[[Database, Changes], None]:
        def commit_or_fail(database: Database, changes: Changes) -> None:
            if self.n_failures:
                self.n_failures -= 1
                raise sqlite3.OperationalError("disk I/O error")
            commit(database, changes)

        return commit_or_fail

    @rule(n_failures=st.integers(1, 3))
    def fail(self, n_failures: int) -> None:
        """The next commits fail."""
        self.n_failures = n_failures

    @rule()
    def flush(self) -> None:
        assert self.outbox.flush(30)

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
        self.outbox = opened(self.folder, SINKS, warnings=[])
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
        self.folder, self.outbox = folder, opened(folder, SINKS, warnings=[])
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
            self.patch.undo()
            shutil.rmtree(self.root)


AnyInterleaving.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestAnyInterleaving = AnyInterleaving.TestCase
