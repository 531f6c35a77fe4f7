"""Seeds of parts, chosen so that a part of a line is never in a data set."""

from __future__ import annotations

from enum import IntEnum

from edgerd.errors import InputError

_INDEX_BITS = 32
_SEED_BITS = 64


class Stream(IntEnum):
    """What parts are made for. Seeds below 2**96 belong to no stream: they are for direct calls of `render`."""

    DATASET = 1
    LINE = 2


def check_seed(seed: int) -> int:
    """Return the seed of a data set or line, once it is checked.

    Raises:
        InputError: It is negative, or needs more than 64 bits.
    """
    if not 0 <= seed < 1 << _SEED_BITS:
        raise InputError(f"The seed is {seed}.", expected="0 or more, below 2**64")
    return seed


def part_seed(stream: Stream, seed: int, index: int) -> int:
    """The seed of one part; no two parts of any streams and seeds have the same.

    Args:
        stream: What the part is for.
        seed: Seed of the whole data set or line.
        index: Index of the part in it, below 2**32.
    """
    return (stream << _SEED_BITS | check_seed(seed)) << _INDEX_BITS | index
