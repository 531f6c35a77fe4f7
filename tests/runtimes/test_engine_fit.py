"""Whether an engine's key fits a machine."""

import pytest

from edgerd.bundle.manifest import EngineKey
from edgerd.runtimes.fit import differences

HERE = EngineKey(
    runtime="tensorrt",
    runtime_version="10.13.3",
    precision="fp16",
    device="NVIDIA L4",
    features=("sm_89",),
    graph_sha256="a",
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"device": "any"},
        {"features": ("sm_80 or later",)},
        {"runtime_version": "10.3.0 or later"},
        {"runtime_version": "10.13.3 or later"},
    ],
)
def test_what_fits(change):
    assert differences(HERE.model_copy(update=change), HERE) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"device": "Orin"}, "device Orin (here NVIDIA L4)"),
        ({"features": ("sm_90 or later",)}, "features sm_90 or later (here sm_89)"),
        ({"features": ("sm_80",)}, "features sm_80 (here sm_89)"),
        ({"runtime_version": "10.16.1 or later"}, "runtime version 10.16.1 or later (here 10.13.3)"),
        ({"features": ()}, "features none (here sm_89)"),
    ],
)
def test_what_does_not(change, text):
    assert differences(HERE.model_copy(update=change), HERE) == [text]
