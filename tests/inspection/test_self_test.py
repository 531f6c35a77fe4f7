"""The self-test of a line that starts, over real bundles: FP32 from the graph, and an engine that was built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspection_parts import make_bundle

from edgerd.building.engine import build_engine
from edgerd.bundle.bundle import Bundle, save_bundle
from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.calibration.calibrate import calibrate
from edgerd.data.pictures import bundle_pictures, encode_png
from edgerd.errors import BundleDamagedError, BundleError, DeviceError
from edgerd.inspection import self_test as module
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.self_test import TOLERANCE, first_picture, note_score, self_test
from edgerd.runtimes.fake import FakeEngine
from edgerd.runtimes.protocol import Maps


class Faulty:
    """An engine that gives a score which is off by a factor, as a device that computes wrongly does."""

    def __init__(self, engine: Any, factor: float) -> None:
        self._engine, self._factor = engine, np.float32(factor)
        self.key, self.threads = engine.key, engine.threads

    def infer(self, frames: Any) -> Maps:
        maps = self._engine.infer(frames)
        return Maps(maps.score * self._factor, maps.anomaly_map)

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def built(bundle: Bundle) -> Bundle:
    """With an ONNX Runtime FP32 engine as its default."""
    return build_engine(bundle, runtime="onnxruntime", precision="fp32").bundle


def opened(bundle: Bundle, factor: float = 1.0) -> Inspector:
    inspector = Inspector.open(bundle, threads=1)
    if factor != 1.0:
        inspector.engine = Faulty(inspector.engine, factor)
    return inspector


def test_the_graph_gives_the_score_that_was_noted_when_it_was_calibrated(bundle: Bundle) -> None:
    record = bundle.manifest.self_test
    assert record
    assert record.files == bundle.manifest.holdout[:1]
    assert record.score > 0
    with opened(bundle) as inspector:
        assert self_test(inspector) is None


def test_an_engine_gives_the_score_that_was_noted_when_it_was_built(built: Bundle) -> None:
    (engine,) = built.manifest.engines
    assert engine.self_test
    with opened(Bundle.open(built.path)) as inspector:
        assert self_test(inspector) is None


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, np.nan])
def test_an_engine_that_computes_wrongly_is_refused_with_both_numbers(bundle: Bundle, factor: float) -> None:
    noted = bundle.manifest.self_test
    assert noted
    with opened(bundle, factor) as inspector, pytest.raises(BundleError) as error:
        self_test(inspector)
    assert f"gives {float(np.float32(noted.score) * np.float32(factor)):.6g} for" in error.value.what
    assert f"it gave {noted.score:.6g} when" in error.value.what
    assert noted.files[0] in error.value.what
    assert f"edgerd build-engine {bundle.path}" in str(error.value.hint)


def test_on_a_gpu_it_is_the_device_that_failed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service tries again then: a reset, or a machine that is started anew, may help."""
    monkeypatch.setattr(module, "DeviceEngine", Faulty)
    with opened(bundle, 1.5) as inspector, pytest.raises(DeviceError, match="Self-test"):
        self_test(inspector)


def test_rounding_is_no_fault(bundle: Bundle) -> None:
    with opened(bundle, 1 + TOLERANCE / 2) as inspector:
        assert self_test(inspector) is None


def test_a_bundle_from_before_there_was_a_self_test_says_so_and_is_used(bundle: Bundle) -> None:
    old = bundle.save_with(bundle.manifest.model_copy(update={"self_test": None}))
    with opened(old) as inspector:
        note = self_test(inspector)
    assert note
    assert f"edgerd calibrate {bundle.path}" in note


def test_calibrating_an_old_bundle_notes_the_scores(built: Bundle) -> None:
    engines = tuple(engine.model_copy(update={"self_test": None}) for engine in built.manifest.engines)
    old = built.save_with(built.manifest.model_copy(update={"self_test": None, "engines": engines}))
    new = calibrate(old, 0.01).bundle.manifest
    assert new.self_test == built.manifest.self_test
    assert [engine.self_test for engine in new.engines] == [engine.self_test for engine in built.manifest.engines]


def test_a_bundle_without_pictures_has_nothing_to_compare(bundle: Bundle) -> None:
    empty = bundle.manifest.model_copy(
        update={"holdout": (), "ranges": (), "holdout_scores": tuple(0.1 + i / 100 for i in range(20))}
    )
    bare = calibrate(bundle.save_with(empty), 0.01).bundle
    assert bare.manifest.self_test is None
    with opened(bare) as inspector:
        assert "No self-test" in str(self_test(inspector))


def test_the_picture_stays_in_the_bundle_when_others_take_the_place_of_its_list(bundle: Bundle) -> None:
    record = bundle.manifest.self_test
    assert record
    left = bundle.save_with(bundle.manifest.model_copy(update={"holdout": ()}))
    assert record.files[0] in left.manifest.files
    with opened(left) as inspector:
        assert self_test(inspector) is None


def test_another_picture_under_the_same_name_is_not_compared(bundle: Bundle) -> None:
    record, spec = bundle.manifest.self_test, bundle.manifest.preprocess
    assert record
    other = encode_png(np.full((spec.height, spec.width, 3), 90, np.uint8))
    replaced = bundle.save_with(bundle.manifest, {record.files[0]: other})
    with opened(replaced) as inspector:
        assert "was replaced" in str(self_test(inspector))


def test_a_picture_that_was_damaged_is_named(bundle: Bundle) -> None:
    record = bundle.manifest.self_test
    assert record
    (bundle.path / record.files[0]).write_bytes(b"not a picture")
    with opened(bundle) as inspector, pytest.raises(BundleDamagedError, match=record.files[0]):
        self_test(inspector)


def test_a_part_of_several_tiles_is_compared_as_a_whole(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=1, columns=2))
    pictures = np.full((2, 2, 32, 32, 3), 128, np.uint8)
    pictures[0, 1] = 192  # the second tile of the first picture has the larger score
    files = bundle_pictures("holdout", pictures)
    manifest = make_bundle(spec).manifest.model_copy(update={"holdout": tuple(files)})
    tiled = save_bundle(tmp_path / "bundle", manifest, files)
    record = note_score(FakeEngine(), first_picture(tiled, tiled.manifest.holdout))
    assert record
    assert record.files == tuple(files)[:2]
    assert record.score == pytest.approx(0.5)
