"""A disk that is full for a while: a small file system of the line's own, filled up by somebody else."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

from rig.bundles import Bundles
from rig.camera import HttpCamera
from rig.camera_servers import free_port
from rig.check import Check
from rig.line import LineProcess, http_status, recipe_of
from rig.pictures import make_pool
from rig.records import deliveries, lost_alerts, n_ng
from rig.webhook import Webhook

_SIZE = "32m"
_BLOCK = bytes(1 << 16)


def full_disks(folder: Path, bundles: Bundles, n: int, seed: int, full_s: float) -> list[Check]:
    """A line whose outbox and audit trail lie on a disk that is full n times, and then has room again.

    Args:
        folder: For the line; the small disk is mounted in it, for the line's process alone.
        bundles: Judge.
        n: How many times.
        seed: Of the pictures and times.
        full_s: How long the disk is full each time.
    """
    fault = f"disk full for {full_s:g} s"
    disk = folder / "disk"
    disk.mkdir(parents=True)
    before = _on_a_small_disk(disk)
    if before is None:
        return [Check(fault, 0, "the loop goes on", "not tried: no file system can be mounted here", False)]
    chance = random.Random(seed)  # noqa: S311  no secret
    hook = Webhook()
    camera = HttpCamera(make_pool(bundles.small, "ring", 90, seed), 20)
    port = free_port()
    tables = (
        f'[outbox]\npath = "{disk}/outbox"\n[audit]\npath = "{disk}/audit.jsonl"\n[monitor]\nbind = "127.0.0.1:{port}"'
    )
    line = LineProcess(
        folder, recipe_of({"left": camera}, [f'type = "webhook"\nurl = "{hook.url}"'], tables=tables), before
    )
    slowest_s, reds, greens = 0.0, 0, 0
    with closing(line), closing(camera):
        began = line.start()
        line.wait_for_verdict("left", began)
        seen = Path(f"/proc/{line.pid}/root{disk}")  # where the line sees it
        for _ in range(n):
            time.sleep(chance.uniform(2.0, 4.0))
            with Filled(seen):
                red = False
                end = time.time() + full_s
                while time.time() < end:
                    now = time.time()
                    line.wait_for_verdict("left", now)
                    slowest_s = max(slowest_s, time.time() - now)
                    red |= http_status(f"http://127.0.0.1:{port}/healthz")[0] == 503
            reds += red
            greens += _turns_green(port)
        time.sleep(1.0)
        line.stop()
    hook.go_away()
    verdicts, found = line.verdicts(), deliveries(hook.received)
    lost = len(lost_alerts(verdicts, found.events, line.lives))
    log = line.log_file.read_text()
    warned = "cannot be written" in log
    return [
        Check(
            fault,
            n,
            "the loop goes on: a verdict at least every second",
            f"the longest wait for a verdict was {slowest_s:.2f} s",
            slowest_s <= 1.0,
            of_the_machine=True,
        ),
        Check(
            fault,
            n,
            "no alert lost, none out of order, none twice",
            f"{lost} lost of {n_ng(verdicts)} NG frames, {found.out_of_order} out of order, {found.twice} twice, "
            f"{found.duplicates} duplicates",
            (lost, found.out_of_order, found.twice, found.contradictions) == (0, 0, 0, 0) and n_ng(verdicts) > 0,
        ),
        Check(
            fault,
            n,
            "a warning, health red, and green again after it",
            f"{'a' if warned else 'no'} warning, red {reds} times, green again {greens} times",
            warned and reds == greens == n,
        ),
    ]


class Filled:
    """A disk is full, and stays so, whatever is freed, until the block ends.

    Args:
        folder: On the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "somebody-elses-file"
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Filled:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()
        self._file.unlink()

    def _run(self) -> None:
        descriptor = os.open(self._file, os.O_CREAT | os.O_WRONLY)
        try:
            while not self._leaving.wait(0.005):
                for size in (len(_BLOCK), 4096, 1):
                    self._write_until_full(descriptor, size)
        finally:
            os.close(descriptor)

    def _write_until_full(self, descriptor: int, size: int) -> None:
        with contextlib.suppress(OSError):
            while not self._leaving.is_set():
                os.write(descriptor, _BLOCK[:size])


def _on_a_small_disk(folder: Path) -> tuple[str, ...] | None:
    """What to put before a command so that a small disk is mounted for it; None where that is not allowed."""
    unshare = shutil.which("unshare")
    mount = f"mount -t tmpfs -o size={_SIZE} none '{folder}'"
    if unshare is None or subprocess.run([unshare, "-rm", "sh", "-c", mount], capture_output=True).returncode:
        return None
    return (unshare, "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh")


def _turns_green(port: int) -> bool:
    for _ in range(100):
        if http_status(f"http://127.0.0.1:{port}/healthz")[0] == 200:
            return True
        time.sleep(0.1)
    return False
