"""The OPC UA server as a client sees it, over a real connection."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asyncua import Client, ua

from edgerd.errors import EdgerdError, InputError, MissingDependencyError
from edgerd.events import FrameVerdict
from edgerd.sinks.opcua import OpcUaServer
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Box, DefectRegion, Inspection, Verdict

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "opcua.md"
NAMESPACE = "urn:edgerd:vision"
ODD_NAMES = ("Heartbeat", "rtsp://10.0.0.3:554/live.sdp?profile=1", "Kamera ü")
TRIGGER = Trigger("top", "abc-1", 7, 0.0, 0.0)


def found(verdict: Verdict, score: float | None = 0.75, camera: str = "top") -> FrameVerdict:
    regions = (DefectRegion(Box(1, 2, 3, 4), 12, 0.75),) if verdict is Verdict.NG else ()
    return FrameVerdict(Inspection(verdict, score, 0.5, regions), camera, 3, "0", 1.0, 1_700_000_000.5, "bundle")


@pytest.fixture(scope="module")
def server() -> Iterator[OpcUaServer]:
    """One for all tests here, since a server takes two seconds to come up; each test says what it needs."""
    server = OpcUaServer(["top", "side", *ODD_NAMES], port=0, alive_timeout_s=60)
    server.alive()
    yield server
    server.close()


def as_client(server: OpcUaServer, use: Callable[[Client, int], object]) -> object:
    """What a coroutine finds that is given a connected client and the index of edgerd's namespace."""

    async def connect_and_use() -> object:
        async with Client(f"opc.tcp://127.0.0.1:{server.port}/edgerd") as client:
            return await use(client, await client.get_namespace_index(NAMESPACE))

    return asyncio.run(connect_and_use())


async def becomes(client: Client, index: int, path: str, value: object) -> bool:
    """Whether a variable has a value soon; of a text in a language the text counts."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        read = await client.get_node(ua.NodeId(f"edgerd.{path}", index)).read_value()
        if (read.Text if isinstance(read, ua.LocalizedText) else read) == value:
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("state", "vision", "automatic"),
    [
        (CameraState.STARTING, "Preoperational", ""),
        (CameraState.READY, "Operational", "Ready"),
        (CameraState.STOPPED, "Halted", ""),
        (CameraState.ERROR, "Error", ""),
    ],
)
def test_the_states_of_a_camera_have_the_names_of_opc_40100(server, state, vision, automatic) -> None:
    async def use(client: Client, index: int) -> None:
        server.set_state("side", state)
        assert await becomes(client, index, "Cameras.side.VisionStateMachine.CurrentState", vision)
        path = "Cameras.side.VisionStateMachine.AutomaticModeStateMachine.CurrentState"
        assert await becomes(client, index, path, automatic)

    as_client(server, use)


@pytest.mark.parametrize(
    ("verdict", "score", "result_state"),
    [(Verdict.OK, 0.25, 1), (Verdict.NG, 0.75, 1), (Verdict.NO_DECISION, float("nan"), 4)],
)
def test_a_trigger_leads_to_its_result(server, verdict, score, result_state) -> None:
    async def use(client: Client, index: int) -> dict[str, object]:
        server.set_state("top", CameraState.READY)
        server.begin(TRIGGER)
        path = "Cameras.top.VisionStateMachine.AutomaticModeStateMachine.CurrentState"
        assert await becomes(client, index, path, "SingleExecution")
        server.publish(found(verdict, score), TRIGGER)
        assert await becomes(client, index, path, "Ready")
        place = "edgerd.Cameras.top.ResultManagement.Results.Latest"
        names = ("ResultId", "IsPartial", "ResultState", "CreationTime", "JobId", "ProductId", "Verdict", "Score")
        nodes = [client.get_node(ua.NodeId(f"{place}.{name}", index)) for name in (*names, "ResultContent")]
        return dict(zip((*names, "ResultContent"), await client.read_values(nodes), strict=True))

    result = as_client(server, use)
    assert isinstance(result, dict)
    content = json.loads(result["ResultContent"])
    assert (result["Verdict"], result["ResultState"], result["IsPartial"]) == (verdict.value, result_state, False)
    assert (result["JobId"], result["ProductId"]) == ("abc-1", "7")
    assert result["CreationTime"].timestamp() == 1_700_000_000.5
    assert result["Score"] == (-1.0 if verdict is Verdict.NO_DECISION else score)
    assert content["verdict"] == verdict.value
    assert content["score"] == (None if verdict is Verdict.NO_DECISION else score)
    assert len(content["regions"]) == (verdict is Verdict.NG)
    assert result["ResultId"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_camera_may_have_any_name(server, name: str) -> None:
    async def use(client: Client, index: int) -> str:
        server.set_state(name, CameraState.STOPPED)
        assert await becomes(client, index, f"Cameras.{name}.VisionStateMachine.CurrentState", "Halted")
        return (await client.get_node(ua.NodeId(f"edgerd.Cameras.{name}", index)).read_browse_name()).Name

    assert as_client(server, use) == name


def test_a_camera_without_triggers_is_in_continuous_execution(server) -> None:
    async def use(client: Client, index: int) -> None:
        server.set_state("side", CameraState.READY)
        server.publish(found(Verdict.OK, camera="side"), None)
        path = "Cameras.side.VisionStateMachine.AutomaticModeStateMachine.CurrentState"
        assert await becomes(client, index, path, "ContinuousExecution")

    as_client(server, use)


def test_every_result_is_an_event_of_its_camera(server) -> None:
    events: queue.Queue[object] = queue.Queue()

    class Handler:
        def event_notification(self, event: object) -> None:
            events.put(event)

    async def use(client: Client, index: int) -> list[object]:
        subscription = await client.create_subscription(10, Handler())
        top = client.get_node(ua.NodeId("edgerd.Cameras.top", index))
        (kind,) = [
            node
            for node in await client.nodes.base_event_type.get_children()
            if (await node.read_browse_name()).Name == "ResultReadyEventType"
        ]
        await subscription.subscribe_events(top, kind)
        server.publish(found(Verdict.OK, camera="side"), None)
        for score in range(20):
            server.publish(found(Verdict.NG, score / 10), TRIGGER)
        return [await asyncio.to_thread(events.get, True, 10) for _ in range(20)]

    received = as_client(server, use)
    assert isinstance(received, list)
    assert [event.Score for event in received] == [score / 10 for score in range(20)]
    assert len({event.ResultId for event in received}) == 20
    assert {(event.Verdict, event.JobId, event.ResultState) for event in received} == {("NG", "abc-1", 1)}
    assert json.loads(received[0].ResultContent)["verdict"] == "NG"
    assert events.empty()


def test_a_client_can_write_nothing_and_make_no_nodes(server) -> None:
    async def use(client: Client, index: int) -> None:
        node = client.get_node(ua.NodeId("edgerd.Cameras.top.ResultManagement.Results.Latest.Verdict", index))
        with pytest.raises(ua.UaStatusCodeError):
            await node.write_value("OK")
        with pytest.raises(ua.UaStatusCodeError):
            await client.nodes.objects.add_object(index, "mine")

    as_client(server, use)


def test_nobody_becomes_administrator_by_calling_himself_so(server) -> None:
    async def connect() -> None:
        client = Client(f"opc.tcp://127.0.0.1:{server.port}/edgerd")
        client.set_user("admin")
        async with client:
            await client.nodes.objects.add_object(2, "mine")

    with pytest.raises(ua.UaError):
        asyncio.run(connect())


def test_cameras_that_it_does_not_know_are_ignored(server) -> None:
    server.publish(found(Verdict.OK, camera="another"), None)
    server.set_state("another", CameraState.READY)
    server.begin(Trigger("another", "1", None, 0.0, 0.0))
    assert server.dropped == 0


def test_a_line_that_is_silent_is_in_error_and_its_heartbeat_stands_still() -> None:
    server = OpcUaServer(["top"], port=0, alive_timeout_s=0.5)
    try:

        async def use(client: Client, index: int) -> None:
            server.set_state("top", CameraState.READY)
            assert await becomes(client, index, "Cameras.top.VisionStateMachine.CurrentState", "Error")
            server.alive()
            assert await becomes(client, index, "Heartbeat", 1)
            assert await becomes(client, index, "Cameras.top.VisionStateMachine.CurrentState", "Error")
            heartbeat = client.get_node(ua.NodeId("edgerd.Heartbeat", index))
            assert await heartbeat.read_value() == 1
            assert await becomes(client, index, "HeartbeatTimeout", 500)

        as_client(server, use)
    finally:
        server.close()
        server.close()
    server.publish(found(Verdict.OK), None)
    server.alive()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EdgerdError, match="Listening at"):
        OpcUaServer(["top"], port=taken.getsockname()[1])


@pytest.mark.parametrize("cameras", [[], ["top", "top"], [""]])
def test_cameras_without_names_of_their_own_are_refused(cameras: list[str]) -> None:
    with pytest.raises(InputError, match="cameras"):
        OpcUaServer(cameras, port=0)


def test_without_asyncua_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncua", None)
    with pytest.raises(MissingDependencyError, match=r"edgerd\[opcua\]"):
        OpcUaServer(["top"], port=0)
