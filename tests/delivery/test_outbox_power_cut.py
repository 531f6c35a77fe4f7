"""A power cut: what was written and not synced is gone, or is there in part, in any order.

SQLite's calls are recorded with strace while events are committed. Then the disk is put together as it may be after a
cut at any of these calls: everything up to the last sync of each file, and of the writes after it any of their sectors.
That names and lengths of files last is taken for granted.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from outbox_parts import opened

N_EVENTS = 70
N_CUTS = 40
SECTOR = 512
STRACE = shutil.which("strace")

# Large events, so that the log is merged into the database on the way.
COMMITS = f"""
import os, sys
from pathlib import Path
from edgerd.delivery import Outbox
from edgerd.events import Alert, uuid7

outbox = Outbox.open(Path(sys.argv[1]), ["s", "t"], on_warning=print)
for frame in range({N_EVENTS}):
    event = Alert(uuid7(), "raised", "a", frame, "x" * 20_000, 1.5, 2.5, 0.75, 0.5)
    outbox.append([event], {{"a": {{"frame": frame}}}})
    assert outbox.flush(60)
    os.write(1, b"committed %d" % frame)
    outbox.delivered("t", frame + 1)
"""

SYNCS = ("fsync", "fdatasync")
Call = tuple[str, str, int, bytes]
"""What was done ("write", "sync", "truncate", "remove", "said"), to which file, the offset or length, the content."""


def recorded(log: Path) -> Iterator[Call]:
    """The calls of a process and its threads, writes when they began and syncs when they had ended."""
    started: dict[str, str] = {}
    for line in log.read_text().splitlines():
        thread, text = line.split(maxsplit=1)
        if text.startswith("<..."):  # the end of a call beside which another thread did something
            text = started.pop(thread)
            if text.startswith(SYNCS):
                yield "sync", file_of(text), 0, b""
            continue
        is_over = not text.endswith("<unfinished ...>")
        if not is_over:
            started[thread] = text
        if not text.startswith(SYNCS):
            yield from written(text)
        elif is_over:
            yield "sync", file_of(text), 0, b""


def written(text: str) -> Iterator[Call]:
    """What a call other than a sync does, as strace writes it."""
    if found := re.match(r'pwrite64\(.*>, "(.*)", (\d+), (\d+)', text):
        content = unescaped(found[1])
        assert len(content) == int(found[2]), "strace left something out"
        yield "write", file_of(text), int(found[3]), content
    elif found := re.match(r"ftruncate\(.*>, (\d+)", text):
        yield "truncate", file_of(text), int(found[1]), b""
    elif found := re.match(r'unlink\("(.*)"', text):
        yield "remove", Path(unescaped(found[1]).decode()).name, 0, b""
    elif found := re.match(r'write\(1<.*>, "(.*)"', text):
        yield "said", "", 0, unescaped(found[1])


def file_of(text: str) -> str:
    """Name of the file of a call's first argument."""
    path = text[text.index("<") + 1 : text.index(">")]
    return Path(unescaped(path).decode() if path.startswith("\\x") else path).name


def unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Disk:
    """What is on it for sure, and what was written since the last sync of each file."""

    def __init__(self) -> None:
        self.synced: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[tuple[int, bytes]]] = {}
        self.n_committed = 0

    def take(self, call: Call) -> None:
        what, file, number, content = call
        if what == "write":
            self.unsynced.setdefault(file, []).append((number, content))
        elif what == "sync":
            for offset, written in self.unsynced.pop(file, []):
                self._put(self.synced.setdefault(file, bytearray()), offset, written)
        elif what == "truncate":
            del self.synced.setdefault(file, bytearray())[number:]
            self.unsynced[file] = [one for one in self.unsynced.get(file, []) if one[0] < number]
        elif what == "remove":
            self.synced.pop(file, None)
            self.unsynced.pop(file, None)
        elif content.startswith(b"committed"):
            self.n_committed = int(content.split()[1]) + 1

    def after_a_cut(self, folder: Path, chance: random.Random) -> None:
        """Write the files as they may be found: of what was not synced, some sectors."""
        for name in {*self.synced, *self.unsynced}:
            if not name.startswith("outbox.db"):
                continue
            content = bytearray(self.synced.get(name, b""))
            sectors = [
                (offset + begin, written[begin : begin + SECTOR])
                for offset, written in self.unsynced.get(name, [])
                for begin in range(0, len(written), SECTOR)
            ]
            chance.shuffle(sectors)
            for offset, sector in sectors[: chance.randint(0, len(sectors))]:
                self._put(content, offset, sector)
            (folder / name).write_bytes(content)

    @staticmethod
    def _put(content: bytearray, offset: int, written: bytes) -> None:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(written)] = written


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    folder = tmp_path_factory.mktemp("traced")
    if not STRACE or subprocess.run([STRACE, "true"], capture_output=True, timeout=30).returncode:
        pytest.skip("strace is not installed, or may not be used here")
    traced = "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink"
    command = [STRACE, "-f", "-y", "-xx", "-s", "200000", "-e", traced, "-o", str(folder / "log")]
    subprocess.run(
        [*command, sys.executable, "-c", COMMITS, str(folder / "outbox")], check=True, capture_output=True, timeout=120
    )
    return list(recorded(folder / "log"))


def test_what_was_committed_is_there_after_a_power_cut(calls: list[Call], tmp_path: Path) -> None:
    chance = random.Random(3)
    first = next(number for number, call in enumerate(calls) if call[0] == "said")
    last = max(number for number, call in enumerate(calls) if call[0] == "said")
    merges = [number for number, call in enumerate(calls) if first < number < last and call[1] == "outbox.db"]
    assert merges, "the log was never merged into the database: the test shows less than it should"
    cuts = sorted([*chance.sample(range(first, last), N_CUTS), *chance.sample(merges, min(len(merges), N_CUTS // 2))])
    disk, position = Disk(), 0
    for number, cut in enumerate(cuts):
        for call in calls[position:cut]:
            disk.take(call)
        position = cut
        folder = tmp_path / str(number)
        folder.mkdir()
        disk.after_a_cut(folder, chance)
        outbox = opened(folder, ["s", "t"])  # where a warning fails the test
        frames = [stored.event["frame"] for stored in outbox.take("s", 2 * N_EVENTS)]
        assert frames == list(range(len(frames)))
        assert disk.n_committed <= len(frames) <= disk.n_committed + 1
        assert outbox.open_alerts() == ({"a": {"frame": frames[-1]}} if frames else {})
        assert outbox.waiting("t").n_events <= len(frames)
        outbox.close(10)
        shutil.rmtree(folder)
