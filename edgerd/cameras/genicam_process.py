"""The process that reads an industrial camera (`edgerd.cameras.genicam_helper`), seen from here."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from edgerd.cameras import genicam_helper
from edgerd.cameras.genicam_helper import HEADER
from edgerd.errors import MissingDependencyError

_POLL_S = 0.1
_STOP_S = 3.0
"""For the helper to give the camera back; one that is killed keeps it taken until the camera misses its heartbeat."""
_LOOK_TIMEOUT_S = 20.0
_LOOK = "import gi; gi.require_version('Aravis', '0.8'); from gi.repository import Aravis"
_SYSTEM_PROGRAMS = os.pathsep.join(["/usr/bin", "/usr/local/bin", "/bin"])


@dataclass(frozen=True)
class Record:
    """What stands before a payload; see `genicam_helper.HEADER`.

    Attributes:
        kind: One of the kinds of `genicam_helper`.
        n_bytes: Size of the payload, which has not been read yet.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.
        camera_at: When it was captured, by the camera's clock, which may count from any time; seconds.
        system_at: When its first bytes came, by this machine's clock; Unix seconds.
    """

    kind: bytes
    n_bytes: int
    height: int
    width: int
    camera_at: float
    system_at: float


@dataclass(frozen=True)
class Place:
    """Where a camera was found when it was open the last time.

    Attributes:
        address: Its IP address.
        serial: Its serial number: another camera that has got the address since is not taken for it.
        is_sure: Whether it is looked for nowhere else where nothing answers there.
    """

    address: str
    serial: str
    is_sure: bool = True


class HelperProcess:
    """A running helper. One thread reads it; `trigger` and `end` may come from any thread.

    Args:
        name: Serial number, id or address of the camera.
        options: As `genicam_helper` takes them.
        pixel_formats: Those that can be read.
        place: Where it was, which is tried first; None where that is not known.
        patience_s: How long a camera that does not answer at its address is waited for.

    Raises:
        MissingDependencyError: There is no Python that could run it.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, object],
        pixel_formats: Sequence[str],
        place: Place | None = None,
        patience_s: float = 0.0,
    ) -> None:
        request = {
            "name": name,
            "options": dict(options),
            "pixel_formats": list(pixel_formats),
            "place": place and asdict(place),
            "patience_s": patience_s,
        }
        # -I: neither this environment's packages nor the files beside the helper are for another Python.
        command = [_python(), "-I", genicam_helper.__file__, json.dumps(request)]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 -- asked for
        self._commands, self._records = self._process.stdin, self._process.stdout
        self._ended = threading.Event()

    def next_record(self, timeout_s: float) -> Record | None:
        """The next record; None where the helper or `end` has ended them.

        Raises:
            TimeoutError: Nothing came.
        """
        head = bytearray(HEADER.size)
        return Record(*HEADER.unpack(head)) if self.fill(memoryview(head), timeout_s) else None

    def fill(self, left: memoryview, timeout_s: float) -> bool:
        """Read so many bytes of a payload; False where the helper or `end` has ended them.

        Raises:
            TimeoutError: They did not come.
        """
        n_polls = 0
        while left and not self._ended.is_set():
            if not select.select([self._records], [], [], _POLL_S)[0]:
                n_polls += 1
                if n_polls * _POLL_S >= timeout_s:
                    raise TimeoutError
                continue
            n_polls = 0
            n = os.readv(self._records.fileno(), [left])
            if n == 0:
                return False
            left = left[n:]
        return not left

    def trigger(self) -> None:
        """Have the camera take a picture; a helper that has ended leaves an error to be read instead."""
        with contextlib.suppress(OSError, ValueError):
            self._commands.write(b"trigger\n")

    def end(self) -> None:
        """Have the helper give the camera back, without waiting for it; safe to call twice, and from any thread."""
        if not self._ended.is_set():
            self._ended.set()
            with contextlib.suppress(OSError):
                self._commands.close()
            threading.Thread(target=self._reap, name=f"genicam {self._process.pid}", daemon=True).start()

    def release(self) -> None:
        """Close what the records come through; not while they are read."""
        self._records.close()

    def _reap(self) -> None:
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def python_with_aravis() -> str:
    """The Python by which industrial cameras are read here, after a look whether it has Aravis.

    Raises:
        MissingDependencyError: There is no such Python, or it has no Aravis.
    """
    program = _python()
    try:
        subprocess.run(  # noqa: S603
            [program, "-I", "-W", "ignore", "-c", _LOOK], check=True, capture_output=True, timeout=_LOOK_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingDependencyError(
            f"Aravis is not installed for {program}.",
            expected="Aravis 0.8 and its GObject introspection",
            hint="sudo apt-get install python3-gi gir1.2-aravis-0.8",
        ) from error
    return program


def _python() -> str:
    """A Python that may have Aravis: this one where it has GObject introspection, else the system's."""
    if importlib.util.find_spec("gi") is not None:
        return sys.executable
    program = shutil.which("python3", path=_SYSTEM_PROGRAMS)
    if program is None:
        raise MissingDependencyError(
            "There is no Python of the system, which reads industrial cameras.",
            expected="python3 in /usr/bin",
            hint="sudo apt-get install python3 python3-gi gir1.2-aravis-0.8",
        )
    return program
