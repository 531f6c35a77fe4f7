"""The fault injection and the soak, each in its short form: what was counted must be right, whatever the machine does.

Bars about time and memory are left out (`Check.of_the_machine`): a busy machine alone can miss them. They take minutes,
and faults come at random moments, so they are run by hand: `make test-slow`.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow
SHARE = 0.08
"""Of the full counts: 8 kills, 4 outages of cameras, 4 of receivers."""


# Without "fast": the tests' engine judges 400 pictures/s, and three times as many cannot even be read on two cores, so
# that they wait in the network's buffers. benchmarks/faults.py runs it with an engine of the usual size.
@pytest.mark.parametrize(
    "trial", ["cameras", "rtsp", "genicam", "receivers", "kills", "disk", "two", "sinks", "products"]
)
def test_faults(on_path, bundle, edge_bundle, tmp_path, trial):
    from faults import run_trials
    from rig.broker import MOSQUITTO
    from rig.bundles import Bundles

    if trial == "receivers" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    pytest.importorskip("openvino")
    bundles = Bundles(small=bundle.path, other=edge_bundle.path, usual=bundle.path)
    checks = run_trials([trial], tmp_path, bundles, SHARE, seed=1)
    if checks[0].injections == 0:
        pytest.skip(checks[0].measured)
    assert [str(check) for check in checks if not (check.is_held or check.of_the_machine)] == []


def test_soak(on_path, bundle, tmp_path):
    from soak import soak

    pytest.importorskip("openvino")
    checks = soak(tmp_path / "line", bundle.path, seconds=20, seed=1, fps=10)
    assert [str(check) for check in checks if not (check.is_held or check.of_the_machine)] == []
