"""The Modbus client: a PLC that serves its registers, and edgerd that polls them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from plc_parts import ACK, ENABLE, TRIGGER, eventually, found
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgerd.errors import InputError
from edgerd.sinks.loop_thread import LoopThread
from edgerd.sinks.modbus import ModbusClient
from edgerd.sinks.modbus.registers import BLOCK_WORDS, STATUS, STATUS_BITS, STATUS_OFFSET, STRIDE, decode, word_to_bits
from edgerd.sinks.modbus.tcp import stop_server
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Verdict

BASE = 1000


class PlcServer:
    """Registers of a PLC, served on loopback.

    Args:
        count: How many, from `BASE` on.
    """

    def __init__(self, count: int = STRIDE + BLOCK_WORDS) -> None:
        self.registers = [0] * count
        self.port = 0
        self.start()

    def start(self) -> None:
        self._thread = LoopThread("plc", self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    def bits(self, camera: int = 0) -> set[str]:
        words = self.registers[camera * STRIDE : camera * STRIDE + BLOCK_WORDS]
        on = word_to_bits(int(decode(STATUS, words[STATUS_OFFSET:])["status"]), len(STATUS_BITS))
        return {name for name, bit in zip(STATUS_BITS, on, strict=True) if bit}

    def becomes(self, *bits: str, camera: int = 0) -> bool:
        """Whether these bits are on soon, and no others."""
        return eventually(lambda: self.bits(camera) == set(bits))

    def begin_part(self) -> None:
        self.registers[0] = 0
        assert self.becomes()
        self.registers[0] = ENABLE
        assert self.becomes("enabled", "ready")
        self.registers[0] = ENABLE | TRIGGER
        assert self.becomes("enabled", "busy")
        self.registers[0] = ENABLE

    async def _serve(self, has_begun: Callable[[], None], stop: asyncio.Event) -> None:
        block = SimData(BASE, values=list(self.registers), datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(1, [block]), address=("127.0.0.1", self.port))
        self.registers = server.context.devices[1].block["x"][2]
        await server.serve_forever(background=True)
        self.port = server.transport.sockets[0].getsockname()[1]
        has_begun()
        await stop.wait()
        await stop_server(server)


@pytest.fixture
def plc() -> Iterator[PlcServer]:
    plc = PlcServer()
    yield plc
    plc.stop()


@pytest.fixture
def client(plc: PlcServer, triggers: list[Trigger]) -> Iterator[ModbusClient]:
    client = client_of(plc, triggers)
    yield client
    client.close()


def client_of(plc: PlcServer, triggers: list[Trigger]) -> ModbusClient:
    client = ModbusClient(
        ["top", "side"],
        triggers.append,
        host="127.0.0.1",
        port=plc.port,
        base_address=BASE,
        poll_s=0.002,
        alive_timeout_s=60,
    )
    client.set_state("top", CameraState.READY)
    client.alive()
    return client


def test_a_part_gets_its_verdict(client: ModbusClient, plc: PlcServer, triggers: list[Trigger]) -> None:
    plc.registers[1] = 9
    plc.begin_part()
    (trigger,) = triggers
    assert (trigger.camera, trigger.product) == ("top", 9)
    client.publish(found(Verdict.NG), trigger)
    assert plc.becomes("enabled", "result_ready", "ng")
    status = decode(STATUS, plc.registers[STATUS_OFFSET:BLOCK_WORDS])
    assert (status["score"], status["score_scaled"], status["result_product"]) == (0.75, 7500, 9)
    plc.registers[0] = ENABLE | ACK
    assert plc.becomes("enabled")
    plc.registers[0] = ENABLE
    assert plc.becomes("enabled", "ready")
    assert client.error is None


def test_the_second_camera_has_the_second_block(client: ModbusClient, plc: PlcServer, triggers: list[Trigger]) -> None:
    client.set_state("side", CameraState.READY)
    plc.registers[STRIDE] = ENABLE
    assert plc.becomes("enabled", "ready", camera=1)
    plc.registers[STRIDE] = ENABLE | TRIGGER
    assert plc.becomes("enabled", "busy", camera=1)
    assert [trigger.camera for trigger in triggers] == ["side"]
    assert plc.bits(0) == set()


def test_a_result_survives_a_lost_connection(client: ModbusClient, plc: PlcServer, triggers: list[Trigger]) -> None:
    plc.begin_part()
    plc.stop()
    assert eventually(lambda: client.error)
    client.publish(found(Verdict.OK), triggers[0])
    plc.start()
    assert plc.becomes("enabled", "result_ready", "ok")


def test_a_plc_that_restarts_gets_no_result_of_its_former_life(
    client: ModbusClient, plc: PlcServer, triggers: list[Trigger]
) -> None:
    plc.begin_part()
    plc.registers[:BLOCK_WORDS] = [ENABLE, *[0] * (BLOCK_WORDS - 1)]
    assert plc.becomes("enabled", "ready")
    client.publish(found(Verdict.OK), triggers[0])
    plc.begin_part()
    assert plc.bits() == {"enabled", "busy"}
    assert client.outputs("top").discarded_results == 1


def test_a_trigger_that_is_on_when_edgerd_comes_up_starts_nothing(plc: PlcServer, triggers: list[Trigger]) -> None:
    plc.registers[0] = ENABLE | TRIGGER
    client = client_of(plc, triggers)
    try:
        assert plc.becomes("enabled")
        plc.registers[0] = ENABLE
        assert plc.becomes("enabled", "ready")
        assert not triggers
    finally:
        client.close()


def test_a_result_of_another_edgerd_is_taken_away(plc: PlcServer, triggers: list[Trigger]) -> None:
    first = client_of(plc, triggers)
    plc.begin_part()
    first.publish(found(Verdict.OK), triggers[0])
    assert plc.becomes("enabled", "result_ready", "ok")
    first.close()
    assert plc.bits() == {"enabled", "result_ready", "ok"}
    second = client_of(plc, triggers)
    try:
        assert plc.becomes("enabled", "ready")
        assert decode(STATUS, plc.registers[STATUS_OFFSET:BLOCK_WORDS])["result_sequence"] == 0
    finally:
        second.close()


def test_a_client_that_is_closed_leaves_nothing_ready(plc: PlcServer, triggers: list[Trigger]) -> None:
    client = client_of(plc, triggers)
    plc.registers[0] = ENABLE
    assert plc.becomes("enabled", "ready")
    client.close()
    assert plc.bits() == {"enabled"}
    assert decode(STATUS, plc.registers[STATUS_OFFSET:BLOCK_WORDS])["camera_state"] == 2


@pytest.mark.parametrize("answer", [b"", b"\x00" * 300, b"GET / HTTP/1.0\r\n\r\n"])
def test_a_plc_that_answers_nonsense_is_asked_again(triggers: list[Trigger], answer: bytes) -> None:
    asked = []

    def talk_nonsense(listening: socket.socket) -> None:
        while len(asked) < 2:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(100))
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=talk_nonsense, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        client = ModbusClient(["top"], triggers.append, host="127.0.0.1", port=port, answer_timeout_s=0.1)
        try:
            assert eventually(lambda: len(asked) == 2)
            assert client.error
        finally:
            client.close()
            thread.join()


def test_a_plc_that_is_not_there_yet_is_waited_for(triggers: list[Trigger]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = ModbusClient(["top"], triggers.append, host="127.0.0.1", port=port, base_address=BASE)
    plc = None
    try:
        assert client.error
        plc = PlcServer.__new__(PlcServer)
        plc.registers, plc.port = [0] * BLOCK_WORDS, port
        plc.start()
        assert eventually(lambda: client.error is None)
    finally:
        client.close()
        if plc:
            plc.stop()


def test_a_plc_without_these_registers_is_named(triggers: list[Trigger]) -> None:
    plc = PlcServer(count=BLOCK_WORDS - 1)
    client = client_of(plc, triggers)
    try:
        assert eventually(lambda: client.error and "registers 1000 to 1045" in client.error)
    finally:
        client.close()
        plc.stop()


@pytest.mark.parametrize("base", [-1, 0xFFFF - BLOCK_WORDS + 2])
def test_blocks_that_do_not_fit_are_refused(base: int) -> None:
    with pytest.raises(InputError, match="registers"):
        ModbusClient(["top"], lambda _: None, host="127.0.0.1", base_address=base)
