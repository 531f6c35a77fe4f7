"""`kill -9` at any moment: what was appended more than 100 ms before is on the disk, with the state of the alerts."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outbox_parts import opened

# An event every few milliseconds, each with the state of its camera's alert after it; its number and the time on the
# monotonic clock, which all processes share, go to standard output when `append` has returned.
APPENDS = """
import sys, time
from pathlib import Path
from edgerd.delivery import Deliverer, Outbox
from edgerd.errors import DeliveryError
from edgerd.events import Alert, uuid7
from edgerd.sinks.fake import FakeDeliveringSink

def no_receiver():
    raise DeliveryError("There is none.", retryable=True)

outbox = Outbox.open(Path(sys.argv[1]), ["s", "kept"], on_warning=print)
sinks = [FakeDeliveringSink("s"), FakeDeliveringSink("kept", [no_receiver] * 1000)]
deliverer = Deliverer(outbox, sinks, on_warning=lambda _: None)
for frame in range(int(sys.argv[2]), 100_000):
    alert = Alert(uuid7(), "raised", "a", frame, "a", 1.5, 2.5, 0.75, 0.5)
    outbox.append([alert], {"a": {"frame": frame, "id": alert.id}})
    print(frame, time.monotonic(), flush=True)
    time.sleep(0.002)
"""
WINDOW_S = 0.1
SEED = 7


def sync_s(folder: Path) -> float:
    """How long this disk needs for a write that lasts, at worst of some."""
    slowest = 0.0
    with (folder / "try").open("wb") as file:
        for _ in range(5):
            begin = time.monotonic()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            slowest = max(slowest, time.monotonic() - begin)
    return slowest


@pytest.mark.parametrize("n_kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_what_was_appended_before_a_kill_is_there(tmp_path: Path, n_kills: int) -> None:
    chance = random.Random(SEED)
    folder, n_known = tmp_path / "outbox", 0
    window_s = WINDOW_S + 4 * sync_s(tmp_path)
    for _ in range(n_kills):
        command = [sys.executable, "-c", APPENDS, str(folder), str(n_known)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            first = process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.5))
            killed_at = time.monotonic()
            process.kill()
            printed = [first, *process.stdout]
        lines = [line.split() for line in printed if line.endswith("\n")]
        must_be_there = [int(frame) for frame, at in lines if float(at) < killed_at - window_s]

        outbox = opened(folder, ["s", "kept"])
        stored = outbox.take("kept", 1_000_000)
        frames = [one.event["frame"] for one in stored]
        assert frames == list(range(len(frames))), "there is a hole, or something twice"
        assert not set(must_be_there) - set(frames)
        if frames:
            assert outbox.open_alerts() == {"a": {"frame": frames[-1], "id": stored[-1].event["id"]}}
        n_known = len(frames)
        outbox.close(10)
    assert n_known > n_kills
