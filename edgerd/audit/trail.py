"""The audit trail as a line uses it: entries are handed over and written by a thread of their own."""

from __future__ import annotations

import getpass
import math
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edgerd import __version__
from edgerd.audit.chain import Kind
from edgerd.audit.file import MAX_BYTES, AuditFile
from edgerd.errors import EdgerdError
from edgerd.redaction import HIDDEN, is_secret_name, without_secrets

_RETRY_S: Final = 1.0
_MAX_WAITING: Final = 10_000
_MAX_BITS: Final = 1024


class AuditTrail:
    """Writes down what happens to a line.

        with AuditTrail(recipe.audit.path, loaded.sha256) as trail:
            trail.record("start", "The line was started.")
            trail.record("manual", "The alert was cleared by hand.", who="anna over HTTP", camera="left")

    `record` neither waits nor fails: a thread writes. What cannot be written is tried again each second; `failure` says
    so. Of more than 10,000 entries that wait, the newest are counted instead, and a record says how many there were.

    Args:
        path: The file.
        recipe_sha256: Hash of the recipe that the line begins with.
        max_bytes: From this size on a new file is begun.

    Attributes:
        recipe_sha256: Hash of the recipe that is in use, which the first line of each file names. Set it when another
            recipe is taken over.
        failure: Why entries wait, one sentence; None where none does.

    Raises:
        InputError: Another process writes to the file.
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path, recipe_sha256: str, max_bytes: int = MAX_BYTES) -> None:
        self.failure: str | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._n_lost = 0
        self._news = threading.Condition()
        self._is_closed = False
        self._give_up_s = math.inf
        self._who = this_process()
        self.recipe_sha256 = recipe_sha256
        self._file = AuditFile(path, self._begin, self._torn, max_bytes)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record(self, kind: Kind, what: str, *, who: str | None = None, **details: Any) -> None:
        """Hand over an entry.

        Args:
            kind: What happened, in one word.
            what: What happened, one sentence.
            who: Who did it; None for this process.
            details: More, in JSON's types. Values whose keys are those of secrets, and secrets in addresses, are
                replaced by ***.
        """
        entry = self._entry(kind, what, who, details)
        with self._news:
            if len(self._waiting) < _MAX_WAITING:
                self._waiting.append(entry)
            else:
                self._n_lost += 1
            self._news.notify()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, and let go of the file; safe to call twice.

        Args:
            timeout_s: How long a disk that cannot be written is waited for.

        Returns:
            Whether everything was written.
        """
        with self._news:
            self._is_closed = True
            self._give_up_s = time.monotonic() + timeout_s
            self._news.notify()
        self._thread.join(timeout_s + _RETRY_S)
        return not self._thread.is_alive() and not self._waiting and not self._n_lost

    def __enter__(self) -> AuditTrail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> dict[str, Any]:
        return self._entry("begin", "A file of the audit trail begins.", None, {"recipe": self.recipe_sha256})

    def _torn(self) -> dict[str, Any]:
        return self._entry("torn", "The line before was not written to its end.", None, {})

    def _entry(self, kind: Kind, what: str, who: str | None, details: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "at": round(time.time(), 3),
            "kind": kind,
            "who": without_secrets(who) if who else self._who,
            "what": without_secrets(what),
            "details": _shown(details),
        }

    def _run(self) -> None:
        try:
            while entry := self._next():
                if self._is_written(entry):
                    self._done(entry)
                elif time.monotonic() >= self._give_up_s:
                    return
                else:
                    self._pause()
        finally:
            self._file.close()

    def _next(self) -> dict[str, Any] | None:
        """The entry to write, which stays in its place until it is written; None once closed, with none left."""
        with self._news:
            while not (self._waiting or self._n_lost or self._is_closed):
                self._news.wait()
            if self._waiting:
                return self._waiting[0]
            if self._n_lost:
                what = "Entries of the audit trail could not be written and are lost."
                return self._entry("lost", what, None, {"n": self._n_lost})
            return None

    def _is_written(self, entry: Mapping[str, Any]) -> bool:
        try:
            self._file.append(entry)
        except EdgerdError as error:
            self.failure = error.what
            return False
        self.failure = None
        return True

    def _done(self, entry: Mapping[str, Any]) -> None:
        with self._news:
            if entry["kind"] == "lost":
                self._n_lost -= entry["details"]["n"]
            else:
                self._waiting.popleft()

    def _pause(self) -> None:
        """Let some time go by before the next try."""
        end_s = time.monotonic() + _RETRY_S
        with self._news:
            while (left_s := min(end_s, self._give_up_s) - time.monotonic()) > 0:
                self._news.wait(left_s)


def this_process() -> str:
    """Who writes where nobody is named: version, process, machine and user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container that runs as a number
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "an unknown user"
    return f"edgerd {__version__}, process {os.getpid()} on {platform.node()}, {user}"


def _shown(value: Any, key: str = "") -> Any:
    """A value as it may be stored, in JSON's types."""
    if key and is_secret_name(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(name): _shown(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return hex(value)  # Python refuses to write out the largest numbers in decimal
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN and no infinity
    return without_secrets(str(value))
