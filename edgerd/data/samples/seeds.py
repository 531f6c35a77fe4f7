"""Which part comes from which seed, so that no part of a line was ever in a data set."""

from __future__ import annotations

from enum import IntEnum

from edgerd.errors import InputError

_INDEX_BITS = 32
_SEED_BITS = 64


class Stream(IntEnum):
    """What parts are made for. Seeds below 2**96 are nobody's: they are left to those who call `render` themselves."""

    DATASET = 1
    LINE = 2


def check_seed(seed: int) -> int:
    """The seed of a data set or line, if it is one.

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
        seed: Of the whole data set or line.
        index: Of the part in it, below 2**32.
    """
    return (stream << _SEED_BITS | check_seed(seed)) << _INDEX_BITS | index
