"""`--precision auto` with a budget: blocks are measured here, on pictures that neither gate nor threshold see."""

from __future__ import annotations

import json

import numpy as np
import pytest
from building_parts import Heard

from edgerd.acceptance.gate import Budget
from edgerd.acceptance.gate_pictures import GatePictures
from edgerd.acceptance.outputs import Labels
from edgerd.acceptance.scores import holdout_pictures
from edgerd.building.assignment import search_assignments
from edgerd.building.engine import build_engine, graphs_of
from edgerd.building.sensitivity import split_labelled
from edgerd.errors import BundleError
from edgerd.runtimes.machine import int8_flavour

pytestmark = pytest.mark.skipif(not int8_flavour(), reason="this CPU has no fast INT8")
GENEROUS, TIGHT = 0.5, 1e-5
BLOCKS = ("teacher/stage1.0", "embedding/down2.0", "decoder/stage1.0")


@pytest.fixture
def small(bundle, monkeypatch):
    """Eight range pictures, and a search that looks at three blocks only; each costs an engine and a pass."""
    monkeypatch.setattr("edgerd.building.assignment.blocks", lambda _: BLOCKS)
    return bundle.save_with(bundle.manifest.model_copy(update={"ranges": bundle.manifest.ranges[:8]}))


def log_of(bundle):
    return bundle.path.with_name(f"{bundle.path.name}.search-onnxruntime.json")


def test_a_generous_budget_takes_what_is_fastest_and_says_what_each_block_is_worth(small):
    heard = Heard()
    built = build_engine(small, runtime="onnxruntime", max_map_error=GENEROUS, listener=heard)
    found = heard.searched[0].found
    assert tuple(found.alone) == BLOCKS
    assert {runtime for runtime, _ in heard.measured} == {"onnxruntime"}
    assert [measured for _, measured in heard.measured] == [found.all_int8, *found.alone.values(), *found.combined]
    assert all(each.relative_time > 0 for each in found.alone.values())
    assert found.chosen.relative_time <= found.all_int8.relative_time + 0.03
    tried = {c.high_precision for c in built.candidates if c.precision == "int8"}
    assert tried == {(), found.chosen.high_precision}  # timed once more, side by side
    assert not log_of(small).exists()  # its work is in the bundle


@pytest.mark.slow
def test_a_budget_that_int8_cannot_keep_leaves_the_rest(bundle):
    heard = Heard()
    built = build_engine(bundle, runtime="onnxruntime", max_map_error=TIGHT, listener=heard)
    found = heard.searched[0].found
    assert not found.all_int8.passed
    # with every block in high precision nothing is rounded at all
    assert found.chosen.high_precision == tuple(sorted(found.alone))
    assert not found.combined[-1].passed
    assert built.chosen.gate.max_map_error <= TIGHT


def test_a_search_that_was_stopped_goes_on(small):
    pictures, budget = GatePictures(holdout_pictures(small), 10), Budget(GENEROUS)

    class Stops(Heard):
        """Presses Ctrl-C after so many measurements."""

        def __init__(self, after: int) -> None:
            super().__init__()
            self.after = after

        def assignment_measured(self, runtime, measured):
            super().assignment_measured(runtime, measured)
            if len(self.measured) == self.after:
                raise KeyboardInterrupt

    stopped = Stops(after=3)
    arguments = (small, ("onnxruntime",), graphs_of(small), pictures, budget, small.manifest.threshold)
    with pytest.raises(KeyboardInterrupt):
        search_assignments(*arguments, stopped)
    before = json.loads(log_of(small).read_text())["measured"]
    assert [tuple(each["high_precision"]) for each in before] == [m.high_precision for _, m in stopped.measured]
    (searched,), _ = search_assignments(*arguments)
    after = json.loads(log_of(small).read_text())["measured"]
    assert after[:3] == before
    assert len(after) == 1 + len(searched.found.alone) + len({m.high_precision for m in searched.found.combined})
    other = (small, ("onnxruntime",), graphs_of(small), pictures, Budget(GENEROUS / 2), small.manifest.threshold)
    with pytest.raises(KeyboardInterrupt):
        search_assignments(*other, Stops(after=1))
    assert len(json.loads(log_of(small).read_text())["measured"]) == 1  # another budget is another search


def test_labelled_pictures_are_shared_out_between_search_and_gate():
    defects = ("good",) * 5 + ("crack",) * 200 + ("hole",) * 2
    pictures = np.arange(len(defects), dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 1, 2, 2, 3), np.uint8)
    whole = GatePictures(pictures[:3], 3, pictures, Labels(defects, (None,) * len(defects)))
    deciding, gate = split_labelled(whole)
    assert 0 < len(deciding.labelled) <= 64
    assert len(deciding.labelled) + len(gate.labelled) == len(defects)
    both = [int(p.flat[0]) for part in (deciding, gate) for p in part.labelled]
    assert sorted(both) == list(range(len(defects)))
    assert set(deciding.labels.defects) >= {"good", "crack"}
    assert len(deciding.labels.defects) == len(deciding.labels.masks) == len(deciding.labelled)


@pytest.mark.parametrize(("n_good", "n_defective"), [(1, 1), (1, 7), (7, 1), (2, 2), (3, 40), (600, 2), (100, 100)])
def test_the_gate_keeps_good_and_defective_ones_and_the_search_has_both_where_there_are_two(n_good, n_defective):
    defects = ("good",) * n_good + ("crack",) * n_defective
    pictures = np.zeros((len(defects), 1, 2, 2, 3), np.uint8)
    whole = GatePictures(pictures[:3], 3, pictures, Labels(defects, (None,) * len(defects)))
    deciding, gate = split_labelled(whole)
    assert set(gate.labels.defects) == {"good", "crack"}
    assert ("good" in deciding.labels.defects) is (n_good > 1)
    assert ("crack" in deciding.labels.defects) is (n_defective > 1)
    assert len(deciding.labelled) <= 64


def test_a_bundle_without_range_pictures_cannot_be_searched(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"ranges": ()}))
    threshold = bundle.manifest.threshold
    with pytest.raises(BundleError, match="no pictures to look for a precision on"):
        search_assignments(bare, (), graphs_of(bare), GatePictures(holdout_pictures(bare), 10), Budget(1.0), threshold)
