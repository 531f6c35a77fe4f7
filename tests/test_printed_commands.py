"""Every command that an error or a line of progress proposes can be pasted, whatever the folders are called."""

import shlex
import shutil

import click
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.file import read_manifest
from edgerd.bundle.manifest import EngineKey, EngineRecord
from edgerd.calibration.calibrate import calibrate
from edgerd.cli.main import COMMANDS, edgerd
from edgerd.errors import EdgerdError
from edgerd.runtimes.choose import open_engine

NAME = "teile [neu] a's"


def words_of(text):
    """The words of the commands that a text proposes, as a shell would split them."""
    for line in text.splitlines():
        for piece in line.split("edgerd ")[1:]:
            if piece.split(" ")[0] in COMMANDS:
                yield shlex.split(piece, comments=False)


def assert_names(text, path):
    commands = list(words_of(text))
    assert commands, text
    for words in commands:
        if any("teile" in word for word in words):
            assert str(path) in [word.rstrip(";,.") for word in words], text
            return
    pytest.fail(f"{path} is in no command: {text}")


@pytest.fixture
def odd(tmp_path):
    (tmp_path / NAME).mkdir()
    return tmp_path / NAME


def test_a_run_that_is_taken_or_missing(odd, parts):
    run = pytest.importorskip("edgerd.training.run", exc_type=ImportError)
    (odd / "x").touch()
    with pytest.raises(EdgerdError) as caught:
        run.RunFolder.prepare(odd, parts, run.TrainingConfig())
    assert_names(caught.value.hint, odd)
    with pytest.raises(EdgerdError) as caught:
        run.RunFolder.open(odd)
    assert_names(caught.value.hint, odd)


def test_a_checkpoint_that_is_missing_or_damaged(odd):
    checkpoint = pytest.importorskip("edgerd.training.checkpoint", exc_type=ImportError)
    for content in (None, b"damaged"):
        if content:
            (odd / "checkpoint.safetensors").write_bytes(content)
        with pytest.raises(EdgerdError) as caught:
            checkpoint.Checkpoint.open(odd / "checkpoint.safetensors")
        assert_names(caught.value.hint, odd)


def test_no_bundle_and_a_run_in_its_place(odd):
    for name in (None, "run.json"):
        if name:
            (odd / name).touch()
        with pytest.raises(EdgerdError) as caught:
            read_manifest(odd)
        assert_names(caught.value.hint, odd)


def test_a_bundle_without_threshold_pictures_or_the_engine_that_is_asked_for(odd, bundle):
    odd.rmdir()
    moved = Bundle.open(shutil.move(bundle.path, odd))
    bare = moved.save_with(moved.manifest.model_copy(update={"threshold": None, "holdout": (), "cross_fit": None}))
    for use in (lambda: open_engine(bare, "openvino", "int8"), lambda: calibrate(bare, 0.01)):
        with pytest.raises(EdgerdError) as caught:
            use()
        assert_names(caught.value.hint, odd)


@pytest.mark.parametrize(("runtime", "is_known"), [("onnxruntime", True), ("of another version", False)])
def test_a_default_engine_that_does_not_fit(odd, bundle, runtime, is_known):
    odd.rmdir()
    moved = Bundle.open(shutil.move(bundle.path, odd))
    key = EngineKey(
        runtime=runtime,
        runtime_version="0.0",
        precision="int8",
        device="another",
        features=(),
        graph_sha256=moved.manifest.files["graph.fp32.onnx"].sha256,
    )
    record = EngineRecord.model_construct(key=key, files=(), threshold=moved.manifest.threshold, default=True)
    with open_engine(Bundle(odd, moved.manifest.model_copy(update={"engines": (record,)}))) as opened:
        assert "None" not in opened.why
    if is_known:
        assert_names(opened.why, odd)


def test_the_demo_prints_what_it_runs_as_one_would_type_it(tmp_path, monkeypatch, capsys):
    from edgerd.cli import demo

    monkeypatch.setattr(edgerd, "main", lambda **_: 0)
    demo._edgerd(["train", tmp_path / NAME, "-o", "run"])
    assert list(words_of(click.unstyle(capsys.readouterr().out))) == [["train", str(tmp_path / NAME), "-o", "run"]]
