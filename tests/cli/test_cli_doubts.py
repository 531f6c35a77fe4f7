"""Doubts about a bundle are said by every command that judges with it, unasked."""

from __future__ import annotations

import json

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.evaluation.rough_recall import rough_recall
from edgerd.evaluation.threshold import threshold_from_scores

EXTRAPOLATED = "warning: the threshold is extrapolated from 10 good pictures; 89 more would settle"
NOTHING = "warning: this bundle finds next to nothing: at its threshold 0 of 6 pasted defects"


@pytest.fixture
def commands(bundle, parts):
    return {
        "inspect": ("inspect", bundle.path, parts / "test" / "good" / "000.png", "--json", "-"),
        "run": ("run", "--camera", parts / "test" / "good", "--bundle", bundle.path, "--json", "-"),
        "evaluate": ("evaluate", bundle.path, parts, "--json", "-"),
        "bench": ("bench", bundle.path, "--max-frames", 2, "--frame-size", "64x64", "--json", "-"),
        "show": ("show", bundle.path),
        "build-engine": ("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32"),
    }


COMMANDS = ("inspect", "run", "evaluate", "bench", "show", "build-engine")


def with_recall(bundle: Bundle, score: float) -> Bundle:
    recall = rough_recall([score] * 6, ["thin", "small", "faint", "large", "texture", "colour"], 0.5)
    return bundle.save_with(bundle.manifest.model_copy(update={"rough_recall": recall}))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bundle_that_finds_nothing_and_guesses_its_threshold_says_so(edgerd, bundle, commands, name):
    with_recall(bundle, 0.1)
    result = edgerd(*commands[name])
    assert result.exit_code == 0, result.err
    assert EXTRAPOLATED in result.err
    assert f"it: edgerd calibrate {bundle.path} MORE_PICTURES, or --from-camera URI\n" in result.err
    assert NOTHING in result.err
    if "--json" in commands[name]:
        json.loads(result.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_one_that_is_settled_and_finds_defects_says_nothing(edgerd, bundle, commands, name):
    threshold = threshold_from_scores([bundle.manifest.threshold.value - index / 1e4 for index in range(120)], 0.01)
    settled = bundle.save_with(bundle.manifest.model_copy(update={"threshold": threshold}))
    with_recall(settled, 0.9)
    result = edgerd(*commands[name])
    assert result.exit_code == 0, result.err
    assert "warning: the threshold" not in result.err
    assert "next to nothing" not in result.err


def test_a_threshold_that_a_person_gives_is_theirs_to_know(edgerd, bundle, commands):
    with_recall(bundle, 0.1)
    assert "warning" not in edgerd(*commands["inspect"], "--threshold", 0.5).err


def test_export_and_calibrate_say_what_pasted_defects_show(edgerd, bundle, trained_run, tmp_path):
    for result in (edgerd("export", trained_run, "-o", tmp_path / "new"), edgerd("calibrate", bundle.path)):
        assert result.exit_code == 0, result.err
        assert "of 48 pasted defects (thin " in result.out
    recall = Bundle.open(bundle.path).manifest.rough_recall
    assert recall.n == 48
    assert [kind.n for kind in recall.per_kind.values()] == [8] * 6


def test_calibrate_warns_where_next_to_nothing_is_found(edgerd, bundle, monkeypatch):
    monkeypatch.setattr("edgerd.evaluation.rough_recall.LEAST_SHARE_FOUND", 1.01)
    assert "this bundle finds next to nothing" in edgerd("calibrate", bundle.path).err
