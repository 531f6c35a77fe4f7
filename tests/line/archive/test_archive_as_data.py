"""An archive is data: `train`, `calibrate` and `evaluate` read it where it lies, and its pictures are judged alike."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from archive_parts import NG, NO_DECISION, OK, archive, part
from inspection_parts import BLACK, THRESHOLD, make_bundle, picture
from line_parts import run_camera

from edgerd.acceptance.evaluate import evaluate
from edgerd.acceptance.new_pictures import pictures_from_folder
from edgerd.cameras.fake import FakeCamera
from edgerd.data.dataset import Dataset
from edgerd.data.layouts import all_pictures
from edgerd.data.pictures import read_picture
from edgerd.errors import DatasetError
from edgerd.events import FrameVerdict
from edgerd.inspection.inspector import Inspector
from edgerd.line.observer import Observer
from edgerd.line.update import Update
from edgerd.runtimes.choose import OpenedEngine
from edgerd.runtimes.fake import FakeEngine

BUNDLE = make_bundle()
GOOD_PARTS = [picture(0.01 * number, number=number) for number in range(8)]
DEFECTIVE_PARTS = [picture(0.5), picture(0.8)]


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """What a line has archived of 8 good, 2 defective and 2 black pictures; the folder of its only camera."""
    inspector = Inspector(BUNDLE, FakeEngine(), THRESHOLD)
    kept = archive(tmp_path / "archive")
    observer = Observer("archive", kept.take, noun="picture", capacity=4)

    def watch(update: Update) -> None:
        frame = update.frame
        verdict = FrameVerdict(
            update.inspection, update.camera, frame.number, frame.source, frame.captured_at, time.time(), "b" * 64
        )
        chosen = kept.choose(frame, verdict, inspector.spec)
        if chosen is not None:
            observer.put(chosen, may_wait=True)

    run_camera(inspector, FakeCamera([*GOOD_PARTS, *DEFECTIVE_PARTS, BLACK, BLACK]), on_update=watch)
    assert observer.close()
    assert not observer.loss
    (camera,) = (tmp_path / "archive").iterdir()
    return camera / "part"


def test_the_ok_pictures_are_good_parts_to_train_on(archived: Path) -> None:
    dataset = Dataset.open(archived)
    assert [read_picture(path).tolist() for path in dataset.train_good] == [good.tolist() for good in GOOD_PARTS]


def test_the_folder_of_ok_pictures_alone_is_one_too(archived: Path) -> None:
    assert len(Dataset.open(archived / "train" / "good").train_good) == 8


def test_calibrate_takes_the_ok_pictures(archived: Path) -> None:
    said: list[str] = []
    assert len(pictures_from_folder(BUNDLE, archived, said.append)) == 8
    assert said == []


def test_evaluate_takes_the_ng_pictures_as_defects(archived: Path) -> None:
    opened = OpenedEngine(FakeEngine(), None, "")
    evaluation = evaluate(BUNDLE, opened, Dataset.open_labelled(archived))
    assert [one.defect for one in evaluation.pictures] == ["ng", "ng"]
    assert all(score > THRESHOLD for score in evaluation.scores)


def test_a_person_sorts_by_moving_pictures(archived: Path) -> None:
    """A false alarm goes to the good ones; a good one is kept for the test; a defect gets a name."""
    false_alarm, defect = sorted((archived / "test/ng").iterdir())
    false_alarm.rename(archived / "train/good" / false_alarm.name)
    for target, source in (("scratch", defect), ("good", min((archived / "train/good").iterdir()))):
        (archived / "test" / target).mkdir()
        source.rename(archived / "test" / target / source.name)
    dataset = Dataset.open(archived)
    assert len(dataset.train_good) == 8
    assert [one.defect for one in dataset.test] == ["good", "scratch"]


def test_neither_heatmaps_nor_what_was_not_judged_is_read_as_a_part(archived: Path) -> None:
    assert len([*(archived / "heatmaps").glob("*.jpg")]) == 10
    assert len([*(archived / "no_decision").glob("*.png")]) == 2
    assert {path.parent.name for path in all_pictures(archived)} == {"good", "ng"}
    assert Dataset.open(archived).unused() == ()


def test_what_was_not_judged_can_be_read_where_it_is_named(archived: Path) -> None:
    assert len(Dataset.open(archived / "no_decision").train_good) == 2


def test_who_points_too_high_is_told_where_the_data_is(archived: Path) -> None:
    with pytest.raises(DatasetError) as error:
        Dataset.open(archived.parent)
    assert error.value.hint == f"Name {archived} instead."


def test_a_picture_is_judged_as_its_record_says(archived: Path) -> None:
    inspector = Inspector(BUNDLE, FakeEngine(), THRESHOLD)
    pictures = [*archived.rglob("*.png")]
    assert len(pictures) == 12
    for path in pictures:
        record = json.loads((archived / "records" / f"{path.stem}.json").read_text())
        again = inspector.inspect(read_picture(path))
        assert (again.verdict.value, again.score) == (record["verdict"], record["score"])


def test_products_and_cameras_are_data_sets_of_their_own(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    for number, (camera, product) in enumerate([("a", "nut"), ("a", "bolt"), ("b", "nut")] * 2):
        for place, verdict in enumerate((OK, NG, NO_DECISION)):
            kept.take(part(verdict, 3 * number + place, camera=camera, product=product))
    for folder in ("a/nut", "a/bolt", "b/nut"):
        dataset = Dataset.open(tmp_path / folder)
        assert (len(dataset.train_good), len(dataset.test)) == (2, 2)
