"""Events as JSON Lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgerd.errors import StorageError
from edgerd.sinks.jsonl import JsonlSink

ALERT = {"kind": "alert", "id": "1", "source": "Teile/größe.png", "score": 0.5, "regions": []}


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_event_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path)
    sink.send(ALERT)
    assert lines(path) == [ALERT]
    sink.send({"kind": "camera"})
    assert lines(path) == [ALERT, {"kind": "camera"}]
    sink.close()


def test_later_runs_append(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in range(2):
        sink = JsonlSink(path)
        sink.send({"run": number})
        sink.close()
    assert lines(path) == [{"run": 0}, {"run": 1}]


def test_a_file_name_that_is_not_utf_8_ends_no_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    event = {"kind": "alert", "source": os.fsdecode(b"pr\xfcfung.png")}
    sink = JsonlSink(path)
    sink.send(event)
    sink.close()
    assert lines(path) == [event]


def test_half_a_line_of_a_run_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"run": 0}\n{"run"')
    sink = JsonlSink(path)
    sink.send({"run": 2})
    sink.close()
    assert path.read_text() == '{"run": 0}\n{"run"\n{"run": 2}\n'


def test_alerts_are_on_the_disk_and_verdicts_do_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = JsonlSink(tmp_path / "events.jsonl")
    sink.send({"verdict": "OK"})
    assert len(synced) == 0
    sink.send(ALERT)
    assert len(synced) == 1
    sink.close()


def test_dash_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    sink = JsonlSink("-")
    sink.send(ALERT)
    sink.close()
    assert json.loads(capfd.readouterr().out) == ALERT
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
        sink.send({"score": float("nan")})
    sink.close()
    assert path.read_text() == ""
