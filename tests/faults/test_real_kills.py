"""Safe writes in a process that is really killed, at every one of its system calls, by strace's fault injection.

`test_storage_faults` and `test_command_faults` go through what a kill leaves without killing anybody; this shows that
what they go through is what there is: the same states, at system calls that no Python function stands for too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from edgerd.storage import finish_replacing, replaced_directory, replaced_file, write_durably

CALLS = ("openat", "write", "ftruncate", "fsync", "rename", "unlink", "mkdir", "rmdir", "link", "chmod")
WRITES = """
import sys
from pathlib import Path
from edgerd.storage import only_writer_of, replaced_directory, replaced_file, write_durably
root = Path(sys.argv[1])
with only_writer_of(root / "run"), replaced_file(root / "run" / "a.bin") as part:
    part.write_text("new")
with replaced_directory(root / "folder") as stage:
    write_durably(stage / "a" / "b.bin", b"new")
    write_durably(stage / "c.bin", b"new")
"""


def strace(root: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-qq", *map(str, options), sys.executable, "-B", "-c", WRITES, str(root)]
    return subprocess.run(command, text=True, capture_output=True, check=False)


@pytest.fixture
def start(tmp_path):
    """A folder and a file that are replaced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "-o", tmp_path / "log", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace processes here")
    root = tmp_path / "start"
    (root / "run").mkdir(parents=True)
    (root / "folder" / "a").mkdir(parents=True)
    for name in ("run/a.bin", "folder/a/b.bin", "folder/c.bin"):
        (root / name).write_text("old")
    return root


def calls_that_write(log: Path, root: Path) -> list[tuple[str, int]]:
    """Each call about something below `root`, and the how many-th of its kind it is in the process."""
    counted: Counter[str] = Counter()
    found = []
    for line in log.read_text().splitlines():
        kind = re.match(r"(\w+)\(", line)
        if kind is None:
            continue
        counted[kind[1]] += 1
        if str(root) in line and not (kind[1] == "openat" and "O_RDONLY" in line):
            found.append((kind[1], counted[kind[1]]))
    return found


def states_of(root: Path) -> tuple[str, set[str]]:
    finish_replacing(root / "folder")
    folder = {path.read_text() for path in (root / "folder").rglob("*.bin")}
    assert len(list((root / "folder").rglob("*.bin"))) == 2
    return (root / "run" / "a.bin").read_text(), folder


def names_in(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def test_killed_at_every_system_call_that_writes(start, tmp_path):
    running, log = tmp_path / "running", tmp_path / "log"
    shutil.copytree(start, running)
    assert strace(running, "-y", "-o", log, "-e", f"trace={','.join(CALLS)}").returncode == 0
    whole, calls = names_in(running), calls_that_write(log, running)
    assert len(calls) > 25
    seen = []
    for kind, number in calls:
        shutil.rmtree(running)
        shutil.copytree(start, running)
        killed = strace(running, "-o", log, "-e", f"inject={kind}:signal=KILL:when={number}")
        assert killed.returncode != 0, (kind, number)
        file, folder = states_of(running)
        assert file in ("old", "new"), (kind, number)
        assert folder in ({"old"}, {"new"}), (kind, number)
        seen.append((file, *folder))
        with replaced_file(running / "run" / "a.bin") as part:
            part.write_text("new")
        with replaced_directory(running / "folder") as stage:
            write_durably(stage / "a" / "b.bin", b"new")
            write_durably(stage / "c.bin", b"new")
        assert names_in(running) - {"run/.lock"} == whole, (kind, number)
    assert seen == sorted(seen, reverse=True)  # never back again
    assert {("old", "old"), ("new", "old"), ("new", "new")} == set(seen)
