from __future__ import annotations

from collections.abc import Iterator

import pytest
from inspection_parts import THRESHOLD, make_bundle

from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.fake import FakeEngine


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    with Inspector(make_bundle(), FakeEngine(), THRESHOLD, "the fake engine") as inspector:
        yield inspector
