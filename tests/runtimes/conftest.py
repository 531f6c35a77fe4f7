from __future__ import annotations

import hashlib

import numpy as np
import pytest
from runtime_graphs import HEIGHT, WIDTH, small_fused_graph


@pytest.fixture(scope="session")
def graph() -> bytes:
    return small_fused_graph()


@pytest.fixture(scope="session")
def graph_sha256(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """uint8 (3, H, W, 3): noise, dark noise, a gradient."""
    noise = np.random.default_rng(1).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    noise[1] //= 4
    ramp = np.linspace(0, 255, WIDTH).astype(np.uint8)[None, None, :, None]
    return np.concatenate([noise, np.broadcast_to(ramp, (1, HEIGHT, WIDTH, 3))])
