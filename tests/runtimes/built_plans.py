"""What the stand-in for TensorRT writes into a plan."""

import json


def settings_of(plan):
    """What the emulated builder was told."""
    text = plan.split(b"\n", 1)[1]
    return json.loads(text[16 : 16 + int.from_bytes(text[:8], "little")])
