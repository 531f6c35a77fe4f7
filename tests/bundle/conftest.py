"""A bundle on the disk."""

import pytest
from bundle_parts import FILES, manifest_of

from edgerd.bundle.bundle import save_bundle


@pytest.fixture
def bundle(tmp_path):
    return save_bundle(tmp_path / "bundle", manifest_of(FILES), FILES)
