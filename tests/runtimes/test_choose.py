from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from gate_parts import passed_gate

from edgerd.bundle.bundle import Bundle, bundle_id, save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    EngineRecord,
    Manifest,
    ModelRecord,
    PictureLimits,
    PreprocessSpec,
    ThresholdRecord,
    TrainingRecord,
)
from edgerd.errors import (
    BundleDamagedError,
    DeviceNotReadyError,
    EdgerdError,
    EngineMismatchError,
    InputError,
    MissingDependencyError,
)
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine

FP32_THRESHOLD, ENGINE_THRESHOLD = 0.25, 0.75


def threshold(value: float) -> ThresholdRecord:
    return ThresholdRecord(
        value=value,
        false_alarm_rate=0.1,
        n_good=20,
        rank=19,
        extrapolated=False,
        largest_score=value,
        realised_rate_90=(0.01, 0.2),
        n_more_needed=0,
    )


@pytest.fixture(autouse=True)
def fake_in_table(monkeypatch):
    monkeypatch.setitem(RUNTIMES, "fake", "edgerd.runtimes.fake:FakeRuntime")


@pytest.fixture
def make_bundle(tmp_path: Path, graph: bytes, graph_sha256: str):
    """A bundle with engines, each "runtime precision" with changes to its record and key."""

    def make(*engines: tuple[str, dict, dict]) -> Bundle:
        files, records = {GRAPH_FILE: graph}, []
        for name, record, key in engines:
            runtime, precision = name.split()
            loaded = load_runtime(runtime)
            built = {f"engines/{runtime}-{precision}/{f}": c for f, c in loaded.build(graph, precision).items()}
            files |= built
            records.append(
                EngineRecord(
                    key=loaded.key(precision, graph_sha256).model_copy(update=key),
                    files=tuple(built),
                    threshold=threshold(ENGINE_THRESHOLD),
                    gate=passed_gate(),
                    **record,
                )
            )
        spec = PreprocessSpec(height=32, width=64)
        manifest = Manifest(
            id=bundle_id(graph_sha256, spec),
            created_at="2025-01-01T00:00:00Z",
            edgerd_version="0",
            model=ModelRecord(teacher="lite0", student="full", teacher_sha256=""),
            training=TrainingRecord(
                method="rd4ad",
                seed=0,
                epochs=1,
                steps=1,
                batch_size=1,
                n_train=1,
                n_holdout=1,
                n_skipped=0,
                data_fingerprint="",
            ),
            preprocess=spec,
            limits=PictureLimits(mean_low=0, mean_high=255, contrast_low=0),
            threshold=threshold(FP32_THRESHOLD),
        )
        bundle = save_bundle(tmp_path / "bundle", manifest, files)
        with_engines = bundle.manifest.model_copy(update={"engines": tuple(records)})
        return bundle.save_with(with_engines, {n: c for n, c in files.items() if n != GRAPH_FILE})

    return make


def opened(bundle: Bundle, *flags: str | None) -> tuple[str, str, float, str]:
    with open_engine(bundle, *flags, threads=1) as found:
        key = found.engine.key
        return key.runtime, key.precision, found.threshold.value, found.why


def test_a_fresh_bundle_runs_fp32_on_onnxruntime(make_bundle):
    runtime, precision, limit, why = opened(make_bundle())
    assert (runtime, precision, limit) == ("onnxruntime", "fp32", FP32_THRESHOLD)
    assert why.startswith("onnxruntime fp32: ")


def test_the_default_engine_comes_with_its_own_threshold(make_bundle):
    bundle = make_bundle(("fake fp32", {}, {}), ("fake int8", {"default": True}, {}))
    assert opened(bundle) == ("fake", "int8", ENGINE_THRESHOLD, "fake int8: the default engine")


def test_a_default_engine_from_elsewhere_gives_way_and_says_why(make_bundle):
    bundle = make_bundle(("fake int8", {"default": True}, {"device": "another CPU", "features": ("amx_int8",)}))
    runtime, precision, limit, why = opened(bundle)
    assert (runtime, precision, limit) == ("onnxruntime", "fp32", FP32_THRESHOLD)
    assert "device another CPU (here fake)" in why
    assert "features amx_int8 (here none)" in why
    assert f"edgerd build-engine {bundle.path} --runtime fake --precision int8" in why


def test_where_the_default_engine_does_not_fit_another_that_does_is_named(make_bundle):
    default = ("fake int8", {"default": True}, {"device": "another CPU"})
    assert "Another that fits" not in opened(make_bundle(default))[3]
    why = opened(make_bundle(default, ("fake fp32", {"median_ms": 1.0}, {})))[3]
    assert why.endswith("Another that fits: --runtime fake --precision fp32")


@pytest.mark.parametrize("entry", [None, "edgerd.runtimes.openvino:OpenVino"], ids=["unknown", "not installed"])
def test_a_default_engine_whose_runtime_is_missing_gives_way(make_bundle, monkeypatch, entry):
    bundle = make_bundle(("fake int8", {"default": True}, {}))
    monkeypatch.setitem(sys.modules, "openvino", None)
    if entry:
        monkeypatch.setitem(RUNTIMES, "fake", entry)
    else:
        monkeypatch.delitem(RUNTIMES, "fake")
    runtime, _, limit, why = opened(bundle)
    assert (runtime, limit) == ("onnxruntime", FP32_THRESHOLD)
    assert "instead of the default engine" in why


def test_a_default_engine_whose_driver_is_not_ready_yet_does_not_give_way(make_bundle, monkeypatch):
    """A line that starts with the machine would run on the CPU for ever."""
    from edgerd.runtimes.fake import FakeRuntime

    bundle = make_bundle(("fake int8", {"default": True}, {}))

    def not_ready(*_):
        raise DeviceNotReadyError("The CUDA driver is not ready yet.")

    monkeypatch.setattr(FakeRuntime, "key", not_ready)
    with pytest.raises(DeviceNotReadyError):
        open_engine(bundle)


def test_an_engine_named_by_flags_is_opened_though_another_is_the_default(make_bundle):
    bundle = make_bundle(("fake fp32", {"default": True}, {}), ("fake int8", {}, {}))
    assert opened(bundle, "fake", "int8")[:3] == ("fake", "int8", ENGINE_THRESHOLD)
    assert opened(bundle, None, "int8")[:2] == ("fake", "int8")
    assert opened(bundle, "fake", None)[:2] == ("fake", "fp32")


def test_the_fastest_of_those_that_flags_allow_is_opened(make_bundle):
    bundle = make_bundle(("fake fp32", {"median_ms": 9.0}, {}), ("fake int8", {"median_ms": 3.0}, {}))
    assert opened(bundle, "fake")[1] == "int8"


def test_an_engine_from_elsewhere_that_flags_name_is_refused_naming_both_sides(make_bundle):
    bundle = make_bundle(("fake int8", {"default": True}, {"device": "another CPU", "runtime_version": "0"}))
    with pytest.raises(EngineMismatchError) as refused:
        open_engine(bundle, "fake", "int8")
    assert refused.value.exit_code == 3
    assert "device another CPU (here fake)" in str(refused.value)
    assert "runtime version 0 (here 1)" in str(refused.value)
    assert f"edgerd build-engine {bundle.path} --runtime fake --precision int8" in str(refused.value)


def test_an_engine_of_another_graph_is_refused(make_bundle):
    bundle = make_bundle(("fake int8", {}, {"graph_sha256": "f" * 64}))
    with pytest.raises(EngineMismatchError, match="graph sha256 " + "f" * 64):
        open_engine(bundle, precision="int8")


def test_a_precision_that_was_not_built_is_refused_naming_what_is_there(make_bundle):
    bundle = make_bundle(("fake fp32", {}, {}))
    with pytest.raises(EngineMismatchError) as refused:
        open_engine(bundle, "fake", "int8")
    assert "built ones: fake fp32" in str(refused.value)
    assert f"edgerd build-engine {bundle.path} --runtime fake --precision int8" in str(refused.value)


def test_fp32_needs_no_build_and_has_the_bundles_threshold(make_bundle):
    bundle = make_bundle(("fake int8", {"default": True}, {}))
    assert opened(bundle, "onnxruntime", "fp32")[:3] == ("onnxruntime", "fp32", FP32_THRESHOLD)
    assert opened(bundle, None, "fp32")[0] == "onnxruntime"
    assert opened(make_bundle(), "fake")[:3] == ("fake", "fp32", FP32_THRESHOLD)


def test_the_reference_opens_even_where_a_built_one_does_not_fit(make_bundle):
    """Or the command that rebuilds it could not compare with it."""
    bundle = make_bundle(("onnxruntime fp32", {"default": True}, {"device": "another CPU"}))
    runtime, _, limit, why = opened(bundle, "onnxruntime", "fp32")
    assert (runtime, limit) == ("onnxruntime", FP32_THRESHOLD)
    assert "another CPU" in why


def test_a_built_onnxruntime_engine_is_opened_from_its_file(make_bundle, frames):
    bundle = make_bundle(("onnxruntime fp32", {"default": True}, {}))
    with open_engine(bundle, threads=1) as built, open_engine(make_bundle(), threads=1) as plain:
        assert built.why == "onnxruntime fp32: the default engine"
        np.testing.assert_array_equal(built.engine.infer(frames).anomaly_map, plain.engine.infer(frames).anomaly_map)


def test_a_runtime_that_is_not_installed_is_named_with_what_to_type(make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"edgerd\[openvino\]"):
        open_engine(make_bundle(), "openvino")


def test_a_misspelt_runtime_is_an_input_error(make_bundle):
    with pytest.raises(InputError, match="onnxruntime"):
        open_engine(make_bundle(), "onxruntime")


def test_changed_files_are_not_opened(make_bundle):
    bundle = make_bundle(("fake int8", {"default": True}, {}))
    (bundle.path / "engines" / "fake-int8" / "fake.bin").write_bytes(b"changed")
    with pytest.raises(BundleDamagedError, match=r"fake\.bin"):
        open_engine(bundle)
    (bundle.path / GRAPH_FILE).unlink()
    with pytest.raises(BundleDamagedError, match=r"graph\.fp32"):
        open_engine(bundle)


def test_the_engine_is_closed_at_the_end_of_the_block(make_bundle, frames):
    with open_engine(make_bundle(), threads=1) as found:
        found.engine.infer(frames)
    with pytest.raises(EdgerdError, match="closed"):
        found.engine.infer(frames)
