"""`edgerd run --recipe` as a process of its own, which can be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rig.bundles import EDGERD
from rig.camera import LosableCamera
from rig.webhook import Received

Verdict = Mapping[str, Any]


@dataclass(frozen=True)
class Life:
    """One process of a line.

    Attributes:
        started_at: Unix seconds.
        ended_at: Unix seconds; of a killed one, just before the signal was sent.
        was_killed: Whether it was killed with SIGKILL.
    """

    started_at: float
    ended_at: float
    was_killed: bool


class LineProcess:
    """A line in a folder of its own, with its recipe, logs, outbox and audit trail.

    Args:
        folder: Made if it is not there.
        recipe: Text of the recipe.
        before: What to put before the command, such as `unshare` and its arguments.

    Attributes:
        lives: The processes that have ended.
    """

    def __init__(self, folder: Path, recipe: str, before: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lives: list[Life] = []
        self.recipe_file = folder / "edgerd.toml"
        self.recipe_file.write_text(recipe)
        self.verdict_file = folder / "verdicts.jsonl"
        self.log_file = folder / "edgerd.log"
        self.summary_file = folder / "summary.json"
        self._command = (*before, *EDGERD, "run", "--recipe", str(self.recipe_file), "--verdicts")
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there still."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> float:
        """Start a process, and return the Unix time of that; its first verdict comes a second or two later."""
        command = [*self._command, str(self.verdict_file), "--json", str(self.summary_file)]
        self._started_at = time.time()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        return self._started_at

    def wait_for_verdict(self, camera: str, after: float, timeout_s: float = 60) -> Verdict:
        """The first verdict about a frame of a camera that was captured after a Unix time.

        Raises:
            SystemExit: It does not come in time, or the process has ended.
        """
        deadline = time.monotonic() + timeout_s
        with self._verdicts_from(after) as file:
            while time.monotonic() < deadline:
                line = file.readline()
                if line.endswith(b"\n"):
                    verdict = _parsed(line)
                    if verdict and verdict["camera"] == camera and (verdict["captured_at"] or 0) > after:
                        return verdict
                    continue
                file.seek(-len(line), os.SEEK_CUR)
                if not self.is_running:
                    break
                time.sleep(0.005)
        raise SystemExit(f"no verdict of {camera} within {timeout_s:g} s; see {self.log_file}")

    def kill(self) -> Life:
        """End the process with SIGKILL, as the system does that has no memory left."""
        return self._end(signal.SIGKILL)

    def stop(self) -> Life:
        """End the process with SIGTERM, as a service manager does.

        Raises:
            SystemExit: It does not end as it should.
        """
        life = self._end(signal.SIGTERM)
        code = self._running().returncode
        if code:
            raise SystemExit(f"edgerd ended with {code}; see {self.log_file}")
        return life

    def close(self) -> None:
        """Leave no process behind, whatever happened."""
        if self.is_running:
            self._running().kill()
            self._running().wait(60)

    def verdicts(self) -> list[Verdict]:
        """All verdicts that were written; a line that a kill cut off is left out."""
        if not self.verdict_file.exists():
            return []
        return [found for line in self.verdict_file.read_bytes().split(b"\n") if (found := _parsed(line))]

    def events(self, name: str) -> list[Received]:
        """What a JSONL sink has written to a file in the folder, in that order."""
        lines = (self.folder / name).read_bytes().split(b"\n")
        return [Received(0.0, found) for line in lines if (found := _parsed(line))]

    def summaries(self) -> list[dict[str, Any]]:
        """What the process that was stopped last said of its cameras."""
        content = json.loads(self.summary_file.read_text())
        return content.get("cameras", [content])

    def verify(self) -> str:
        """Check audit trail and outbox with edgerd's own commands; what is wrong, or empty."""
        for arguments in (("audit", "edgerd-audit.jsonl"), ("outbox", "edgerd-outbox", "list")):
            ended = subprocess.run([*EDGERD, *arguments], cwd=self.folder, capture_output=True, text=True)
            if ended.returncode or "damaged" in self.log_file.read_text():
                return f"edgerd {' '.join(arguments)}: exit {ended.returncode}, {ended.stderr.strip()}"
        return ""

    def waiting(self) -> dict[str, int]:
        """By sink, how many events wait in the outbox."""
        file = self.folder / "waiting.json"
        command = [*EDGERD, "outbox", "edgerd-outbox", "list", "--json", str(file)]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return {sink["name"]: sink["waiting"] for sink in json.loads(file.read_text())["sinks"]}

    def _end(self, number: signal.Signals) -> Life:
        process = self._running()
        life = Life(self._started_at, time.time(), number is signal.SIGKILL)
        process.send_signal(number)
        process.wait(60)
        self.lives.append(life)
        return life

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SystemExit("edgerd was not started")
        return self._process

    @contextlib.contextmanager
    def _verdicts_from(self, after: float) -> Iterator[BinaryIO]:
        """The verdict file from about a Unix time on; what was written much earlier is skipped."""
        while not self.verdict_file.exists():
            if not self.is_running or time.time() - self._started_at > 60:
                raise SystemExit(f"edgerd has not begun; see {self.log_file}")
            time.sleep(0.005)
        with self.verdict_file.open("rb") as file:
            age_s = max(0.0, time.time() - after)
            file.seek(max(0, file.seek(0, os.SEEK_END) - int(200_000 * (age_s + 1))))
            yield file


def recipe_of(
    cameras: Mapping[str, LosableCamera], sinks: Sequence[str], camera_keys: str = "", tables: str = "", **policies: str
) -> str:
    """A recipe for cameras with the small bundle's engine on OpenVINO.

    Args:
        cameras: By name.
        sinks: Keys of each table `[[sink]]`.
        camera_keys: More keys of each camera.
        tables: More tables.
        policies: By a camera's name, its alert policy.
    """
    parts = [
        f'[[camera]]\nname = "{name}"\nuri = "{camera.uri}"\nbundle = "{camera.pool.bundle}"\n'
        f'threshold = {camera.pool.threshold!r}\nruntime = "openvino"\nthreads = 1\n'
        f'policy = "{policies.get(name, "part")}"\n{camera_keys}\n'
        for name, camera in cameras.items()
    ]
    return "\n".join([*parts, *(f"[[sink]]\n{sink}\n" for sink in sinks), tables])


def http_status(url: str) -> tuple[int, str]:
    """Status and body of an answer; 0 where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _parsed(line: bytes) -> Verdict | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
