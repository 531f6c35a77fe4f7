"""The whole way of a run with a real bundle: camera, engine, policy, sinks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from line_parts import run_camera

from edgerd import Inspector
from edgerd.bundle.bundle import Bundle
from edgerd.cameras import open_camera
from edgerd.errors import BundleError
from edgerd.line.summary import Ended
from edgerd.sinks.jsonl import JsonlSink
from edgerd.types import Verdict


def test_sample_parts_through_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    events, verdicts = (JsonlSink(str(tmp_path / name)) for name in ("events.jsonl", "verdicts.jsonl"))
    with Inspector.open(bundle.path, threads=1) as inspector:
        assert inspector.threshold == bundle.manifest.threshold.value
        assert "onnxruntime fp32" in inspector.why
        camera = open_camera("sample://ring?n=12&defective=0.5&size=96&seed=5")
        summary = run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[verdicts], profile=True)
    lines = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    alerts = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert summary.ended is Ended.END_OF_SOURCE
    assert summary.frames == len(lines) == 12
    assert summary.no_decision == 0
    assert summary.engine_ms["n"] == 12
    assert [line["verdict"] == "NG" for line in lines] == [line["score"] > line["threshold"] for line in lines]
    assert [alert["frame"] for alert in alerts] == [line["frame"] for line in lines if line["verdict"] == "NG"]
    assert all(alert["bundle"] == bundle.manifest.id and alert["regions"] for alert in alerts)


def test_good_parts_of_the_data_set_are_good(bundle: Bundle, parts: Path) -> None:
    with Inspector.open(bundle, threads=1) as inspector:
        camera = open_camera(str(parts / "train" / "good" / "00*.png"))
        summary = run_camera(inspector, camera)
    assert (summary.frames, summary.no_decision) == (10, 0)
    assert summary.ng <= 1


def test_threshold_of_the_caller_decides(bundle: Bundle, parts: Path) -> None:
    camera = open_camera(str(parts / "train" / "good" / "000.png"))
    frame = camera.read()
    assert frame is not None
    with Inspector.open(bundle, threshold=0.0, threads=1) as inspector:
        assert inspector.inspect(frame).verdict is Verdict.NG
    with Inspector.open(bundle, threshold=6.0, threads=1) as inspector:
        assert inspector.inspect(frame).verdict is Verdict.OK


def test_bundle_that_was_never_calibrated_says_what_to_type(bundle: Bundle) -> None:
    bundle.save_with(bundle.manifest.model_copy(update={"threshold": None}))
    with pytest.raises(BundleError, match="edgerd calibrate"):
        Inspector.open(bundle.path)
