"""Pictures of another aspect ratio than those of training: each command that judges says so, once, with numbers."""

from __future__ import annotations

import cv2
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.cameras.fake import FakeCamera
from edgerd.data.samples import line_parts

WARNING = "another aspect ratio than the pictures that this bundle was trained on (96x96)"
ADVICE = "--keep-aspect crop or letterbox does not distort them"


def said(result):
    """What was printed for people, in one line: a terminal breaks it somewhere."""
    return " ".join((result.out + result.err).split())


def stretched_to(folder, width, height):
    for file in folder.rglob("*.png"):
        cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), (width, height)))


@pytest.fixture
def wide_parts(own_parts):
    """The sample parts, those to test with stretched to 16:9, and none of them known from training."""
    for folder in ("test", "ground_truth"):
        stretched_to(own_parts / folder, 128, 72)
    return own_parts


@pytest.fixture
def wide(wide_parts):
    return sorted((wide_parts / "test").glob("*/000.png"))


@pytest.fixture
def old_bundle(bundle):
    """The bundle as an older version wrote it, which did not know the sizes of its training pictures."""
    training = bundle.manifest.training.model_copy(update={"sizes": ()})
    return bundle.save_with(bundle.manifest.model_copy(update={"training": training}))


class TestInspect:
    def test_pictures_of_another_shape_are_counted(self, edgerd, bundle, parts, wide):
        result = edgerd("inspect", bundle.path, *wide, parts / "test" / "good" / "001.png")
        assert result.exit_code == 0
        assert said(result).count(WARNING) == 1
        assert f"{len(wide)} of {len(wide) + 1} pictures (128x72) have {WARNING}: they are 1.78 : 1" in said(result)
        assert "squeezed to 56% of its width" in said(result)
        assert ADVICE in said(result)

    def test_another_size_of_the_same_shape_is_not_worth_a_word(self, edgerd, bundle, own_parts):
        stretched_to(own_parts / "test" / "good", 301, 300)
        result = edgerd("inspect", bundle.path, own_parts / "test" / "good" / "000.png")
        assert "aspect" not in said(result)

    def test_a_bundle_of_an_older_version_says_nothing(self, edgerd, old_bundle, wide):
        assert "aspect" not in said(edgerd("inspect", old_bundle.path, *wide))


def test_evaluate_says_it_on_the_screen_and_in_the_report(edgerd, bundle, wide_parts, tmp_path):
    result = edgerd("evaluate", bundle.path, wide_parts, "--report", tmp_path / "report")
    assert result.exit_code == 0, result.err
    assert said(result).count(WARNING) == 1
    assert "another aspect ratio" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["folder", "camera", "defects"])
def test_calibrate_says_it_of_what_it_takes(edgerd, bundle, wide_parts, source):
    folder = wide_parts / "test" / "good"
    options = {"folder": (folder,), "camera": ("--from-camera", folder), "defects": ("--defects", wide_parts / "test")}
    result = edgerd("calibrate", bundle.path, *options[source])
    assert result.exit_code == 0, result.err
    assert said(result).count(WARNING) == 1


def test_build_engine_says_it_of_labelled_pictures(edgerd, bundle, wide_parts):
    result = edgerd(
        "build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32", "--calibration", wide_parts
    )
    assert result.exit_code == 0, result.err
    assert said(result).count(WARNING) == 1


class TestRun:
    def test_each_camera_says_it_once(self, edgerd, bundle, monkeypatch):
        square, high = ([cv2.resize(one, size) for one in frames(3)] for size in ((96, 96), (72, 128)))
        wide = [cv2.resize(one, (128, 72)) for one in frames(3)]
        by_name = {"left": wide, "middle": square, "right": high}
        monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", lambda uri: FakeCamera(by_name[uri], uri=uri))
        cameras = [option for name in by_name for option in ("--camera", name)]
        result = edgerd("run", *cameras, "--bundle", bundle.path)
        assert result.exit_code == 0, result.err
        assert said(result).count(WARNING) == 2
        assert f"The frames of left (128x72) have {WARNING}" in said(result)
        assert f"The frames of right (72x128) have {WARNING}" in said(result)

    def test_the_first_picture_of_a_folder_need_not_be_the_one(self, run, wide_parts):
        folder = wide_parts / "test" / "good"
        for index in range(3):
            file = folder / f"{index:03d}.png"
            cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), (96, 96)))
        assert said(run(folder)).count(WARNING) == 1

    def test_a_recipe_says_it_where_it_is_written_and_where_it_is_checked(self, edgerd, bundle, wide_parts, tmp_path):
        recipe = tmp_path / "edgerd.toml"
        written = edgerd("init", "--camera", wide_parts / "test" / "good", "--bundle", bundle.path, "-o", recipe)
        assert written.exit_code == 0, written.err
        assert said(written).count(WARNING) == 1
        checked = edgerd("run", "--recipe", recipe, "--check")
        assert checked.exit_code == 0, checked.err
        assert said(checked).count(WARNING) == 1

    def test_a_bundle_of_an_older_version_says_nothing(self, run, old_bundle, wide_parts):
        result = run(wide_parts / "test" / "good")
        assert result.exit_code == 0, result.err
        assert "aspect" not in said(result)


class TestTrain:
    def test_mixed_sizes_are_counted(self, train, own_parts):
        for index in range(10):
            file = own_parts / "train" / "good" / f"{index:03d}.png"
            cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), (128, 72)))
        result = train(own_parts, "--method", "prototypes", method=(), steps=None)
        assert result.exit_code == 0, result.err
        assert "The 40 pictures have different aspect ratios: 30 of 96x96, 10 of 128x72." in said(result)
        assert "All are stretched to 32x32, so that the same part is up to 1.78 times as wide" in said(result)

    def test_one_size_is_not_worth_a_word(self, train, parts):
        assert "aspect" not in said(train(parts, "--method", "prototypes", method=(), steps=None))

    @pytest.mark.parametrize("aspect", ["crop", "letterbox"])
    def test_the_bundle_keeps_the_choice_and_the_sizes(self, train, edgerd, parts, tmp_path, aspect):
        assert train(parts, "--method", "prototypes", "--keep-aspect", aspect, method=(), steps=None).exit_code == 0
        assert edgerd("export", tmp_path / "run", "-o", tmp_path / "bundle").exit_code == 0
        manifest = Bundle.open(tmp_path / "bundle").manifest
        assert manifest.preprocess.aspect == aspect
        assert [(str(one), one.n) for one in manifest.training.sizes] == [("96x96", 40)]
        result = edgerd("show", tmp_path / "bundle")
        assert f"32x32 px, {aspect}" in result.out
        assert "40 of 96x96" in result.out

    def test_resume_refuses_another_choice(self, edgerd, trained_copy, parts):
        result = edgerd("train", parts, "-o", trained_copy, "--resume", "--keep-aspect", "crop")
        assert result.exit_code == 2
        assert "--keep-aspect crop cannot be used" in said(result)


def frames(n):
    return [part.part.picture for part in line_parts("ring", n, 0.0, seed=1, size=96)]
