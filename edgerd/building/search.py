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
"""Builds and measures the engine with these blocks in high precision, sorted."""
NOISE = 0.03
"""Relative time within which two engines are as fast."""
_LEAST_COST = 0.002
"""Relative time that a block counts as costing at least, so that nothing is divided by zero or by noise."""


@dataclass(frozen=True)
class Found:
    """What a search measured, and what it chose.

    Attributes:
        all_int8: The engine without any block in high precision.
        alone: The engines with one block in high precision, by the block's name, in the graph's order.
        combined: The engines with several blocks in high precision, in the order they were tried.
        chosen: The fastest engine that passed; None if none did.
    """

    all_int8: Measured
    alone: dict[str, Measured]
    combined: tuple[Measured, ...]
    chosen: Measured | None


def search(measure: Measure, blocks: Sequence[str]) -> Found:
    """Find the fastest assignment that passes.

    Where all-INT8 passes, nothing is chosen that is slower than it. At most three measurements per block are made.

    Args:
        measure: Called once for each assignment.
        blocks: The blocks that may be in INT8, in the graph's order.
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
    """The squared error that a block in high precision takes off, divided by the time that it costs."""
    gain = all_int8.score_error**2 - alone.score_error**2
    return gain / max(alone.relative_time - all_int8.relative_time, _LEAST_COST)


def _first_that_passes(measure: Measure, order: Sequence[str]) -> list[Measured]:
    """Find the shortest beginning of the order that passes, by halving.

    Returns:
        All assignments that were measured; where any passes, the last one is the shortest that does.
    """
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
    """Take back each block in turn, the one that is worth least first, as long as what is left passes.

    Returns:
        `tried`, and after it the assignments that were measured here.
    """
    best = tried[-1]
    for block in order if best.passed else ():
        without = tuple(other for other in best.high_precision if other != block)
        # no block, and one block alone, were measured at the beginning
        if 1 < len(without) < len(best.high_precision):
            tried.append(measure(without))
            best = tried[-1] if tried[-1].passed else best
    return tried


def _fastest(passed: Sequence[Measured]) -> Measured | None:
    """The fastest; where several are as fast but for noise, the one with the fewest blocks in high precision."""
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
        measure: Measures what is not in the log.
        file: The log; one that is damaged or of another key is begun again.
        key: A hash over what the measurements depend on: graph, pictures, machine.
        on_measured: Called with each measurement that is asked for, remembered or new.
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
        return ()  # there is nothing to go on with; a folder that cannot be written is an error at the first write
    return log.measured if log.key == key else ()
