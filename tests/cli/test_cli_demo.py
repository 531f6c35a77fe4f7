"""`edgerd demo`: the whole way, and it never touches a folder that is not its own."""

from __future__ import annotations

import json

import pytest

from edgerd.cli.demo import _line_result, demo


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ring", "weave", "label"])
def test_the_whole_way(edgerd, tmp_path, kind):
    result = edgerd("demo", "-o", tmp_path / "demo", "--kind", kind)
    assert result.exit_code == 0, result.err
    for command in ("train", "export", "build-engine", "evaluate", "run"):
        assert f"$ edgerd {command} " in result.out
    found = _line_result(tmp_path / "demo" / "line.avi.json", tmp_path / "demo" / "events.jsonl")
    assert (found.n_defective, found.n_good) == (10, 50)
    assert found.n_found >= 9
    assert found.n_false_alarms <= 1
    result_lines = result.out.split("Result")[1]
    assert result_lines.index("defective parts found") < result_lines.index("image AUROC")
    assert (tmp_path / "demo" / "report" / "index.html").exists()
    assert (tmp_path / "demo" / "line-heatmap.mp4").exists()


def test_a_folder_that_is_not_its_own_is_left_alone(edgerd, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    result = edgerd("demo", "-o", tmp_path)
    assert result.exit_code != 0
    assert "is not empty, and is not a demo" in result.err
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("left", [("parts/good.png", "line.avi"), ("made-by-edgerd-demo.txt", "run/checkpoint")])
def test_an_older_demo_makes_room_and_what_it_links_to_stays(tmp_path, monkeypatch, left):
    out, elsewhere = tmp_path / "demo", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("years of work")
    for name in left:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("of the last demo")
    (out / "link").symlink_to(elsewhere)
    found = []
    monkeypatch.setattr("edgerd.data.samples.write_dataset", lambda *_, **__: found.extend(out.iterdir()))
    monkeypatch.setattr("edgerd.data.samples.write_video", lambda *_, **__: None)
    monkeypatch.setattr("edgerd.cli.main.edgerd.main", lambda **_: 130)
    with pytest.raises(SystemExit):
        demo.main(args=["-o", str(out)])
    assert [entry.name for entry in found] == ["made-by-edgerd-demo.txt"]
    assert (elsewhere / "thesis.txt").exists()


def test_a_typing_error_costs_nothing(edgerd, tmp_path):
    old = tmp_path / "demo"
    (old / "parts").mkdir(parents=True)
    (old / "line.avi").write_text("of the last demo")
    result = edgerd("demo", "-o", old, "--kind", "rign")
    assert result.exit_code == 2
    assert "ring" in result.err
    assert (old / "line.avi").exists()


def test_an_interrupted_step_ends_the_demo(edgerd, tmp_path, monkeypatch):
    monkeypatch.setattr("edgerd.data.samples.write_dataset", lambda *args, **kwargs: None)
    monkeypatch.setattr("edgerd.data.samples.write_video", lambda *args, **kwargs: None)
    monkeypatch.setattr("edgerd.cli.main.edgerd.main", lambda **kwargs: 130)
    with pytest.raises(SystemExit) as ended:
        demo.main(args=["-o", str(tmp_path / "demo")])
    assert ended.value.code == 130


def test_alerts_are_compared_with_what_was_on_the_line(tmp_path):
    frames = [{"frame": number, "part": number, "defect": "stain" if number in (2, 5) else None} for number in range(8)]
    (tmp_path / "line.avi.json").write_text(json.dumps({"frames": frames}))
    alerts = [{"kind": "alert", "frame": 2}, {"kind": "camera", "frame": 5}, {"kind": "alert", "frame": 7}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(alert) + "\n" for alert in alerts))
    result = _line_result(tmp_path / "line.avi.json", tmp_path / "events.jsonl")
    assert (result.n_defective, result.n_found, result.n_good, result.n_false_alarms) == (2, 1, 6, 1)
