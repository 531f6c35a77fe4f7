"""Where the defects of a part are, in the same words wherever a line of a terminal names a part that is NG."""

from __future__ import annotations

from collections.abc import Sequence

from edgerd.types import DefectRegion


def place(regions: Sequence[DefectRegion]) -> str:
    """The centre of the region with the highest peak, in pixels of the frame, and how many regions there are.

    Args:
        regions: Highest peak first, as an inspection has them.

    Returns:
        "at 240,92 (3 regions)"; empty where there are none.
    """
    if not regions:
        return ""
    box = regions[0].box
    more = f" ({len(regions)} regions)" if len(regions) > 1 else ""
    return f"at {box.x + box.width // 2},{box.y + box.height // 2}{more}"
