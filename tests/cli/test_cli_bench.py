"""`edgerd bench`: figures that hang together."""

from __future__ import annotations

import json

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import RegionSpec
from edgerd.cameras.memory import MemoryCamera
from edgerd.cli.bench import frames_of

KEYS = {
    *("engine_ms", "frame_ms", "capture_to_verdict_ms", "frames", "dropped", "no_decision", "alerts", "runtime"),
    *("precision", "device", "threads"),
}
"""Keys of JSON that users' programs read: they must not change."""


def test_figures_on_the_screen_and_in_json(edgerd, bundle, tmp_path):
    file = tmp_path / "bench.json"
    options = ("--frame-size", "320x240", "--max-frames", 12, "--threads", 1, "--json", file)
    result = edgerd("bench", bundle.path, *options)
    assert result.exit_code == 0, result.err
    figures = json.loads(file.read_text())
    assert figures.keys() >= KEYS
    for name in ("engine_ms", "frame_ms", "capture_to_verdict_ms"):
        assert figures[name].keys() == {"p50", "p95", "p99", "max", "n"}
        assert figures[name]["n"] == 12
        assert 0 < figures[name]["p50"] <= figures[name]["p99"] <= figures[name]["max"]
    assert figures["frame_ms"]["p50"] >= figures["engine_ms"]["p50"]
    assert figures["capture_to_verdict_ms"]["p50"] >= figures["frame_ms"]["p50"]
    assert (figures["frames"], figures["no_decision"], figures["threads"]) == (12, 0, 1)
    assert figures["frame_size"] == "320x240"
    assert "12 frames of 320x240, 1 thread" in result.out
    assert "frame in memory to verdict" in result.out


def test_an_interrupted_measurement_says_so(edgerd, bundle, tmp_path, monkeypatch):
    file = tmp_path / "bench.json"

    class Interrupted(MemoryCamera):
        def read(self):
            if self._number == 5:
                raise KeyboardInterrupt
            return super().read()

    monkeypatch.setattr("edgerd.cli.bench.MemoryCamera", Interrupted)
    result = edgerd("bench", bundle.path, "--frame-size", "96x96", "--max-frames", 50, "--json", file)
    assert result.exit_code == 130
    assert "5 frames of 96x96" in result.out + result.err
    assert "Interrupted after 5 of 50 frames" in result.err
    assert json.loads(file.read_text())["frames"] == 5


def test_frames_that_were_not_judged_are_spoken_of(edgerd, bundle, monkeypatch):
    import numpy as np

    dark, good = np.zeros((64, 64, 3), np.uint8), frames_of(bundle, 64, 64)[0]
    monkeypatch.setattr("edgerd.cli.bench.frames_of", lambda *_: [dark, good])
    for n_frames, said in (
        (2, "1 frame was not judged and is not counted above: its exposure is unlike the good pictures'."),
        (4, "2 frames were not judged and are not counted above: their exposure is unlike the good pictures'."),
    ):
        result = edgerd("bench", bundle.path, "--frame-size", "64x64", "--max-frames", n_frames)
        assert result.exit_code == 0, result.err
        assert said in result.err


def test_a_bundle_without_pictures_can_be_measured(edgerd, bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": ()}))
    result = edgerd("bench", bare.path, "--max-frames", 3, "--json", "-")
    assert result.exit_code == 0, result.err
    assert json.loads(result.out)["frame_ms"]["n"] == 3


def test_a_region_must_fit_the_frame(edgerd, bundle):
    spec = bundle.manifest.preprocess.model_copy(update={"region": RegionSpec(x=100, y=50, width=400, height=300)})
    bundle.save_with(bundle.manifest.model_copy(update={"preprocess": spec}))
    result = edgerd("bench", Bundle.open(bundle.path).path, "--frame-size", "320x240")
    assert result.exit_code == 2
    assert "--frame-size 500x350, or larger" in result.err
    fitting = edgerd("bench", bundle.path, "--frame-size", "1920x1080", "--max-frames", 2, "--json", "-")
    assert json.loads(fitting.out)["no_decision"] == 0


@pytest.mark.parametrize("size", ["big", "0x100", "100", "100x100x3", "-1x5", "99999x99999"])
def test_frame_sizes_that_are_none(edgerd, bundle, size):
    result = edgerd("bench", bundle.path, "--frame-size", size)
    assert result.exit_code == 2
    assert "1920x1080" in result.err
