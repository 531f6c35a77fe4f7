"""The register map: what is encoded is decoded again, and the documentation names every register."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.sinks.modbus.handshake import ErrorCause, Outcome, Outputs, Result
from edgerd.sinks.modbus.registers import (
    BLOCK_WORDS,
    CONTROL,
    CONTROL_BITS,
    IDENTITY,
    MAP_VERSION,
    STATUS,
    STATUS_BITS,
    STATUS_OFFSET,
    STRIDE,
    Latest,
    Status,
    bits_to_word,
    decode,
    encode,
    status_bits,
    status_words,
    word_to_bits,
)
from edgerd.sinks.plc import CameraState

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "modbus.md"

SCORES = st.none() | st.floats(min_value=0, allow_infinity=False, allow_nan=False)
RESULTS = st.builds(
    Result,
    st.sampled_from(Outcome),
    st.sampled_from(ErrorCause),
    score=SCORES,
    threshold=SCORES,
    n_regions=st.integers(0, 1 << 20),
    product=st.integers(0, 0xFFFF),
)
COUNTS = st.integers(0, 1 << 40)
OUTPUTS = st.builds(
    Outputs,
    enabled=st.booleans(),
    ready=st.booleans(),
    busy=st.booleans(),
    result=st.none() | RESULTS,
    trigger_error=st.booleans(),
    accepted_sequence=st.integers(0, 0xFFFFFFFF),
    result_sequence=st.integers(0, 0xFFFFFFFF),
    trigger_errors=COUNTS,
    discarded_results=COUNTS,
)
STATUSES = st.builds(
    Status,
    outputs=OUTPUTS,
    heartbeat=st.integers(0, 0xFFFF),
    heartbeat_timeout_ms=st.integers(0, 0xFFFF),
    camera_state=st.sampled_from(CameraState),
    session=st.integers(1, 0xFFFFFFFF),
    latest=st.builds(Latest, COUNTS, st.none() | RESULTS),
)


def as_float32(value: float) -> float:
    return struct.unpack(">f", struct.pack(">f", min(value, 3.4028234e38)))[0]


@given(STATUSES)
def test_any_status_fits_into_its_registers(status: Status) -> None:
    words = status_words(status)
    assert len(words) == BLOCK_WORDS - STATUS_OFFSET
    assert all(0 <= word <= 0xFFFF for word in words)
    read = decode(STATUS, words)
    result = status.outputs.result
    assert read["map_version"] == MAP_VERSION
    assert read["session"] == status.session
    assert read["trigger_errors"] == status.outputs.trigger_errors & 0xFFFF
    assert word_to_bits(int(read["status"]), len(STATUS_BITS)) == status_bits(status.outputs)
    assert read["outcome"] == (result.outcome.value if result else 0)
    if result is None or result.score is None:
        assert (read["score"], read["score_scaled"]) == (-1.0, -10_000)
    else:
        assert read["score"] == as_float32(result.score)
        assert read["score_scaled"] == round(min((1 << 31) - 1, result.score * 10_000))


def test_the_high_word_of_a_long_value_comes_first() -> None:
    values = {register.name: 0 for register in STATUS} | {"session": 0x12345678, "score": 1.5, "score_scaled": -1}
    words = [0] * STATUS_OFFSET + encode(STATUS, values)
    assert words[18:20] == [0x1234, 0x5678]
    assert words[34:36] == [0x3FC0, 0x0000]
    assert words[30:32] == [0xFFFF, 0xFFFF]


def test_registers_follow_on_one_another_and_long_ones_begin_at_even_offsets() -> None:
    place = STATUS_OFFSET
    for register in STATUS:
        assert register.offset == place, register.name
        assert register.words == 1 or register.offset % 2 == 0, register.name
        place += register.words
    assert place == BLOCK_WORDS <= STRIDE
    assert STATUS[: len(IDENTITY)] == IDENTITY


@given(st.lists(st.booleans(), max_size=16))
def test_bits_and_words(bits: list[bool]) -> None:
    assert word_to_bits(bits_to_word(bits), len(bits)) == bits


@pytest.mark.parametrize("register", [*CONTROL, *STATUS], ids=lambda register: register.name)
def test_the_page_for_plc_engineers_has_every_register(register) -> None:
    last = register.offset + register.words - 1
    place = f"{register.offset}" if register.words == 1 else f"{register.offset}-{last}"
    assert re.search(rf"^\| {place} \| `{register.name}` \| {register.kind} \|", PAGE.read_text(), re.M)


@pytest.mark.parametrize(
    ("position", "name"), [*enumerate(CONTROL_BITS), *enumerate(STATUS_BITS)], ids=lambda value: str(value)
)
def test_the_page_for_plc_engineers_has_every_bit(position: int, name: str) -> None:
    assert re.search(rf"^\| {position} \| `{name}` \|", PAGE.read_text(), re.M)


def test_the_page_is_for_this_version_of_the_map() -> None:
    assert f"map version {MAP_VERSION}" in PAGE.read_text()
