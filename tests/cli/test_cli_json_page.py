"""What the commands write for programs has the keys of docs/reference/events.md, and no others."""

from __future__ import annotations

import json

import pytest

from tools.events_page import keys_of

LATENCIES = ("engine_ms", "frame_ms", "capture_to_verdict_ms")


@pytest.fixture
def figures(edgerd, tmp_path):
    """Run a command with `--json`; gives what it wrote."""

    def run(*arguments):
        file = tmp_path / "figures.json"
        result = edgerd(*arguments, "--json", file)
        assert result.exit_code == 0, result.err
        return json.loads(file.read_text(encoding="utf-8"))

    return run


def test_evaluate(figures, bundle, parts):
    written = figures("evaluate", bundle.path, parts)
    assert set(written) == set(keys_of("Evaluation"))
    for kind in written["per_defect"].values():
        assert set(kind) == set(keys_of("Kinds of defect"))


def test_bench(figures, bundle):
    written = figures("bench", bundle.path, "--frame-size", "96x96", "--max-frames", 2)
    assert set(written) == {*keys_of("Figures of a run"), "frame_size"}
    for latency in LATENCIES:
        assert set(written[latency]) == set(keys_of("Latencies"))


def test_inspect(figures, bundle, parts):
    picture = next((parts / "test" / "good").iterdir())
    written = figures("inspect", bundle.path, picture)
    assert set(written) == {"pictures", "n_left_out"}
    (of_picture,) = written["pictures"]
    assert set(of_picture) == set(keys_of("Pictures"))


def test_run(figures, bundle, tmp_path):
    events, verdicts = tmp_path / "events.jsonl", tmp_path / "verdicts.jsonl"
    camera = ("--camera", "sample://ring?n=2&size=96")
    written = figures(
        "run", *camera, "--bundle", bundle.path, "--threshold", 0, "--events", events, "--verdicts", verdicts
    )
    assert set(written) == set(keys_of("Figures of a run"))
    event, *_ = map(json.loads, events.read_text(encoding="utf-8").splitlines())
    assert set(event) == set(keys_of("alert"))
    assert set(event["regions"][0]) == set(keys_of("Regions"))
    for line in verdicts.read_text(encoding="utf-8").splitlines():
        assert set(json.loads(line)) == set(keys_of("Verdicts"))


def test_a_run_of_several_cameras(figures, bundle):
    cameras = ("--camera", "sample://ring?n=1&size=96", "--camera", "sample://ring?n=1&size=96&seed=1")
    written = figures("run", *cameras, "--bundle", bundle.path)
    assert set(written) == {"cameras"}
    assert [set(of_camera) for of_camera in written["cameras"]] == [set(keys_of("Figures of a run"))] * 2
