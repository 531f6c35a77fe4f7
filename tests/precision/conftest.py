"""A real graph in small: ResNet-like teacher, embedding and decoder of the session's bundle, 64 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerd.bundle import Bundle
from edgerd.data.pictures import load_bundle_pictures
from edgerd.manifest import GRAPH_FILE
from edgerd.precision.ranges import Ranges, collect_ranges


@pytest.fixture(scope="session")
def graph(_exported: Path) -> bytes:
    return Bundle.open(_exported).read(GRAPH_FILE)


@pytest.fixture(scope="session")
def pictures(_exported: Path) -> np.ndarray:
    """The bundle's range pictures, uint8 (n, 1, 64, 64, 3)."""
    bundle = Bundle.open(_exported)
    return load_bundle_pictures(bundle, bundle.manifest.ranges, bundle.manifest.preprocess)


@pytest.fixture(scope="session")
def ranges(graph: bytes, pictures: np.ndarray) -> Ranges:
    return collect_ranges(graph, pictures)
