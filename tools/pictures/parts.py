"""Sample parts of edgerd's own generator, good and defective."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgerd.data.samples import KINDS, defects_of, render

_SEEDS = 80_000_000
"""Parts below are left to training, those above to measurement."""


def part(rng: np.random.Generator, size_px: int) -> npt.NDArray[np.uint8]:
    """A part of any kind, with a defect in half of all cases."""
    kind = str(rng.choice(list(KINDS)))
    defect = str(rng.choice(defects_of(kind))) if rng.random() < 0.5 else None
    return render(kind, int(rng.integers(_SEEDS)), defect, size_px).picture
