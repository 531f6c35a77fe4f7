"""A small real graph, that of the session's bundle with 64 px, and one with a pooling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.data.pictures import load_bundle_pictures
from edgerd.precision.ranges import Ranges, collect_ranges


@pytest.fixture(scope="session")
def graph(_exported: Path) -> bytes:
    return Bundle.open(_exported).read(GRAPH_FILE)


@pytest.fixture(scope="session")
def pooled_graph() -> bytes:
    """The graph of a small untrained ResNet, 64 px: it has the pooling that the built-in teacher lacks."""
    pytest.importorskip("torch", reason="what exports it is not installed", exc_type=ImportError)

    from mini_teacher import pretrained

    from edgerd.exporting.graph import graph_from_networks
    from edgerd.models.networks import Networks
    from edgerd.models.student import make_student

    teacher = pretrained()
    return graph_from_networks(Networks(teacher, make_student(teacher.info).eval()), 64, 64)


@pytest.fixture(scope="session")
def pooled_ranges(pooled_graph: bytes, pictures: np.ndarray) -> Ranges:
    return collect_ranges(pooled_graph, pictures)


@pytest.fixture(scope="session")
def pictures(_exported: Path) -> np.ndarray:
    """The bundle's range pictures, uint8 (n, 1, 64, 64, 3)."""
    bundle = Bundle.open(_exported)
    return load_bundle_pictures(bundle, bundle.manifest.ranges, bundle.manifest.preprocess)


@pytest.fixture(scope="session")
def ranges(graph: bytes, pictures: np.ndarray) -> Ranges:
    return collect_ranges(graph, pictures)
