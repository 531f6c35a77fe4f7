"""Messages as JSON Lines."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.errors import DeliveryError, StorageError
from edgerd.events import Alert, CameraEvent, FrameVerdict
from edgerd.sinks.jsonl import JsonlSink
from edgerd.types import Inspection, Verdict

ALERT = Alert("1", "raised", "0", 7, "Teile/größe.png", captured_at=1.5, decided_at=2.5, score=0.75, threshold=0.5)
CAMERA = CameraEvent("2", "lost", "0", "It is silent.", 2.5, "b")


def verdict(frame: int, score: float = 0.1) -> FrameVerdict:
    inspection = Inspection(Verdict.OK, score, 0.5)
    return FrameVerdict(inspection, "0", frame, "0", captured_at=1.5, decided_at=2.5, bundle="b")


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def frames(path: Path) -> list[int]:
    return [line["frame"] for line in lines(path)]


def test_each_message_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path)
    sink.send(ALERT)
    assert lines(path) == [ALERT.to_json()]
    sink.send(CAMERA)
    assert lines(path) == [ALERT.to_json(), CAMERA.to_json()]
    sink.close()


def test_later_runs_append(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    for number in range(2):
        sink = JsonlSink(path)
        sink.send(verdict(number))
        sink.close()
    assert frames(path) == [0, 1]


def test_a_file_name_that_is_not_utf_8_ends_no_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    alert = replace(ALERT, source=os.fsdecode(b"pr\xfcfung.png"))
    sink = JsonlSink(path)
    sink.send(alert)
    sink.close()
    assert lines(path) == [alert.to_json()]


def test_half_a_line_of_a_run_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"run": 0}\n{"run"')
    sink = JsonlSink(path)
    sink.send(CAMERA)
    sink.close()
    assert path.read_text() == '{"run": 0}\n{"run"\n' + json.dumps(CAMERA.to_json()) + "\n"


def test_half_a_line_that_a_full_disk_left_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, room = tmp_path / "verdicts.jsonl", os.write, [10]

    def write_some(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    sink = JsonlSink(path)
    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(StorageError, match="the disk is full"):
        sink.send(verdict(0))
    room[0] = 10**6
    sink.send(verdict(1))
    sink.close()
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(whole)["frame"] == 1


def test_events_are_on_the_disk_and_verdicts_do_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = JsonlSink(tmp_path / "events.jsonl")
    sink.send(verdict(0))
    assert len(synced) == 0
    sink.send(ALERT)
    sink.send(CAMERA)
    assert len(synced) == 2
    sink.close()


@settings(max_examples=30, deadline=None)
@given(actions=st.lists(st.sampled_from(["send", "rename", "remove", "truncate"]), max_size=12))
def test_a_line_is_always_in_the_file_that_stands_at_the_path(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    """Log rotation renames the file (or copies and truncates it); whoever reads the path sees every later line."""
    path = tmp_path_factory.mktemp("rotated") / "verdicts.jsonl"
    sink, expected, kept = JsonlSink(path), list[int](), list[int]()
    for number, action in enumerate(actions):
        if action == "send":
            sink.send(verdict(number))
            expected.append(number)
            assert frames(path) == expected
            continue
        if path.exists():
            if action == "rename":
                path.rename(path.with_name(f"verdicts.{number}"))
                kept += frames(path.with_name(f"verdicts.{number}"))
                assert kept[-len(expected) :] == expected or not expected
            elif action == "remove":
                path.unlink()
            else:
                path.write_text("")
        expected = []
    sink.close()


def test_a_file_that_cannot_be_opened_again_after_rotation_says_so(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "verdicts.jsonl"
    path.parent.mkdir()
    sink = JsonlSink(path)
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(StorageError, match=r"verdicts\.jsonl could not be written: No such file"):
        sink.send(verdict(0))
    path.parent.mkdir()
    sink.send(verdict(1))
    assert frames(path) == [1]
    sink.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_reader_that_stops_reading_stops_no_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--verdicts - | less`: the pipe is full, and every part would wait until somebody presses a key."""
    monkeypatch.setattr("edgerd.sinks.jsonl._PATIENCE_MS", 1)
    fifo = tmp_path / "verdicts"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonlSink(fifo)
    n_written = 0
    with contextlib.suppress(StorageError):
        for number in range(10_000):
            sink.send(verdict(number))
            n_written += 1
    assert 100 < n_written < 10_000
    with pytest.raises(StorageError, match="its reader has stopped reading"):
        sink.send(verdict(n_written))
    read = os.read(reader, 1 << 20).decode()
    assert [json.loads(line)["frame"] for line in read.splitlines()] == list(range(n_written))
    sink.send(verdict(10_001))
    assert json.loads(os.read(reader, 1 << 20))["frame"] == 10_001
    sink.close()
    os.close(reader)


def test_dash_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    sink = JsonlSink("-")
    sink.send(ALERT)
    sink.close()
    assert json.loads(capfd.readouterr().out) == ALERT.to_json()
    os.write(1, b"still open")
    assert capfd.readouterr().out == "still open"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_full_disk_says_so() -> None:
    sink = JsonlSink("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        sink.send(ALERT)
    sink.close()


def test_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"events\.jsonl could not be written: No such file"):
        JsonlSink(tmp_path / "missing" / "events.jsonl")


def test_closed_sink_says_so(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "events.jsonl")
    sink.close()
    with pytest.raises(StorageError, match="it is closed"):
        sink.send(ALERT)


def test_values_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        sink.send(verdict(0, float("nan")))
    sink.close()
    assert path.read_text() == ""


EVENTS = [replace(ALERT, frame=frame).to_json() for frame in range(4)]


def test_delivered_events_are_lines_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "events.jsonl", list[list[int]]()
    sink = JsonlSink(path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(frames(path)))
    sink.deliver(EVENTS[:3])
    path.rename(tmp_path / "events.jsonl.1")
    sink.deliver(EVENTS[3:])
    sink.close()
    assert synced == [[0, 1, 2], [3]]
    assert lines(tmp_path / "events.jsonl.1") + lines(path) == EVENTS


def test_a_full_disk_says_how_many_events_are_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "events.jsonl", os.write
    room = [2 * len(json.dumps(EVENTS[0], ensure_ascii=False).encode()) + 30]

    def write_some(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    sink = JsonlSink(path)
    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(DeliveryError, match="the disk is full") as caught:
        sink.deliver(EVENTS)
    assert (caught.value.retryable, caught.value.n_delivered) == (True, 2)
    room[0] = 10**6
    sink.deliver(EVENTS[2:])
    sink.close()
    whole = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    assert [json.loads(line)["frame"] for line in whole] == [0, 1, 2, 3]


def test_lines_that_did_not_get_to_the_disk_are_not_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = JsonlSink(tmp_path / "events.jsonl", name="mine")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DeliveryError, match=r"events\.jsonl could not be written") as caught:
        sink.deliver(EVENTS)
    assert (caught.value.retryable, caught.value.n_delivered) == (True, 0)
    sink.close()
    assert sink.name == "mine"
