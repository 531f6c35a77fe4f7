"""`edgerd run` with several cameras."""

from __future__ import annotations

import json

from json_lines import lines_of
from run_parts import LINE

from edgerd.cameras.fake import FakeCamera
from edgerd.data.samples import line_parts
from edgerd.errors import CameraError

OTHER = "sample://ring?n=8&defective=0.5&size=128&seed=4"


def by_camera(lines, camera):
    return [(line["frame"], line["verdict"], line["score"]) for line in lines if line["camera"] == camera]


def test_each_is_judged_as_if_it_were_alone(edgerd, bundle, tmp_path):
    verdicts, summary = tmp_path / "verdicts.jsonl", tmp_path / "summary.json"
    options = ("--bundle", bundle.path, "--threshold", 0.4)
    both = edgerd(
        "run", "--camera", LINE, "--camera", OTHER, *options, "--verdicts", verdicts, "--json", summary,
    )  # fmt: skip
    assert both.exit_code == 0, both.err
    figures = json.loads(summary.read_text())["cameras"]
    for uri, its in zip((LINE, OTHER), figures, strict=True):
        alone = tmp_path / f"{its['frames']}.jsonl"
        assert edgerd("run", "--camera", uri, *options, "--verdicts", alone).exit_code == 0
        assert by_camera(lines_of(verdicts), uri) == by_camera(lines_of(alone), uri)
        assert its["camera"] == uri
        assert f"{uri}:\n{its['frames']} frames in" in both.out
    assert [its["frames"] for its in figures] == [12, 8]
    assert f"{LINE}: alert raised: " in both.err


def test_a_camera_that_is_lost_leaves_the_others_and_has_its_exit_code(edgerd, bundle, tmp_path, monkeypatch):
    part = line_parts("ring", 1, 0.0, seed=1, size=96)
    pictures = [each.part.picture for each in part] * 4

    def open_fake(uri):
        lost = [CameraError("It was unplugged.")] if uri == "right" else []
        return FakeCamera([*pictures, *lost], uri=uri)

    monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", open_fake)
    events, summary = tmp_path / "events.jsonl", tmp_path / "summary.json"
    options = ("--bundle", bundle.path, "--events", events, "--json", summary)
    result = edgerd("run", "--camera", "left", "--camera", "right", *options)
    assert result.exit_code == 4
    assert "right: It was unplugged." in result.err
    assert [event["camera"] for event in lines_of(events) if event["kind"] == "camera"] == ["right"]
    left, right = json.loads(summary.read_text())["cameras"]
    assert (left["frames"], left["ended"], right["frames"], right["ended"]) == (4, "end of source", 4, "error")


def test_the_same_camera_twice_is_refused(edgerd, bundle):
    result = edgerd("run", "--bundle", bundle.path, "--camera", LINE, "--camera", LINE)
    assert result.exit_code == 2
    assert f"2 cameras are called {LINE}." in result.err


def test_what_shows_one_camera_says_so(edgerd, bundle, tmp_path):
    options = ("--camera", LINE, "--camera", OTHER, "--save-video", tmp_path / "both.mp4")
    result = edgerd("run", "--bundle", bundle.path, *options)
    assert result.exit_code == 2
    assert "--save-video shows one camera, and there are 2." in result.err
    assert not (tmp_path / "both.mp4").exists()


def test_the_check_looks_at_each(edgerd, bundle):
    other = "sample://ring?n=3&size=96"
    result = edgerd("run", "--bundle", bundle.path, "--camera", LINE, "--camera", other, "--check")
    assert result.exit_code == 0, result.err
    assert result.out.count("1 frame in") == 2
