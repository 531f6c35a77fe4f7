"""What files and folders of an archive are called: safe on every file system, in the order of time, never twice.

No text that comes from outside is a path: names of cameras and products become the name of one folder each, and the
name of a file is made of numbers, the verdict and random digits.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timezone
from pathlib import Path

from edgerd.data.layouts import ARCHIVE_FILE, TEST, TRAIN
from edgerd.events import FrameVerdict
from edgerd.types import GOOD, Verdict

RECORDS, HEATMAPS, NO_DECISION = Path("records"), Path("heatmaps"), Path("no_decision")
PICTURES = {Verdict.OK: Path(TRAIN, GOOD), Verdict.NG: Path(TEST, "ng"), Verdict.NO_DECISION: NO_DECISION}
"""In which folder of a product the pictures of a verdict are."""

_ONE_PRODUCT = "part"
"""The folder for the product of a camera that inspects just one, whose verdicts name none."""
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-]|[A-Za-z0-9_]")
"""Not hidden, and no dot at the end, which Windows drops."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows takes for a device."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_KEPT_CHARACTERS = 40

_WORDS = {Verdict.OK: "ok", Verdict.NG: "ng", Verdict.NO_DECISION: "nodecision"}
_FILE = re.compile(r"(?P<stem>\d{8}T\d{6}-\d{6}Z_(?P<word>ok|ng|nodecision)_\d{6,}_[0-9a-f]{8})\.(png|jpg|json)")
_STAGE = re.compile(rf"\.({_FILE.pattern}|{re.escape(ARCHIVE_FILE)})\.partial")
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999 in Unix seconds: later years have five digits, and their names would sort wrongly."""


def product_folder(verdict: FrameVerdict) -> Path:
    """Where the pictures of a part's camera and product are, below the archive's folder."""
    return Path(folder_name(verdict.camera), folder_name(verdict.product or _ONE_PRODUCT))


def folder_name(text: str) -> str:
    """The name of the folder for a camera or a product.

    Args:
        text: Its name; any characters. A camera that was given no name has its URI for one.

    Returns:
        The text itself where every file system takes it; else what is left of it and 8 digits of its hash, so that
        different texts have different folders.
    """
    if _SAFE.fullmatch(text) and not _DEVICE.fullmatch(text):
        return text
    readable = _UNSAFE.sub("_", text).strip("_-")[:_KEPT_CHARACTERS]
    return f"{readable or 'unnamed'}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def new_stem(verdict: FrameVerdict) -> str:
    """The name of a part's files, without suffix: time of the capture (UTC), verdict, frame number and random digits.

    Names in the order of their characters are in the order of time. The random digits tell apart frames of the same
    microsecond: those of two processes, or of a clock that was set back.
    """
    time_s = verdict.captured_at
    if time_s is None or not 0 <= time_s <= _LAST_SECOND:  # also where it is not a number
        time_s = verdict.decided_at
    when = datetime.fromtimestamp(time_s, timezone.utc)
    word = _WORDS[verdict.inspection.verdict]
    return f"{when:%Y%m%dT%H%M%S-%f}Z_{word}_{max(verdict.frame or 0, 0):06d}_{secrets.token_hex(4)}"


def stem_of(name: str) -> str | None:
    """The stem in the name of a file that an archive has written; None where the file is somebody else's."""
    found = _FILE.fullmatch(name)
    return found["stem"] if found else None


def is_ok(stem: str) -> bool:
    """Whether the part was judged OK when it was archived, wherever a person has moved its picture."""
    found = _FILE.fullmatch(f"{stem}.png")
    return found is not None and found["word"] == _WORDS[Verdict.OK]


def stage_of(file: Path) -> Path:
    """Under which name a file is written until it is complete."""
    return file.with_name(f".{file.name}.partial")


def is_stage(name: str) -> bool:
    """Whether a file of this name is one that is being written, or was when its process ended."""
    return _STAGE.fullmatch(name) is not None
