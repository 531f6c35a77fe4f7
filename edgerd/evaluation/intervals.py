"""Intervals for rates that were counted on few pictures."""

from __future__ import annotations

import math

from edgerd.errors import InputError

Z_95 = 1.959964
"""The standard normal distribution's quantile at 97.5 %, which leaves 2.5 % on each side."""


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a rate.

    It holds for few pictures too, and for none or all of them counted, where the usual "plus or minus" has no width.
    Source: Wilson 1927; Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", 2001.

    Args:
        count: How many pictures were counted, 0 to n.
        n: Number of pictures, 1 or more.

    Returns:
        Lowest and highest rate that agree with the count, 0 to 1.

    Raises:
        InputError: There are no pictures, or fewer than were counted.
    """
    if not 0 <= count <= n or n < 1:
        raise InputError(f"{count} of {n} pictures is no rate.")
    share, extra = count / n, Z_95 * Z_95 / n
    middle = (share + extra / 2) / (1 + extra)
    half = Z_95 * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    # the bounds are exact where none or all were counted; rounding would leave them a hair away
    return 0.0 if count == 0 else max(0.0, middle - half), 1.0 if count == n else min(1.0, middle + half)
