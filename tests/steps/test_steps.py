"""`edgerd.train`, `export` and `build_engine`: from pictures to an engine as from a notebook."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

import edgerd
from edgerd.bundle.bundle import Bundle
from edgerd.data.pictures import read_picture
from edgerd.errors import DatasetError, InputError, MissingDependencyError
from edgerd.steps import needs
from edgerd.steps import train as train_module

torch = pytest.importorskip("torch", exc_type=ImportError)


@pytest.fixture
def lines():
    return []


def test_the_whole_way_from_pictures_to_a_verdict(parts, tmp_path, lines):
    run = edgerd.train(parts, tmp_path / "run", method="prototypes", image_size=64, threads=1, say=lines.append)
    assert run.path == tmp_path / "run"
    assert lines[0] == "Training on 40 pictures of good parts, on cpu."
    bundle = edgerd.export(run, tmp_path / "bundle", false_alarm_rate=0.1, say=lines.append)
    assert bundle.manifest.threshold.false_alarm_rate == 0.1
    assert any(line.startswith("NG is a score above") for line in lines)
    bundle = edgerd.build_engine(bundle, runtime="onnxruntime", precision="fp32", say=lines.append)
    assert lines[-1].startswith(f"Default engine of {tmp_path / 'bundle'}: onnxruntime fp32, threshold")
    assert [record.key.runtime for record in Bundle.open(tmp_path / "bundle").manifest.engines] == ["onnxruntime"]
    with edgerd.Inspector.open(bundle) as inspector:
        picture = next((parts / "train" / "good").iterdir())
        assert inspector.inspect(read_picture(picture)).verdict is edgerd.Verdict.OK


def test_a_line_of_progress_every_ten_seconds_and_at_the_end(monkeypatch, lines):
    now = [0.0]
    monkeypatch.setattr(train_module.time, "monotonic", lambda: now[0])
    update = train_module._lines_for(lines.append)
    for step in range(1, 26):
        now[0] = float(step)
        update(SimpleNamespace(progress=SimpleNamespace(total_steps=step), n_steps=25, loss=0.5))
    assert lines == [f"step {step} of 25, loss 0.5000" for step in (10, 20, 25)]


def test_an_export_over_a_bundle_keeps_its_false_alarm_rate(bundle, trained_run, lines):
    edgerd.export(trained_run, bundle.path, false_alarm_rate=0.2, say=lines.append)
    again = edgerd.export(trained_run, bundle.path, pictures=False, say=lines.append)
    assert again.manifest.threshold.false_alarm_rate == 0.2
    assert not again.manifest.holdout


def test_steps_are_printed_by_default(bundle, capsys):
    edgerd.build_engine(bundle.path, runtime="onnxruntime", precision="fp32")
    assert re.search(r"^Default engine of .*: onnxruntime fp32", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"method": "prototypes", "steps": 5}, "--steps 5 is of no use to method prototypes"),
        ({"method": "edgy"}, "no method named 'edgy'"),
        ({"student": "ligth"}, "ligth"),
        ({"image_size": 100}, "--image-size 100 cannot be used"),
        ({"region": "1,2,3"}, "1,2,3"),
        ({"batch_size": 0}, "batch_size 0 cannot be used"),
        ({"method": "rd4ad", "holdout": 0.0}, "holdout 0.0 cannot be used"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(parts, tmp_path, options, what):
    with pytest.raises(InputError, match=what):
        edgerd.train(parts, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_too_few_pictures(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError):
        edgerd.train(tmp_path / "empty", tmp_path / "run")


@pytest.mark.parametrize("step", [lambda: edgerd.train("pictures", "run"), lambda: edgerd.export("run", "bundle")])
def test_without_torch_the_extra_is_named(monkeypatch, step):
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingDependencyError, match="need torch") as error:
        step()
    assert error.value.hint == 'pip install "edgerd[train]"'
