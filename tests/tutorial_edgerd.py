"""`edgerd` as a tutorial types it, on small sample parts: with little training, and with a camera that makes parts."""

from __future__ import annotations

import sys

from edgerd.cli.main import main

QUICK = ["--image-size", "64", "--batch-size", "8", "--threads", "1", "--cross-fit", "2", "--steps", "20"]
"""Behind what was typed, so that these count."""
CAMERA = "sample://ring?n=6&size=96"


def words() -> list[str]:
    """What was typed, made small."""
    typed = sys.argv[1:]
    if typed[:1] == ["demo"]:  # a test of its own runs it; the tests have put there what it makes
        return ["--version"]
    takes_a_camera = ["", *typed]
    typed = [
        CAMERA if option in ("--camera", "--from-camera") and word == "0" else word
        for option, word in zip(takes_a_camera, typed, strict=False)
    ]
    return [*typed, *QUICK] if typed[:1] == ["train"] else typed


if __name__ == "__main__":
    main(words())
