"""Which blocks to leave in high precision: the fastest assignment that the gate would let through.

Each block's worth is measured alone; then blocks are added by what they take off the error for the time they cost,
until the gate is content, and what turns out not to be needed is taken back. Errors of blocks are nearly independent,
so that their squares add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgerd.building.sensitivity import Measured
from edgerd.bundle.manifest import Record
from edgerd.storage import IN_PLACE, replaced_file, storage_errors

Measure = Callable[[tuple[str, ...]], Measured]
NOISE = 0.03
"""Relative time within which two engines are as fast."""
_LEAST_COST = 0.002


@dataclass(frozen=True)
class Found:
    """What a search measured, and what it chose.

    Attributes:
        all_int8: Without any block in high precision.
        alone: With one block, by its name, in the graph's order.
        combined: With several, in the order they were tried.
        chosen: The fastest that passed; None if none did.
    """

    all_int8: Measured
    alone: dict[str, Measured]
    combined: tuple[Measured, ...]
    chosen: Measured | None


def search(measure: Measure, blocks: Sequence[str]) -> Found:
    """Find the fastest assignment that passes.

    Where all-INT8 passes nothing is chosen that is slower than it. At most three measurements per block are made.

    Args:
        measure: Blocks in high precision, sorted -> what the engine is worth; asked once for each assignment.
        blocks: In the graph's order.
    """
    all_int8 = measure(())
    alone = {block: measure((block,)) for block in blocks}
    passed = [each for each in (all_int8, *alone.values()) if each.passed]
    combined: list[Measured] = []
    if not all_int8.passed:
        order = sorted(blocks, key=lambda block: _worth(alone[block], all_int8), reverse=True)
        combined = _narrowed(measure, _first_that_passes(measure, order), order[::-1])
        passed += [each for each in combined if each.passed]
    return Found(all_int8, alone, tuple(combined), _fastest(passed))


def _worth(alone: Measured, all_int8: Measured) -> float:
    """Squared error taken off per time added; of a block that costs no time, all the more."""
    gain = all_int8.score_error**2 - alone.score_error**2
    return gain / max(alone.relative_time - all_int8.relative_time, _LEAST_COST)


def _first_that_passes(measure: Measure, order: Sequence[str]) -> list[Measured]:
    """The shortest beginning of the order that passes, by halving; last in the list, if any passes."""
    tried = [measure(tuple(sorted(order)))]
    low, high = 1, len(order)
    if not tried[0].passed:
        return tried
    while high - low > 1:
        middle = (low + high) // 2
        tried.append(measure(tuple(sorted(order[:middle]))))
        if tried[-1].passed:
            high = middle
        else:
            low = middle
    return sorted(tried, key=lambda each: (each.passed, -len(each.high_precision)))


def _narrowed(measure: Measure, tried: list[Measured], order: Sequence[str]) -> list[Measured]:
    """Without each block in turn, the least worth first, as long as what is left passes."""
    best = tried[-1]
    for block in order if best.passed else ():
        without = tuple(other for other in best.high_precision if other != block)
        # one block alone was measured already
        if 1 < len(without) < len(best.high_precision):
            tried.append(measure(without))
            best = tried[-1] if tried[-1].passed else best
    return tried


def _fastest(passed: Sequence[Measured]) -> Measured | None:
    """The fastest; where several differ by no more than noise, the one with the fewest blocks in high precision."""
    if not passed:
        return None
    least = min(each.relative_time for each in passed)
    return min(
        (each for each in passed if each.relative_time <= least + NOISE),
        key=lambda each: (len(each.high_precision), each.relative_time),
    )


class _Log(Record):
    key: str
    measured: tuple[Measured, ...] = ()


class Remembered:
    """A measure that writes down what it found, so that a search that was stopped goes on where it was.

    Args:
        measure: What does the work.
        file: The log; one that is damaged or of another key is begun again.
        key: What the measurements depend on: graph, pictures, machine.
        on_measured: Told of each, remembered or new.
    """

    def __init__(self, measure: Measure, file: Path, key: str, on_measured: Callable[[Measured], None]) -> None:
        self._measure = measure
        self._file = file
        self._key = key
        self._on_measured = on_measured
        self._known = {each.high_precision: each for each in _read(file, key)}

    def __call__(self, high_precision: tuple[str, ...]) -> Measured:
        """The worth of an assignment.

        Raises:
            StorageError: The log cannot be written.
        """
        if high_precision not in self._known:
            self._known[high_precision] = self._measure(high_precision)
            with storage_errors(self._file, IN_PLACE), replaced_file(self._file) as part:
                log = _Log(key=self._key, measured=tuple(self._known.values()))
                part.write_text(log.model_dump_json(indent=1), encoding="utf-8")
        measured = self._known[high_precision]
        self._on_measured(measured)
        return measured


def _read(file: Path, key: str) -> tuple[Measured, ...]:
    try:
        log = _Log.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return ()  # nothing to go on with; what cannot be written is said then
    return log.measured if log.key == key else ()
