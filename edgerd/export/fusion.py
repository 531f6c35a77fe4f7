"""The multiscale fusion as two small matrix products per scale.

RD4AD upsamples each distance map bilinearly (corners aligned) to the picture's size, adds them up and blurs the sum
with a Gaussian of sigma 4. Both operations are linear and separable, so for scale k with map M_k

    anomaly_map = sum_k A_k M_k B_k^T

where A_k and B_k are the operations applied to the identity, once for rows and once for columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgerd.types import Float32Array

SIGMA = 4.0
TRUNCATE = 4.0
"""The Gaussian ends at `TRUNCATE * SIGMA` = 16 pixels, scipy's default."""


def fusion_matrix(size: int, n: int) -> Float32Array:
    """Upsampling from `n` to `size` positions, then the Gaussian, as one matrix.

    Args:
        size: Positions along this axis of the picture.
        n: Positions along this axis of the scale's map.

    Returns:
        float32 (size, n), each row summing to 1.
    """
    blurred = _gaussian(size) @ _upsample(size, n)
    return blurred.astype(np.float32)


def _upsample(size: int, n: int) -> npt.NDArray[np.float64]:
    """Linear interpolation with the first and the last positions aligned (align_corners=True)."""
    position = np.linspace(0.0, n - 1.0, size)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(n)[None, :]))


def _gaussian(size: int) -> npt.NDArray[np.float64]:
    """The blur along one axis with scipy's "reflect" border (d c b a | a b c d | d c b a)."""
    radius = int(TRUNCATE * SIGMA + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel /= kernel.sum()
    sources = np.pad(np.arange(size), radius, mode="symmetric")
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    for tap, weight in enumerate(kernel):
        np.add.at(matrix, (rows, sources[rows + tap]), weight)
    return matrix
