"""A PLC's program and edgerd in any order of their steps, with restarts in between: no part gets another's result."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from plc_parts import found

from edgerd.sinks.modbus.fake import LOST, PlcProgram
from edgerd.sinks.modbus.memory import Memory
from edgerd.sinks.modbus.stations import Stations
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Verdict

VERDICTS = (Verdict.OK, Verdict.NG, Verdict.NO_DECISION)
STEPS = st.sampled_from(["read", "read", "write", "write", "answer", "answer", "edgerd restarts", "plc restarts"])


class World:
    """Both sides of the wire, without a wire; a PLC may act on what it has read long ago."""

    def __init__(self) -> None:
        self.n_parts = 0
        self.n_forgotten = 0
        self.results = []
        self.triggers: list[Trigger] = []
        self.waiting: list[Trigger] = []
        self.edgerd_restarts()
        self.program = PlcProgram()
        self.block = self.memory.block(0)

    def step(self, name: str) -> None:
        getattr(self, name.replace(" ", "_"))()

    def read(self) -> None:
        self.block = self.memory.block(0)

    def write(self) -> None:
        if self.program.is_ready:
            self.n_parts += 1
            self.program.begin_part(self.n_parts)
        assert self.memory.write_registers(0, self.program.scan(self.block, 0.0))

    def answer(self) -> None:
        if self.waiting:
            trigger = self.waiting.pop()
            self.stations.publish(found(VERDICTS[(trigger.product or 0) % 3]), trigger)

    def edgerd_restarts(self) -> None:
        """What the line found for triggers of its former life is still published; nobody waits for it."""
        self.stations = Stations(["top"], self.take, 60.0)
        self.stations.set_state("top", CameraState.READY)
        self.stations.alive()
        self.memory = Memory(self.stations)

    def plc_restarts(self) -> None:
        self.n_forgotten += self.program.has_part
        self.results += self.program.results
        self.program = PlcProgram()

    def take(self, trigger: Trigger) -> None:
        self.triggers.append(trigger)
        self.waiting.append(trigger)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=150))
def test_every_part_has_one_end_and_its_own_result_and_the_line_goes_on(steps: list[str]) -> None:
    world = World()
    for step in steps:
        world.step(step)
    parts_before = world.n_parts
    for _ in range(40):
        for step in ("read", "write", "answer"):
            world.step(step)
    results = world.results + world.program.results
    assert world.n_parts > parts_before + 1, "parts go on, whatever happened before"
    assert len(results) + world.n_forgotten + world.program.has_part == world.n_parts
    for result in results:
        if result.outcome != LOST:
            assert result.result_product == result.product
            assert result.outcome == 1 + result.product % 3
    products = [trigger.product for trigger in world.triggers]
    assert len(set(products)) == len(products), "a part is asked for once"
    assert sum(result.outcome == LOST for result in results) <= steps.count("edgerd restarts")
