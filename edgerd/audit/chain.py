"""The lines of an audit trail: how one is written, and whether those of a file hold together.

A line is a JSON object:

    n         counts the lines of a trail from 0, over all its files
    at        Unix seconds, UTC
    kind      see `Kind`
    who       the process, or the person, that did it
    what      one sentence
    details   more, as the kind has it; secrets are replaced by ***
    before    SHA-256 of the line before, its line end left out; 64 zeros in the first line of all
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias

from edgerd.errors import AuditError, InputError
from edgerd.paths import is_file, is_locked, why_missing

Kind: TypeAlias = Literal["begin", "torn", "lost", "start", "stop", "recipe", "change", "manual", "camera"]
"""begin: the first line of a file; it names the recipe and the file before. torn: the line before was not written to
its end. lost: entries that could not be written. start, stop: of a process. recipe: one was loaded. change: one key of
it was taken over. manual: a person did something. camera: one was lost, or is back."""

NO_HASH: Final = "0" * 64
"""The hash before the first line of all."""
_KEYS: Final = {"n", "at", "kind", "who", "what", "details", "before"}


@dataclass(frozen=True, slots=True)
class Chain:
    """What a file of an audit trail holds.

    Attributes:
        file: The file.
        n_lines: Its whole lines.
        last_n: The number of the last record; None where there is none.
        last_sha256: The hash of the last whole line; where there is none, `NO_HASH`.
        first_at: Unix seconds, UTC: when the first record was made; None where there is none.
        last_at: Unix seconds, UTC: when the last record was made; None where there is none.
        before: The hash that the first line holds: that of the last line of the file before.
        continues: The name of the file before; None where there is none, or its name is not known.
        torn: What stands behind the last whole line: the beginning of one that was not written to its end.
    """

    file: Path
    n_lines: int = 0
    last_n: int | None = None
    last_sha256: str = NO_HASH
    first_at: float | None = None
    last_at: float | None = None
    before: str = NO_HASH
    continues: str | None = None
    torn: bytes = b""


def hash_of(line: bytes) -> str:
    """The SHA-256 of a line without its end, 64 hex digits."""
    return hashlib.sha256(line).hexdigest()


def line_of(entry: Mapping[str, Any], n: int, before: str) -> bytes:
    """Write a record.

    Args:
        entry: The keys `at`, `kind`, `who`, `what` and `details`.
        n: Number of the record, from 0.
        before: Hash of the line before it.

    Returns:
        ASCII, without a line end.
    """
    return json.dumps({"n": n, **entry, "before": before}, allow_nan=False, separators=(",", ":")).encode()


def record_of(line: bytes) -> dict[str, Any] | None:
    """Read a record; None where the line is none, as one that was not written to its end."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or set(record) != _KEYS:
        return None
    has_types = (
        type(record["n"]) is int
        and isinstance(record["at"], (int, float))
        and all(isinstance(record[key], str) for key in ("kind", "who", "what", "before"))
        and isinstance(record["details"], dict)
    )
    return record if has_types else None


def verify(file: str | Path) -> tuple[Chain, ...]:
    """Check an audit trail, back over the files that lie beside it and that it continues.

    Args:
        file: The newest file of the trail.

    Returns:
        The files that hold together, the newest first. The last one may continue a file that is not there.

    Raises:
        AuditError: A line does not fit; the message names file and line.
        InputError: There is no such file, or it cannot be read.
    """
    chains = [verify_file(Path(file))]
    while (name := chains[-1].continues) is not None:
        before = chains[-1].file.parent / Path(name).name
        if not is_file(before) or before in [chain.file for chain in chains]:
            break
        older = verify_file(before)
        if older.last_sha256 != chains[-1].before:
            raise AuditError(
                f"{chains[-1].file}, line 1: it does not hold the hash of the last line of {before}.",
                expected=f"{older.last_sha256}, and not {chains[-1].before}",
                hint="Lines at the end of the older file were removed or changed, or the file is another one.",
            )
        chains.append(older)
    return tuple(chains)


def verify_file(file: Path) -> Chain:
    """Check that the lines of one file hold together.

    Raises:
        AuditError: A line does not fit; the message names it.
        InputError: There is no such file, or it cannot be read.
    """
    *lines, torn = _lines(file)
    reader = _Reader(file)
    for number, line in enumerate(lines, start=1):
        reader.take(number, line)
    return reader.chain(len(lines), torn)


class _Reader:
    """Takes the lines of a file in order and refuses the first one that does not fit."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._before = NO_HASH
        self._fragment: tuple[int, str] | None = None
        """Where lines are torn: the number of the first one, and the hash of the line before it."""

    def take(self, number: int, line: bytes) -> None:
        """Take a line.

        Raises:
            AuditError: It does not fit behind those before it.
        """
        record = record_of(line)
        if record is None:
            if self._first is None:
                self._refuse(number, "it is no record of an audit trail")
            self._fragment = self._fragment or (number, self._before)
        else:
            if self._first is None:
                self._check_first(number, record)
            else:
                self._check(number, record)
            self._first, self._last, self._fragment = self._first or record, record, None
        self._before = hash_of(line)

    def chain(self, n_lines: int, torn: bytes) -> Chain:
        """What the file holds.

        Raises:
            AuditError: Its last line is no record.
        """
        if self._fragment:
            self._refuse(self._fragment[0], "it is no record of an audit trail")
        if self._first is None:
            return Chain(self._file, torn=torn)
        return Chain(
            file=self._file,
            n_lines=n_lines,
            last_n=self._last["n"],
            last_sha256=self._before,
            first_at=self._first["at"],
            last_at=self._last["at"],
            before=self._first["before"],
            continues=self._first["details"].get("continues"),
            torn=torn,
        )

    def _check_first(self, number: int, record: Mapping[str, Any]) -> None:
        continues = record["details"].get("continues")
        if record["kind"] != "begin" or not (continues is None or isinstance(continues, str)):
            self._refuse(number, "a file of an audit trail begins with a record of the kind begin")

    def _check(self, number: int, record: Mapping[str, Any]) -> None:
        if self._fragment:
            is_closed = record["kind"] == "torn" and record["details"].get("last_whole") == self._fragment[1]
            if not is_closed:
                self._refuse(self._fragment[0], "it is no record, and the one behind it does not say that it was torn")
        elif record["kind"] in ("torn", "begin"):
            self._refuse(number, f"a record of the kind {record['kind']} does not belong here")
        if record["before"] != self._before:
            self._refuse(number, "it does not hold the hash of the line before")
        if record["n"] != self._last["n"] + 1:
            self._refuse(number, f"its number is {record['n']}, behind {self._last['n']}")

    def _refuse(self, number: int, why: str) -> NoReturn:
        raise AuditError(
            f"{self._file}, line {number}: {why}.",
            expected="the lines as they were written, each with the hash of the one before",
            hint="This line or the one before it was changed, or lines between them were removed or put in.",
        )


def _lines(file: Path) -> list[bytes]:
    """The lines of a file without their ends; the last one is what stands behind the last line end, mostly nothing."""
    if not is_file(file) and not is_locked(file):
        raise InputError(why_missing(file, "file"), expected="a file of an audit trail")
    try:
        return file.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
