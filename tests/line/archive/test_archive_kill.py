"""A process that is killed, or a power cut, at any moment: no half picture, and none without its record."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from archive_parts import NG, archive, part, pictures

from edgerd.data.pictures import read_picture

TAKES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from archive_parts import NG, OK, archive, bgr, part

kept = archive(Path(sys.argv[1]), quota_bytes=2_000_000)
for number in range(100_000):
    kept.take(part((NG, OK)[number % 2], number, data=bgr(number % 5, 200, 200)))
    print(number, flush=True)
"""
SEED = 11


@pytest.mark.parametrize("n_kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_after_a_kill_every_picture_is_whole_and_has_its_record(tmp_path: Path, n_kills: int) -> None:
    chance, folder = random.Random(SEED), tmp_path / "archive"
    for _ in range(n_kills):
        command = [sys.executable, "-c", TAKES, str(folder), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "0\n"
            time.sleep(chance.uniform(0.0, 0.3))
            process.kill()
        records = {path.stem for path in folder.rglob("*.json")}
        assert pictures(folder)
        for picture in pictures(folder):
            assert picture.stem in records
            assert read_picture(picture).shape == (200, 200, 3)
    assert archive(folder, quota_bytes=2_000_000).n_bytes <= 2_000_000


def test_what_has_its_name_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut keeps what was synced: a file before it gets its name, and the record's name before the picture's."""
    steps: list[tuple[str, str]] = []
    sync, rename = os.fsync, Path.replace

    def noting_sync(descriptor: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{descriptor}").resolve().name))
        sync(descriptor)

    def noting_rename(path: Path, target: Any) -> Path:
        steps.append(("rename", Path(target).name))
        return rename(path, target)

    kept = archive(tmp_path)
    kept.take(part(NG, 1))  # makes the folders
    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_rename)
    kept.take(part(NG, 2))
    stem = pictures(tmp_path)[1].stem
    assert steps == [
        step
        for name, folder in ((f"{stem}.jpg", "heatmaps"), (f"{stem}.json", "records"), (f"{stem}.png", "ng"))
        for step in (("sync", f".{name}.partial"), ("rename", name), ("sync", folder))
    ]
