"""Whatever comes in whatever order: each trigger gets one answer, each frame is accounted for, all buffers are free."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from inspection_parts import GOOD, THRESHOLD, make_bundle
from scenario_parts import SCENARIOS, Scenario, run

from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.fake import FakeEngine


@given(SCENARIOS)
@settings(max_examples=150, deadline=None)
def test_every_trigger_is_answered_once_and_every_frame_accounted_for(scenario: Scenario) -> None:
    with Inspector(make_bundle(), FakeEngine(), THRESHOLD) as nut, nut.beside() as bolt:
        run(scenario, nut, bolt)


@pytest.mark.emulated(once=True)
@pytest.mark.parametrize("mode", ["latency", "throughput"])
@given(scenario=SCENARIOS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_on_a_gpu_all_buffers_are_free_at_the_end(on_gpu, mode: str, scenario: Scenario) -> None:
    nut, bolt = on_gpu(mode=mode), on_gpu(mode=mode)  # two engines
    nut.inspect(GOOD)
    bolt.inspect(GOOD)
    run(scenario, nut, bolt)
    for inspector in (nut, bolt):
        assert inspector.inspect(GOOD).score == 0
        lent = [inspector.buffers.lend() for _ in range(2)]
        assert all(buffer is not None for buffer in lent)
        for buffer in lent:
            inspector.buffers.give_back(buffer)
