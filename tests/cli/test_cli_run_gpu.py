"""`edgerd run` and `edgerd bench` over the emulated GPU."""

from __future__ import annotations

import json

import pytest
from emulation.driver import CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS
from json_lines import lines_of

pytestmark = [pytest.mark.emulated(once=True), pytest.mark.usefixtures("shared_cache")]

LINE = "sample://ring?n=12&defective=0.5&size=96"
TENSORRT = ("--runtime", "tensorrt", "--precision", "fp32")


@pytest.fixture
def run(edgerd, emulation, bundle, tmp_path):
    """Runs a camera; gives the command's result and the verdicts."""

    def start(*options):
        verdicts = tmp_path / "verdicts.jsonl"
        verdicts.unlink(missing_ok=True)
        result = edgerd("run", "--camera", LINE, "--bundle", bundle.path, "--verdicts", verdicts, *options)
        return result, lines_of(verdicts) if verdicts.exists() else []

    return start


@pytest.mark.parametrize("options", [(), ("--mode", "throughput", "--slots", 4, "--wait", "spinning", "--profile")])
def test_a_run_on_the_gpu_gives_the_verdicts_of_the_cpu(run, tmp_path, options):
    _, on_cpu = run()
    result, on_gpu = run(*TENSORRT, *options, "--json", tmp_path / "summary.json")
    assert result.exit_code == 0, result.err
    assert [line["verdict"] for line in on_gpu] == [line["verdict"] for line in on_cpu]
    assert [line["score"] for line in on_gpu] == pytest.approx([line["score"] for line in on_cpu], abs=1e-3)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["runtime"], summary["frames"], summary["warnings"]) == ("tensorrt", 12, [])
    assert (summary["engine_ms"] is not None) == ("--profile" in options)


@pytest.mark.parametrize(("what", "after", "mode"), [("run:kernel", 14, "latency"), ("run:copy", 58, "throughput")])
def test_a_lost_gpu_ends_the_process_with_its_exit_code_and_what_was_said_is_on_the_disk(
    run, emulated_python, bundle, tmp_path, what, after, mode
):
    _, on_cpu = run()
    threshold = sorted(line["score"] for line in on_cpu)[3]
    expected = [line["frame"] for line in on_cpu if line["score"] > threshold]
    files = {name: tmp_path / f"{mode}-{name}.jsonl" for name in ("events", "verdicts")}
    arguments = ["run", "--camera", LINE, "--bundle", str(bundle.path), *TENSORRT, "--mode", mode]
    arguments += ["--threshold", str(threshold), "--events", str(files["events"]), "--verdicts", str(files["verdicts"])]
    ended = emulated_python(
        f"""
        emulation.driver.fail({what!r}, {ILLEGAL_ADDRESS}, after={after}, sticks=True)
        from edgerd.cli.main import main
        main({arguments!r})
        """
    )
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("The GPU is lost: an illegal memory access") == 1
    assert "Next: Start again" in ended.stderr
    assert not {"pycuda", "traceback"} & set(ended.stderr.lower().split())

    lines = lines_of(files["verdicts"])
    judged = [line for line in lines if line["verdict"] != "NO_DECISION"]
    assert 4 < len(judged) < len(lines) < 12
    assert lines[-1]["reason"].startswith("The GPU is lost")
    events = lines_of(files["events"])
    *alerts, lost = events
    assert [event["frame"] for event in alerts] == [frame for frame in expected if frame < len(judged)]
    assert (lost["kind"], lost["state"], lost["frame"]) == ("device", "lost", len(judged))
    assert events


def test_work_that_is_no_graph_is_said_once(run, emulation):
    emulation.driver.fail("cuStreamBeginCapture", CAPTURE_UNSUPPORTED, times=100)
    result, lines = run(*TENSORRT)
    assert result.exit_code == 0
    assert len(lines) == 12
    assert result.err.count("not as one graph") == 1


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_bench_measures_the_gpu(edgerd, emulation, bundle, tmp_path, mode):
    options = ("--frame-size", "128x96", "--max-frames", 20, "--mode", mode, "--json", tmp_path / "bench.json")
    result = edgerd("bench", bundle.path, *TENSORRT, *options)
    assert result.exit_code == 0, result.err
    figures = json.loads((tmp_path / "bench.json").read_text())
    assert figures["engine_ms"]["n"] == figures["frame_ms"]["n"] == 20
    assert figures["engine_ms"]["p50"] < figures["frame_ms"]["p50"]
