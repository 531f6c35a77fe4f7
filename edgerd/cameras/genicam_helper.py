"""Reads an industrial camera through Aravis: a program of its own, which needs no more than Python and python3-gi.

`edgerd.cameras.genicam` starts it with a Python that has Aravis, as a rule the system's, in which edgerd and NumPy are
not installed. So nothing of edgerd is imported here, and Python 3.8 is enough.

    python3 -I genicam_helper.py '{"name": "SERIAL", "options": {"exposure_us": 500}, "pixel_formats": ["Mono8"],
        "place": null, "patience_s": 0}'

It writes records to stdout, each a `HEADER` and its payload, and takes the line `trigger` from stdin. It ends with
stdin, so that no camera stays taken by a program whose parent has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

HEADER = struct.Struct("<cIIIdd")
"""Kind, bytes of the payload, and of a frame: height, width, the camera's and this machine's time in seconds."""
OPENED = b"O"
"""Payload: JSON with `pixel_format`, and with `address` and `serial`, which are empty where the camera was named by its
address or has none. The frames come next."""
FRAME = b"F"
"""Payload: the frame's bytes."""
DAMAGED = b"D"
"""Payload: why a frame is not whole, as text."""
ALIVE = b"A"
"""The camera answers; comes at least once in `ALIVE_INTERVAL_S`, where nothing else does."""
ERROR = b"E"
"""Payload: JSON with `what`, `expected`, `hint` and `is_missing` (something is not installed). The last record."""

_ROUND_S = 0.05
"""So long the helper waits for a frame before it looks at anything else."""
_ROUNDS_TO_ALIVE = 10
_ROUNDS_TO_DOUBT = 4
"""A camera that gave no frame for so many rounds is asked in each of the next ones whether it was away."""
ALIVE_INTERVAL_S = _ROUNDS_TO_ALIVE * _ROUND_S
_GRACE_S = 2.0
_N_BUFFERS = 8
_TOLERANCE = 0.05
"""A camera rounds what it is asked for, to the time of a line or a step of its amplifier."""
_REALS = {"exposure_us": "exposure_time", "gain": "gain", "fps": "frame_rate"}
"""Option to what Aravis's `get_..`, `set_..` and `get_.._bounds` call it."""
_AUTOMATIC = {
    "exposure_us": ("is_exposure_auto_available", "set_exposure_time_auto"),
    "gain": ("is_gain_auto_available", "set_gain_auto"),
}
"""Option to what asks for its automatic, and what sets that."""
_INTEGERS = {"width": "Width", "height": "Height", "offset_x": "OffsetX", "offset_y": "OffsetY"}
"""Option to the camera's node."""
_BITS_PER_BYTE = 8
_KNOCK = bytes((0x42, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01))
"""GigE Vision's discovery command, which every camera answers, whoever has it under control."""
_GVCP_PORT = 3956
_KNOCK_EVERY_S = 0.05
_QUESTION = struct.Struct(">BBHHHI")
"""GigE Vision's command to read a register: key, flags, command, bytes that follow, its number, the register."""
_ANSWER = struct.Struct(">HHHHI")
"""Its answer: status, command, bytes that follow, the question's number, what is in the register."""
_READ, _HAS_READ, _DONE = 0x0080, 0x0081, 0
_CONTROL_REGISTER, _CONTROLLED = 0x0A00, 0b11
"""The control channel privilege, and its bits of which one is set while anybody controls the camera."""
_N_ASKED = 20
"""Answers are taken that come until so many more questions were asked: a second late."""
_MAX_NUMBER = 0xFFFF
"""Questions are numbered from 1 to this, over and over."""
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
"""What a name looks like that is an IP address."""


class _RefusalError(Exception):
    """Why the camera cannot be used, in the three parts of an error of edgerd."""

    def __init__(self, what: str, expected: str = "", hint: str = "", *, is_missing: bool = False) -> None:
        super().__init__(what)
        hint = hint or "Check its power, its cable or network, and whether another program took it."
        self.record = {"what": what, "expected": expected, "hint": hint, "is_missing": is_missing}


class _LossError(_RefusalError):
    """The camera was lost, and there is nothing to give back to it."""


class _OptionError(_RefusalError):
    """An option that the camera does not take, and what it takes instead."""

    def __init__(self, what: str, takes: str) -> None:
        super().__init__(what, takes, "Change the option behind the ? of its URI, or leave it out.")


class _Output:
    """Writes records to stdout, which more than one thread does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def send(self, kind: bytes, payload: bytes = b"", place: tuple[int, int, float, float] = (0, 0, 0.0, 0.0)) -> None:
        with self._lock:
            for left in (HEADER.pack(kind, len(payload), *place), payload):
                view = memoryview(left)
                while view:
                    view = view[os.write(1, view) :]


def main() -> None:
    """Open the camera, say so, and send its frames until stdin ends."""
    request = json.loads(sys.argv[1])
    output = _Output()
    with contextlib.suppress(BrokenPipeError):  # nobody reads any more
        try:
            aravis, error_type = _libraries()
            try:
                _run(aravis, Finder(aravis, error_type, request["patience_s"]), request, output)
            except error_type as error:  # of GLib: Aravis lost the camera, or it refuses
                raise _RefusalError(f"the camera does not do what it is asked: {error.message}") from error
        except _LossError as loss:
            output.send(ERROR, json.dumps(loss.record).encode())
            os._exit(0)  # before Aravis closes the camera, which takes it seconds when nobody answers
        except _RefusalError as refusal:
            output.send(ERROR, json.dumps(refusal.record).encode())
    # Not through the interpreter's end, where a thread that waits for stdin is in the way.
    os._exit(0)


def _libraries() -> tuple[Any, Any]:
    """Aravis, and the class of its errors."""
    try:
        import gi

        gi.require_version("Aravis", "0.8")
        from gi.repository import Aravis, GLib
    except (ImportError, ValueError) as error:
        raise _RefusalError(
            f"Aravis, which reads industrial cameras, is not there: {error}",
            "Aravis 0.8 and its GObject introspection, for " + sys.executable,
            "sudo apt-get install python3-gi gir1.2-aravis-0.8",
            is_missing=True,
        ) from error
    return Aravis, GLib.Error


def _run(aravis: Any, finder: Finder, request: dict[str, Any], output: _Output) -> None:
    ended, lost = threading.Event(), threading.Event()
    camera = finder.camera(request["name"], request["place"])
    camera.get_device().connect("control-lost", lambda _: lost.set())
    pixel_format = _configure(aravis, camera, request)
    stream = camera.create_stream(None, None)
    if stream is None:
        raise _RefusalError("the camera gives no stream", "a camera that no other program has taken")
    for _ in range(_N_BUFFERS):
        stream.push_buffer(aravis.Buffer.new_allocate(camera.get_payload()))
    camera.start_acquisition()
    output.send(OPENED, json.dumps({"pixel_format": pixel_format, **finder.found}).encode())
    threading.Thread(target=_obey, args=(camera, ended, output), daemon=True).start()
    try:
        _send_frames(aravis, stream, _control_of(camera), output, ended, lost)
    finally:
        # So that the camera may be taken again at once, and not only when it misses our heartbeat.
        if not lost.is_set():
            camera.stop_acquisition()
            del stream
            # Aravis would leave it when it frees the camera, which `_obey` still holds.
            if camera.is_gv_device():
                camera.get_device().leave_control()


def _send_frames(
    aravis: Any, stream: Any, control: Control | None, output: _Output, ended: threading.Event, lost: threading.Event
) -> None:
    """Send what comes until that is ended, or raise that the camera was lost."""
    n_rounds = 0  # without a frame
    while not ended.is_set():
        if lost.is_set():
            raise _LossError("the camera no longer answers", "an answer to its heartbeat")
        buffer = stream.timeout_pop_buffer(int(_ROUND_S * 1e6))
        if buffer is not None:
            n_rounds = 0
            _send(aravis, buffer, output)
            stream.push_buffer(buffer)
            continue
        n_rounds += 1
        if n_rounds % _ROUNDS_TO_ALIVE == 0:
            output.send(ALIVE)
        if n_rounds >= _ROUNDS_TO_DOUBT and control is not None and control.is_forgotten():
            lost.set()  # so that it is not told to stop either
            raise _LossError(
                "the camera was away: it knows of no controller any more", "a camera that stays switched on"
            )


def _obey(camera: Any, ended: threading.Event, output: _Output) -> None:
    """Do what comes through stdin, to its end."""
    for line in sys.stdin:
        if line.strip() == "trigger":
            try:
                camera.software_trigger()
            except Exception as error:  # noqa: BLE001 -- GLib's, whose class only `_libraries` knows
                output.send(ERROR, json.dumps(_RefusalError(f"its trigger does not work: {error}").record).encode())
                os._exit(1)
    ended.set()
    time.sleep(_GRACE_S)
    os._exit(1)  # the camera does not let go


class Finder:
    """Finds a camera.

    Args:
        aravis: The library.
        error_type: What it raises.
        patience_s: How long a camera that does not answer at its address is waited for; at 0 Aravis asks it alone.

    Attributes:
        found: `address` and `serial` of the camera, so that it can be found faster the next time; both empty where that
            is of no use, because an address named it or because it has none.
    """

    def __init__(self, aravis: Any, error_type: Any, patience_s: float = 0.0) -> None:
        self._patience_s = patience_s
        self.found = {"address": "", "serial": ""}
        self._aravis = aravis
        self._error_type = error_type

    def camera(self, name: str, place: dict[str, Any] | None) -> Any:
        """The camera that a serial number, Aravis's id, a hardware address or an IP address names.

        An IP address is asked at once. For the others Aravis is asked what there is in the network and at the bus,
        which takes a second; it would open a camera by its id sooner, but through whichever network answers first.

        Args:
            name: As in the URI.
            place: Where it was the last time: its `address` and `serial`, and `is_sure` where it is not to be looked
                for elsewhere if nothing answers there. None where that is not known.
        """
        if place:
            camera = self._camera_at_its_place(place)
            if camera is not None:
                return camera
        if _ADDRESS.fullmatch(name):
            return self._camera_at(name)
        return self._aravis.Camera.new(self._listed(name))

    def _camera_at_its_place(self, place: dict[str, Any]) -> Any | None:
        """The camera where it was; None where it is to be looked for elsewhere."""
        try:
            camera = self._camera_at(place["address"])
        except _RefusalError:
            if place["is_sure"]:
                raise
            return None
        if camera.get_device_serial_number() != place["serial"]:
            return None
        self.found = {"address": place["address"], "serial": place["serial"]}
        return camera

    def _camera_at(self, address: str) -> Any:
        if self._patience_s and not wait_for_answer(address, self._patience_s):
            raise _RefusalError("it does not answer", "a camera at this address")
        try:
            return self._aravis.Camera.new(address)
        except self._error_type as error:
            raise _RefusalError(f"it does not answer: {error.message}", "a camera at this address") from error

    def _listed(self, name: str) -> str:
        """Aravis's id of the camera that a name stands for; that of the only camera where it is empty."""
        aravis = self._aravis
        aravis.update_device_list()
        names = {}
        for index in range(aravis.get_n_devices()):
            parts = ("id", "serial_nbr", "physical_id", "address")
            names[aravis.get_device_id(index)] = [getattr(aravis, f"get_device_{part}")(index) for part in parts]
        found = [device for device, its_names in names.items() if name in its_names or not name]
        if len(found) == 1:
            _, serial, _, address = names[found[0]]
            if address and _ADDRESS.fullmatch(address):
                self.found = {"address": address, "serial": serial}
            return str(found[0])
        there = ", ".join(f"{serial} ({device})" for device, (_, serial, _, _) in sorted(names.items()))
        none = f"there is no camera {name!r}" if name else "there is no camera"
        raise _RefusalError(
            none if not found else f"there are {len(found)} cameras",
            f"one of {there}" if there else "a camera that is switched on, in this network or at this bus",
            "For example: --camera 'genicam://SERIAL'. arv-camera-test-0.8 tries one by hand.",
        )


def wait_for_answer(address: str, timeout_s: float, port: int = _GVCP_PORT) -> bool:
    """Wait until a GigE Vision camera answers, which is known sooner than from Aravis, who asks twice a second.

    Args:
        address: Its IP address.
        timeout_s: How long to wait.
        port: UDP port that it listens at.

    Returns:
        Whether it has answered.
    """
    end_s = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocking:
        knocking.settimeout(_KNOCK_EVERY_S)
        while time.monotonic() < end_s:
            if _answers(knocking, address, port):
                return True
    return False


def _answers(knocking: socket.socket, address: str, port: int) -> bool:
    """Whether a camera answers at once; returns after `_KNOCK_EVERY_S` where none does."""
    try:
        knocking.sendto(_KNOCK, (address, port))
        knocking.recvfrom(1024)
    except socket.timeout:  # noqa: UP041  Python 3.8 has no other name for it
        return False
    except OSError:  # there is no way to it
        time.sleep(_KNOCK_EVERY_S)
        return False
    return True


class Control:
    """Whether a GigE Vision camera has forgotten that it is controlled, as one has that was switched off and on.

    Aravis's heartbeat reads the same register, but once a second, and waits half a second for an answer before it asks
    again. Only an answer counts: that none comes says nothing, for the camera, the network or this machine may be slow.

    Args:
        asking: A socket for UDP that nobody else uses.
        camera: IP address and UDP port of a camera that Aravis controls; it answers others, too.
    """

    def __init__(self, asking: socket.socket, camera: tuple[str, int]) -> None:
        asking.setblocking(False)
        self._asking = asking
        self._camera = camera
        self._number = 0
        self._asked: deque[int] = deque(maxlen=_N_ASKED)

    def is_forgotten(self) -> bool:
        """Whether the camera has said since the last call that nobody controls it; asks it once more.

        It waits for nothing, so that no frame is late by it.
        """
        is_forgotten = any(_says_uncontrolled(answer, self._asked) for answer in self._answers())
        # Each question has another number: a camera may answer one that it has had before as it did then.
        self._number = self._number % _MAX_NUMBER + 1
        self._asked.append(self._number)
        question = _QUESTION.pack(0x42, 1, _READ, 4, self._number, _CONTROL_REGISTER)
        with contextlib.suppress(OSError):  # there is no way to it now
            self._asking.sendto(question, self._camera)
        return is_forgotten

    def _answers(self) -> list[bytes]:
        """What the camera has sent."""
        answers = []
        with contextlib.suppress(OSError):  # nothing more is there
            while True:
                answer, sender = self._asking.recvfrom(1024)
                if sender == self._camera:
                    answers.append(answer)
        return answers


def _says_uncontrolled(answer: bytes, asked: Collection[int]) -> bool:
    """Whether these bytes are the answer to one of these questions, and say that nobody controls the camera."""
    if len(answer) != _ANSWER.size:
        return False
    status, command, n_bytes, number, privilege = _ANSWER.unpack(answer)
    is_answer = (status, command, n_bytes) == (_DONE, _HAS_READ, 4) and number in asked
    return is_answer and not privilege & _CONTROLLED


def _control_of(camera: Any) -> Control | None:
    """What tells whether this camera has forgotten us; None where it is not one of GigE Vision."""
    if not camera.is_gv_device():
        return None
    address = camera.get_device().get_device_address().get_address().to_string()
    return Control(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (address, _GVCP_PORT))


def _configure(aravis: Any, camera: Any, request: dict[str, Any]) -> str:
    """Set the options, and return the pixel format that the camera gives then."""
    options = request["options"]
    camera.set_acquisition_mode(aravis.AcquisitionMode.CONTINUOUS)
    pixel_format = _set_pixel_format(camera, options.get("pixel_format"), request["pixel_formats"])
    for option, node in _INTEGERS.items():
        if option in options:
            _set_integer(camera, option, node, options[option])
    for option, name in _REALS.items():
        if option in options:
            if option in _AUTOMATIC:
                has_one, set_it = _AUTOMATIC[option]
                if getattr(camera, has_one)():
                    getattr(camera, set_it)(aravis.Auto.OFF)
            _set_real(camera, option, name, options[option])
    _set_trigger(camera, options.get("trigger"))
    return pixel_format


def _set_pixel_format(camera: Any, asked: str | None, readable: list[str]) -> str:
    """Set the pixel format, or check the one that the camera has."""
    available = camera.dup_available_pixel_formats_as_strings()
    wanted = asked or camera.get_pixel_format_as_string()
    if wanted not in available or wanted not in readable:
        both = [name for name in available if name in readable]
        why = "edgerd does not read" if wanted in available else "the camera does not have"
        raise _OptionError(
            f"pixel_format={wanted} is one that {why}",
            f"one of {', '.join(both)}" if both else f"a camera that has one of {', '.join(readable)}",
        )
    camera.set_pixel_format_from_string(wanted)
    return wanted


def _set_integer(camera: Any, option: str, node: str, value: int) -> None:
    low, high = camera.get_integer_bounds(node)
    step = max(1, camera.get_integer_increment(node))
    if not low <= value <= high or (value - low) % step:
        steps = f" in steps of {step}" if step > 1 else ""
        raise _OptionError(f"the camera does not take {option}={value}", f"{low} to {high}{steps}")
    camera.set_integer(node, value)


def _set_real(camera: Any, option: str, name: str, value: float) -> None:
    low, high = getattr(camera, f"get_{name}_bounds")()
    if not low <= value <= high:
        raise _OptionError(f"the camera does not take {option}={value:g}", f"{low:g} to {high:g}")
    getattr(camera, f"set_{name}")(value)
    given = getattr(camera, f"get_{name}")()
    if abs(given - value) > _TOLERANCE * abs(value):
        raise _OptionError(f"the camera does not take {option}={value:g}", f"what it gives instead: {given:g}")


def _set_trigger(camera: Any, asked: str | None) -> None:
    """Have the camera wait for a trigger, or run freely: it remembers what an earlier program has set."""
    camera.clear_triggers()
    if asked is None:
        return
    sources = camera.dup_available_trigger_sources()
    source = next((source for source in sources if source.lower() == asked.lower()), None)
    if source is None:
        raise _OptionError(f"the camera has no trigger={asked}", f"one of {', '.join(sources)}")
    camera.set_trigger(source)


def _send(aravis: Any, buffer: Any, output: _Output) -> None:
    status = buffer.get_status()
    if status != aravis.BufferStatus.SUCCESS:
        output.send(DAMAGED, f"it arrived incomplete ({status.value_nick})".encode(), _place(buffer, 0, 0))
        return
    height, width = buffer.get_image_height(), buffer.get_image_width()
    data = buffer.get_image_data()
    padding, _ = buffer.get_image_padding()
    if padding and height:
        row = width * (buffer.get_image_pixel_format() >> 16 & 0xFF) // _BITS_PER_BYTE  # GenICam: bits per pixel
        data = b"".join(data[i * (row + padding) :][:row] for i in range(height))
    output.send(FRAME, data, _place(buffer, height, width))


def _place(buffer: Any, height: int, width: int) -> tuple[int, int, float, float]:
    return height, width, buffer.get_timestamp() / 1e9, buffer.get_system_timestamp() / 1e9


if __name__ == "__main__":
    main()
