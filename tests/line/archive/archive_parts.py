"""Parts to archive, and what lies in an archive."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.events import FrameVerdict
from edgerd.line.archive import Archive, Part
from edgerd.types import Box, DefectRegion, Frame, Inspection, PixelFormat, UInt8Array, Verdict

SPEC = PreprocessSpec(height=32, width=32)
QUOTA = 10**9
OK, NG, NO_DECISION = Verdict.OK, Verdict.NG, Verdict.NO_DECISION
BLOCK = 4096
"""What a file takes up at least."""
PART = 3 * BLOCK
"""A small part: picture, heatmap and record take a block each; one that was not judged has no heatmap."""


def bgr(number: int = 0, height: int = 12, width: int = 16) -> UInt8Array:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3)).astype(np.uint8)


def part(
    verdict: Verdict = NG,
    number: int = 0,
    *,
    captured_at: float | None = None,
    camera: str = "cam",
    product: str | None = None,
    data: UInt8Array | None = None,
    pixel_format: PixelFormat = PixelFormat.BGR,
) -> Part:
    captured_at = 1_767_600_000.0 + number if captured_at is None else captured_at
    data = bgr(number) if data is None else data
    judged = verdict is not NO_DECISION
    inspection = Inspection(
        verdict,
        score=0.75 if judged else None,
        threshold=0.5,
        regions=(DefectRegion(Box(2, 3, 4, 5), 20, 0.75),) if verdict is NG else (),
        anomaly_map=np.full((1, 32, 32), 0.75, np.float32) if judged else None,
        reason="" if judged else "black frame",
    )
    line = FrameVerdict(
        inspection, camera, number, "sample://", captured_at, captured_at + 0.1, "b" * 64, "t1", product
    )
    return Part(Frame(data, pixel_format, number, captured_at, captured_at, "sample://"), line, SPEC)


def archive(folder: Path, quota_bytes: float = QUOTA, ok_share: float = 1.0, seed: int = 0) -> Archive:
    return Archive(folder, quota_bytes, ok_share, generator=random.Random(seed))


def files(folder: Path) -> list[str]:
    """All files of parts, without marks, relative to the archive."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "archive.json"]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def pictures(folder: Path) -> list[Path]:
    """The pictures, in the order of time."""
    return sorted(folder.rglob("*.png"), key=lambda path: path.name)


def frames(folder: Path) -> list[int]:
    """The frame numbers of the pictures that are there, in the order of time."""
    return [int(path.stem.split("_")[-2]) for path in pictures(folder)]


def used_bytes(folder: Path) -> int:
    return sum(-(-(folder / file).stat().st_size // BLOCK) * BLOCK for file in files(folder))


def filled(folder: Path, verdicts: str, quota_bytes: float = math.inf) -> Archive:
    """An archive that was given one part a second; o, g and n for its verdicts."""
    kept = archive(folder, quota_bytes)
    for number, letter in enumerate(verdicts):
        kept.take(part({"o": OK, "g": NG, "n": NO_DECISION}[letter], number))
    return kept
