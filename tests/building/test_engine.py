"""build-engine: compile, compare, find the threshold, install; or leave everything as it was."""

from __future__ import annotations

import numpy as np
import pytest
from building_parts import Heard

from edgerd.acceptance.gate_pictures import GatePictures, gate_pictures
from edgerd.acceptance.scores import holdout_pictures
from edgerd.building.engine import build_engine
from edgerd.building.listener import BuildListener
from edgerd.bundle.bundle import Bundle
from edgerd.errors import BundleError, DeviceError, GateError, InputError
from edgerd.inspection.inspector import Inspector
from edgerd.runtimes import load_runtime


def test_the_engine_is_installed_as_default_and_used(bundle):
    built = build_engine(bundle, runtime="onnxruntime", precision="fp32")
    again = Bundle.open(bundle.path)
    assert again.verify() == len(again.manifest.files)
    (record,) = again.manifest.engines
    assert record.default
    assert record.gate.passed
    assert record.gate.verdicts_flipped == 0
    assert record.threshold.value == pytest.approx(again.manifest.threshold.value, abs=1e-4)
    assert built.chosen == record
    with Inspector.open(again) as inspector:
        assert inspector.engine.key == record.key
        assert "default" in inspector.why


def test_building_twice_leaves_one_engine_and_no_file_of_the_old_one(bundle):
    first = build_engine(bundle, runtime="onnxruntime", precision="fp32").bundle
    second = build_engine(first, runtime="onnxruntime", precision="fp32").bundle
    assert len(second.manifest.engines) == 1
    on_disk = {str(file.relative_to(second.path)) for file in second.path.rglob("*") if file.is_file()}
    assert on_disk == {*second.manifest.files, "bundle.json"}


def test_auto_tries_all_that_is_here_and_says_what_each_gave(bundle):
    heard = Heard()
    built = build_engine(bundle, listener=heard)
    passed = [c.record for c in built.candidates if c.record and c.record.gate.passed]
    assert tuple(heard.built) == built.candidates != ()
    assert built.chosen.median_ms == min(record.median_ms for record in passed)
    assert all("ms per picture" in str(candidate) for candidate in heard.built)


class Refuses:
    """A runtime whose device builds nothing."""

    def __init__(self, runtime):
        self._runtime = runtime

    def __getattr__(self, name):
        return getattr(self._runtime, name)

    def build(self, graph, precision):
        raise DeviceError("The GPU does not have enough memory.", hint="Stop other programs.")


def without_openvino(name):
    return Refuses(load_runtime(name)) if name == "openvino" else load_runtime(name)


def test_auto_goes_on_without_what_a_device_refuses(bundle):
    heard = Heard()
    built = build_engine(bundle, precision="fp32", runtime_of=without_openvino, listener=heard)
    assert built.chosen.key.runtime == "onnxruntime"
    assert [candidate.runtime for candidate in built.candidates] == ["onnxruntime"]
    said = [str(left_out) for left_out in heard.not_built]
    assert "openvino fp32 is left out: The GPU does not have enough memory. Stop other programs." in said


def test_a_listener_hears_what_is_being_done_and_how_far_it_is(bundle):
    heard = Heard()
    build_engine(bundle, precision="fp32", listener=heard)
    n = len(gate_pictures(bundle).good) + len(gate_pictures(bundle).pasted.pictures)
    assert [str(step) for step, _ in heard.steps] == [
        "making the graphs of all precisions",
        f"what FP32 says on {n} pictures",
        "onnxruntime fp32 (1 of 2): building",
        f"onnxruntime fp32 (1 of 2): comparing with FP32 on {n} pictures",
        "onnxruntime fp32 (1 of 2): the checks of the gate",
        "openvino fp32 (2 of 2): building",
        f"openvino fp32 (2 of 2): comparing with FP32 on {n} pictures",
        "openvino fp32 (2 of 2): the checks of the gate",
        "timing the engines in turns",
    ]
    assert [n_done for step, n_done in heard.steps if step.n_pictures] == [n, n, n]


def test_what_is_asked_for_alone_is_an_error_where_the_device_refuses(bundle):
    with pytest.raises(DeviceError, match="enough memory"):
        build_engine(bundle, runtime="openvino", precision="fp32", runtime_of=without_openvino)
    assert not Bundle.open(bundle.path).manifest.engines


def test_other_pictures_for_the_gate_leave_the_threshold_as_it_was_found(bundle):
    own = holdout_pictures(bundle)
    usual = build_engine(bundle, runtime="onnxruntime", precision="fp32")
    pictures = GatePictures(np.concatenate([own, 255 - own]), len(own))
    built = build_engine(usual.bundle, runtime="onnxruntime", precision="fp32", pictures=pictures)
    assert built.chosen.gate.n_pictures == 2 * len(own)
    assert built.chosen.threshold == usual.chosen.threshold


def test_a_refused_engine_changes_nothing(bundle):
    before = (bundle.path / "bundle.json").read_bytes()
    with pytest.raises(GateError, match=r"largest map error: .*; at most 0[,;]") as caught:
        build_engine(bundle, runtime="openvino", precision="fp32", max_map_error=0.0)
    assert caught.value.exit_code == 5
    assert "--force" in str(caught.value)
    assert (bundle.path / "bundle.json").read_bytes() == before


def test_what_a_listener_raises_ends_the_build_and_changes_nothing(bundle):
    class Stops(BuildListener):
        def candidate_built(self, candidate):
            raise KeyboardInterrupt

    before = (bundle.path / "bundle.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build_engine(bundle, runtime="onnxruntime", precision="fp32", listener=Stops())
    assert (bundle.path / "bundle.json").read_bytes() == before


def test_labelled_pictures_take_part(bundle, parts):
    built = build_engine(bundle, runtime="onnxruntime", precision="fp32", pictures=gate_pictures(bundle, parts))
    gate = Bundle.open(built.bundle.path).manifest.engines[0].gate
    n_test = len(list((parts / "test").glob("*/*.png")))
    assert (gate.n_pictures, gate.n_labelled) == (10 + n_test, n_test)
    drops = {check.name: check.measured for check in gate.checks if check.name.endswith("drop")}
    assert drops == pytest.approx({"image AUROC drop": 0, "pixel AUROC drop": 0, "AUPRO drop": 0}, abs=1e-6)
    assert built.chosen.threshold.n_good == 10


def test_an_auroc_drop_needs_labels(bundle):
    with pytest.raises(InputError, match="labelled pictures") as caught:
        build_engine(bundle, max_auroc_drop=0.01)
    assert "--calibration DATA" in str(caught.value)


def test_force_installs_a_refused_engine_and_records_it(bundle):
    built = build_engine(bundle, runtime="openvino", precision="fp32", max_map_error=0.0, force=True)
    assert built.chosen.gate.forced
    assert not built.chosen.gate.passed
    assert Bundle.open(bundle.path).manifest.engines[0].gate.forced


def test_a_precision_this_machine_lacks_is_named(bundle):
    with pytest.raises(InputError, match="onnxruntime does not run int3 on this machine"):
        build_engine(bundle, runtime="onnxruntime", precision="int3")


def test_a_bundle_without_threshold_says_what_to_do(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"threshold": None}))
    with pytest.raises(BundleError, match="edgerd calibrate"):
        build_engine(bare)


def test_a_bundle_without_pictures_asks_for_some(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "ranges": ()}))
    with pytest.raises(BundleError, match="no pictures"):
        build_engine(bare)
