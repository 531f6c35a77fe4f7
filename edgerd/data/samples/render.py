"""A sample part from a name and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from edgerd.data.samples.part import Kind, SamplePart
from edgerd.data.samples.photograph import photograph, random_pose
from edgerd.errors import InputError, SpecError
from edgerd.tables import load

KINDS: Mapping[str, str] = {
    "ring": "edgerd.data.samples.ring:KIND",
    "weave": "edgerd.data.samples.weave:KIND",
    "label": "edgerd.data.samples.label:KIND",
}
"""Kinds of sample part: name -> "module:attribute"."""

SIZES = range(64, 1025)
"""Widths of a picture in pixels that parts are drawn for."""


def defects_of(kind: str) -> tuple[str, ...]:
    """The defects a kind of part can have.

    Raises:
        InputError: There is no such kind.
    """
    return tuple(_kind(kind).defects)


def render(kind: str, seed: int, defect: str | None = None, size: int = 256) -> SamplePart:
    """A picture of one part, as a line camera would take it.

    The same arguments give the same picture on every machine. Parts of one seed with and without a defect have pose,
    light and noise in common.

    Args:
        kind: One of `KINDS`.
        seed: 0 or more; every seed is another part.
        defect: One of `defects_of(kind)`, or None for a good part.
        size: Width and height in pixels, 64 to 1024.

    Raises:
        InputError: There is no such kind or defect, or the seed is negative.
        SpecError: The size is out of range.
    """
    made = _kind(kind)
    if defect is not None and defect not in made.defects:
        raise InputError(
            f"A sample {kind} cannot have the defect {defect!r}.", expected=f"one of {', '.join(made.defects)}"
        )
    if seed < 0:
        raise InputError(f"The seed is {seed}.", expected="0 or more")
    if size not in SIZES:
        raise SpecError(f"Sample parts cannot be {size} pixels wide.", expected=f"{SIZES[0]} to {SIZES[-1]}")
    pose_rng, part_rng, photo_rng, defect_rng = _random_streams(kind, seed)
    pose = random_pose(made.pose, pose_rng)
    layer = made.draw(size, part_rng, pose)
    coverage = made.defects[defect](layer, defect_rng) if defect is not None else None
    picture, mask = photograph(layer, coverage, made, size, pose, photo_rng)
    return SamplePart(picture=picture, mask=mask, kind=kind, defect=defect, seed=seed)


def _kind(name: str) -> Kind:
    kind: Kind = load(KINDS, name, "kind of sample part")
    return kind


def _random_streams(kind: str, seed: int) -> list[np.random.Generator]:
    """Four independent streams, so that a defect's random numbers never change the part, its pose or its picture."""
    root = np.random.SeedSequence([crc32(kind.encode()), seed])
    return [np.random.Generator(np.random.PCG64(child)) for child in root.spawn(4)]
