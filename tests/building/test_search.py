"""The search for a precision per block, on blocks whose costs are known; and its log."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.building.search import NOISE, Remembered, search
from edgerd.building.sensitivity import Measured


class Machine:
    """Blocks with a squared error in INT8 and a time in high precision; both add up."""

    def __init__(self, costs: dict[str, tuple[float, float]], allowed: float, floor: float = 0.0) -> None:
        self.costs = costs
        self.allowed = allowed
        self.floor = floor
        self.asked: list[tuple[str, ...]] = []

    def measure(self, high_precision: tuple[str, ...]) -> Measured:
        self.asked.append(high_precision)
        error = self.floor + sum(error for name, (error, _) in self.costs.items() if name not in high_precision)
        return Measured(
            high_precision=high_precision,
            relative_time=1.0 + sum(self.costs[name][1] for name in high_precision),
            score_error=error**0.5,
            max_map_error=error,
            auroc_drop=None,
            failures=() if error <= self.allowed else ("too far",),
        )


COSTS = st.dictionaries(
    st.sampled_from("abcdefghij"), st.tuples(st.floats(0, 1), st.floats(-0.05, 0.5)), min_size=1, max_size=8
)


@settings(max_examples=200, deadline=None)
@given(COSTS, st.floats(0, 4), st.floats(0, 0.1))
def test_what_is_chosen_passes_and_nothing_else_that_passed_is_faster(costs, allowed, floor):
    machine = Machine(costs, allowed, floor)
    found = search(machine.measure, sorted(costs))
    passed = [each for each in (found.all_int8, *found.alone.values(), *found.combined) if each.passed]
    if found.chosen is None:
        assert not passed
        assert floor > allowed or not machine.measure(tuple(sorted(costs))).passed
        return
    assert found.chosen.passed
    assert found.chosen.relative_time <= min(each.relative_time for each in passed) + NOISE
    if found.all_int8.passed:
        assert found.chosen.relative_time <= found.all_int8.relative_time + NOISE


@settings(max_examples=100, deadline=None)
@given(COSTS, st.floats(0, 4))
def test_no_assignment_is_measured_twice_in_vain_and_three_per_block_are_enough(costs, allowed):
    machine = Machine(costs, allowed)
    search(machine.measure, sorted(costs))
    assert len(machine.asked) <= 3 * len(costs) + 2
    assert all(list(asked) == sorted(set(asked)) for asked in machine.asked)


def test_all_int8_is_kept_where_it_passes():
    found = search(Machine({"a": (0.1, 0.2), "b": (0.1, 0.01)}, allowed=1.0).measure, ["a", "b"])
    assert found.chosen is found.all_int8


def test_a_block_that_int8_only_slows_down_is_left_out_of_it():
    found = search(Machine({"a": (0.1, 0.2), "b": (0.1, -0.1)}, allowed=1.0).measure, ["a", "b"])
    assert found.chosen.high_precision == ("b",)


def test_the_block_that_costs_most_accuracy_for_its_time_comes_first():
    costs = {"cheap": (0.5, 0.02), "dear": (0.5, 0.5), "harmless": (0.001, 0.2), "small": (0.1, 0.05)}
    assert search(Machine(costs, allowed=0.65).measure, list(costs)).chosen.high_precision == ("cheap",)
    assert search(Machine(costs, allowed=0.51).measure, list(costs)).chosen.high_precision == ("cheap", "small")


def test_where_nothing_passes_nothing_is_chosen():
    found = search(Machine({"a": (0.5, 0.1), "b": (0.5, 0.1)}, allowed=0.1, floor=0.2).measure, ["a", "b"])
    assert found.chosen is None
    assert found.combined[0].high_precision == ("a", "b")


def test_a_search_that_was_stopped_goes_on_where_it_was(tmp_path):
    costs, file = {"a": (0.5, 0.1), "b": (0.4, 0.2), "c": (0.3, 0.1)}, tmp_path / "search.json"
    whole = search(Machine(costs, allowed=0.5).measure, list(costs))

    class Stopped(Exception):  # noqa: N818
        pass

    def stopping(high_precision):
        if len(first.asked) == 3:
            raise Stopped
        return first.measure(high_precision)

    first, second, told = Machine(costs, allowed=0.5), Machine(costs, allowed=0.5), []
    with pytest.raises(Stopped):
        search(Remembered(stopping, file, "key", told.append), list(costs))
    assert search(Remembered(second.measure, file, "key", told.append), list(costs)) == whole
    assert not set(first.asked) & set(second.asked)
    assert len(told) == len(first.asked) * 2 + len(second.asked)


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"key": "other", "measured": []}', b'{"measured": 1}'])
def test_a_log_that_is_not_this_searchs_is_begun_again(tmp_path, content):
    file, machine = tmp_path / "search.json", Machine({"a": (0.5, 0.1)}, allowed=0.1)
    if content is not None:
        file.write_bytes(content)
    search(Remembered(machine.measure, file, "key", lambda _: None), ["a"])
    assert machine.asked == [(), ("a",), ("a",)][: len(machine.asked)]
    assert file.exists()
