"""Sample parts: seeded pictures of good and defective parts with exact masks, still or passing on a line.

    ring     scratch, dent, stain, chip, crack, missing_hole
    weave    stain, hole, pulled_thread, cut, foreign_fibre
    label    misprint, smear, stain, tear, scratch, crease

A kind is one file here and one line in `KINDS`.
"""

from __future__ import annotations

from edgerd.data.samples.folder import write_dataset
from edgerd.data.samples.line import line_parts, write_video
from edgerd.data.samples.render import KINDS, defects_of, render

__all__ = ["KINDS", "defects_of", "line_parts", "render", "write_dataset", "write_video"]
