"""The Modbus server as a PLC sees it, over a real connection."""

from __future__ import annotations

import socket

import pytest
from plc_parts import ACK, ENABLE, TRIGGER, PlcClient, found

from edgerd.sinks.modbus import ModbusServer
from edgerd.sinks.modbus.registers import BLOCK_WORDS, STRIDE
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Verdict


def begin_part(plc: PlcClient, product: int = 0) -> None:
    plc.write(0)
    plc.write(ENABLE)
    plc.write(ENABLE | TRIGGER, product)
    plc.write(ENABLE, product)


@pytest.mark.parametrize(
    ("verdict", "bit", "outcome", "cause"),
    [(Verdict.OK, "ok", 1, 0), (Verdict.NG, "ng", 2, 0), (Verdict.NO_DECISION, "error", 3, 1)],
)
def test_a_part_gets_its_verdict(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger], verdict: Verdict, bit: str, outcome: int, cause: int
) -> None:
    plc.write(0)
    assert plc.bits() == set()
    plc.write(ENABLE)
    assert plc.bits() == {"enabled", "ready"}
    plc.write(ENABLE | TRIGGER, product=7)
    assert plc.bits() == {"enabled", "busy"}
    (trigger,) = triggers
    assert (trigger.camera, trigger.product) == ("top", 7)
    plc.write(ENABLE, product=7)
    server.publish(found(verdict, None if verdict is Verdict.NO_DECISION else 0.75), trigger)
    assert plc.bits() == {"enabled", "result_ready", bit}
    status = plc.status()
    assert (status["outcome"], status["error_cause"], status["result_product"]) == (outcome, cause, 7)
    assert status["result_sequence"] == status["accepted_sequence"] == 1
    assert status["score"] == (-1.0 if verdict is Verdict.NO_DECISION else 0.75)
    plc.write(ENABLE | ACK)
    assert plc.bits() == {"enabled"}
    plc.write(ENABLE)
    assert plc.bits() == {"enabled", "ready"}


def test_coils_and_discrete_inputs_are_the_bits_of_the_words(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    for coil in range(3):
        plc.modbus.write_coil(coil, False)
    plc.modbus.write_coil(0, True)
    assert plc.modbus.read_discrete_inputs(0, count=8).bits == [True] + [False] * 6 + [True]
    plc.modbus.write_coils(0, [True, True, False])
    assert plc.modbus.read_coils(0, count=3).bits[:3] == [True, True, False]
    assert plc.modbus.read_discrete_inputs(1, count=1).bits[0]
    assert plc.modbus.read_holding_registers(0, count=1).registers == [ENABLE | TRIGGER]
    assert triggers[0].product is None


def test_coils_written_one_by_one_do_not_repeat_an_old_trigger(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    plc.modbus.write_coil(0, True)
    plc.modbus.write_coil(2, False)
    plc.modbus.write_coil(1, True)
    assert plc.bits() == {"enabled"}
    plc.modbus.write_coil(1, False)
    assert plc.bits() == {"enabled", "ready"}
    assert not triggers


def test_one_register_can_be_changed_by_its_mask(server: ModbusServer, plc: PlcClient, triggers: list[Trigger]) -> None:
    plc.write(0)
    plc.write(ENABLE)
    plc.modbus.mask_write_register(address=0, and_mask=0xFFFF & ~TRIGGER, or_mask=TRIGGER)
    assert len(triggers) == 1
    assert plc.bits() == {"enabled", "busy"}


def test_writing_and_reading_may_be_one_request(server: ModbusServer, plc: PlcClient, triggers: list[Trigger]) -> None:
    plc.write(0)
    plc.write(ENABLE)
    answer = plc.modbus.readwrite_registers(
        read_address=20, read_count=1, write_address=0, values=[ENABLE | TRIGGER, 5]
    )
    assert answer.registers == [0b10000010], "enabled and busy"
    assert triggers[0].product == 5


def test_each_camera_has_its_block(server: ModbusServer, plc: PlcClient, triggers: list[Trigger]) -> None:
    server.set_state("side", CameraState.READY)
    for camera in (0, 1):
        plc.write(0, camera=camera)
        plc.write(ENABLE, camera=camera)
    plc.write(ENABLE | TRIGGER, product=3, camera=1)
    assert [trigger.camera for trigger in triggers] == ["side"]
    assert (plc.bits(0), plc.bits(1)) == ({"enabled", "ready"}, {"enabled", "busy"})
    server.publish(found(Verdict.NG, camera="side"), triggers[0])
    assert (plc.bits(0), plc.bits(1)) == ({"enabled", "ready"}, {"enabled", "result_ready", "ng"})
    assert plc.modbus.read_discrete_inputs(STRIDE, count=8).bits[4], "ng"
    both = plc.modbus.read_input_registers(STRIDE, count=BLOCK_WORDS).registers
    assert plc.modbus.read_holding_registers(STRIDE, count=BLOCK_WORDS, device_id=255).registers == both


@pytest.mark.parametrize("address", [2, 16, 20, 45, 50, STRIDE + 2, 2 * STRIDE, 60_000])
def test_a_plc_can_write_nothing_but_its_own_registers(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger], address: int
) -> None:
    before = plc.status()
    assert plc.modbus.write_register(address, 1).exception_code == 2
    assert plc.modbus.write_coils(address + 1, [True]).exception_code == 2
    assert plc.status() == before


def test_a_plc_may_read_whole_blocks_and_beyond_one(server: ModbusServer, plc: PlcClient) -> None:
    registers = plc.modbus.read_holding_registers(STRIDE - 1, count=STRIDE + 1).registers
    assert registers[1 + BLOCK_WORDS :] == [0] * (STRIDE - BLOCK_WORDS)
    assert registers[1 + 16] == 1, "the map's version"
    assert plc.modbus.read_discrete_inputs(0, count=STRIDE + 8).bits[: STRIDE + 8] == [False] * (STRIDE + 8)
    assert plc.modbus.read_holding_registers(2 * STRIDE, count=1).exception_code == 2


def test_a_write_that_reaches_too_far_writes_nothing(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    plc.write(0)
    plc.write(ENABLE)
    assert plc.modbus.write_registers(0, [ENABLE | TRIGGER, 1, 0]).isError()
    assert not triggers
    assert plc.bits() == {"enabled", "ready"}


def test_a_trigger_while_busy_is_counted_and_no_part(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    begin_part(plc)
    plc.write(ENABLE | TRIGGER)
    assert plc.bits() == {"enabled", "busy", "trigger_error"}
    assert plc.status()["trigger_errors"] == server.outputs("top").trigger_errors == 1
    assert len(triggers) == 1


@pytest.mark.parametrize("state", [CameraState.STARTING, CameraState.STOPPED, CameraState.ERROR])
def test_a_camera_that_cannot_judge_is_not_ready(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger], state: CameraState
) -> None:
    server.set_state("top", state)
    begin_part(plc)
    assert "ready" not in plc.bits()
    assert not triggers
    assert plc.status()["trigger_errors"] == 1
    assert plc.status()["camera_state"] == {"STARTING": 0, "STOPPED": 2, "ERROR": 3}[state.name]


def test_a_line_that_is_silent_is_not_ready_and_its_heartbeat_stands_still(triggers: list[Trigger]) -> None:
    server = ModbusServer(["top"], triggers.append, port=0, alive_timeout_s=0.1)
    plc = PlcClient(server.port)
    try:
        server.set_state("top", CameraState.READY)
        begin_part(plc)
        assert not triggers, "it has never said that it is alive"
        assert plc.status()["heartbeat_timeout_ms"] == 100
        before = plc.status()["heartbeat"]
        server.alive()
        assert plc.status()["heartbeat"] == before + 1
    finally:
        plc.modbus.close()
        server.close()


def test_a_line_that_cannot_take_a_trigger_is_an_error_of_the_part() -> None:
    def refuse(trigger: Trigger) -> None:
        raise RuntimeError("the queue is full")

    server = ModbusServer(["top"], refuse, port=0, alive_timeout_s=60)
    plc = PlcClient(server.port)
    try:
        server.set_state("top", CameraState.READY)
        server.alive()
        begin_part(plc)
        assert plc.bits() == {"enabled", "result_ready", "error"}
        assert plc.status()["error_cause"] == 2
        assert server.failure is not None
        assert "the queue is full" in server.failure
    finally:
        plc.modbus.close()
        server.close()


def test_a_line_may_answer_within_the_trigger_itself() -> None:
    def answer(trigger: Trigger) -> None:
        server.publish(found(Verdict.OK), trigger)

    server = ModbusServer(["top"], answer, port=0, alive_timeout_s=60)
    plc = PlcClient(server.port)
    try:
        server.set_state("top", CameraState.READY)
        server.alive()
        begin_part(plc)
        assert plc.bits() == {"enabled", "result_ready", "ok"}
    finally:
        plc.modbus.close()
        server.close()


@pytest.mark.parametrize(
    "garbage", [b"\x00", b"\xff" * 5000, b"GET / HTTP/1.0\r\n\r\n", b"\x00\x01\x00\x00\x00\x02\x01\x63"]
)
def test_nonsense_from_one_client_does_not_disturb_another(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger], garbage: bytes
) -> None:
    begin_part(plc)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(garbage)
        assert plc.bits() == {"enabled", "busy"}
    server.publish(found(Verdict.OK), triggers[0])
    assert plc.bits() == {"enabled", "result_ready", "ok"}


def test_a_verdict_that_nobody_asked_for_is_only_the_latest(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    begin_part(plc)
    server.publish(found(Verdict.NG), None)
    server.publish(found(Verdict.NG), Trigger("top", "from elsewhere", None, 0.0, 0.0))
    server.publish(found(Verdict.NG, camera="another"), None)
    assert plc.bits() == {"enabled", "busy"}
    status = plc.status()
    assert (status["latest_count"], status["latest_outcome"], status["latest_score"]) == (2, 2, 0.75)
    server.publish(found(Verdict.OK), triggers[0])
    server.publish(found(Verdict.NG), triggers[0])
    assert plc.bits() == {"enabled", "result_ready", "ok"}


def test_a_plc_that_restarts_gets_no_result_of_its_former_life(
    server: ModbusServer, plc: PlcClient, triggers: list[Trigger]
) -> None:
    begin_part(plc)
    plc.modbus.close()
    plc.write(0)
    assert plc.bits() == set()
    server.publish(found(Verdict.OK), triggers[0])
    assert plc.bits() == set()
    begin_part(plc)
    assert plc.bits() == {"enabled", "busy"}
    assert plc.status()["discarded_results"] == 1
    assert triggers[0].id != triggers[1].id


def test_a_trigger_that_is_on_when_edgerd_comes_back_starts_nothing(triggers: list[Trigger]) -> None:
    sessions = set()
    port = 0
    for _ in range(2):
        server = ModbusServer(["top"], triggers.append, port=port, alive_timeout_s=60)
        server.set_state("top", CameraState.READY)
        server.alive()
        port = server.port
        plc = PlcClient(port)
        plc.write(ENABLE | TRIGGER)
        plc.write(ENABLE | TRIGGER)
        assert plc.bits() == {"enabled"}
        sessions.add(plc.status()["session"])
        plc.modbus.close()
        server.close()
    assert not triggers
    assert len(sessions - {0}) == 2
