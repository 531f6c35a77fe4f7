"""Which pictures are shown, in which order, and what is in their files."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_contents import DEFECTS, SCORES, example, page_of, report_data

from edgerd.evaluation.report import ReportPicture, write_report
from edgerd.evaluation.report.gallery import worst_first
from edgerd.types import Box

pictures = st.lists(st.builds(ReportPicture, st.just("1.png"), st.sampled_from(["good", "bent"]), st.floats(0, 5)))


@given(pictures, st.floats(0, 5))
def test_at_any_threshold_the_mistakes_come_first_and_the_worst_before_the_others(listed, threshold):
    for order in worst_first(listed):
        chosen = [listed[index] for index in order]
        wrong = [(picture.score > threshold) != picture.is_defective for picture in chosen]
        assert wrong == sorted(wrong, reverse=True)
        distance = [abs(picture.score - threshold) for picture in chosen[: sum(wrong)]]
        assert distance == sorted(distance, reverse=True)


@given(pictures)
def test_every_picture_is_in_one_list(listed):
    defective, good = worst_first(listed)
    assert sorted(defective + good) == list(range(len(listed)))


def test_every_picture_is_shown_the_mistakes_first(tmp_path):
    page = page_of(tmp_path, report_data())
    assert sorted(float(one["data-score"]) for one in page.figures) == sorted(SCORES)
    assert [float(one["data-score"]) for one in page.figures[:4]] == [0.1, 0.25, 0.6, 0.5]
    tags = [word for word in page.words if word in ("missed", "false alarm", "found", "OK")]
    assert tags == ["missed"] * 2 + ["false alarm"] + ["found"] * 6 + ["OK"] * 5


@pytest.mark.parametrize(
    ("score", "defect", "word"),
    [(0.41, "bent", "found"), (0.4, "bent", "missed"), (0.41, "good", "false alarm"), (0.4, "good", "OK")],
)
def test_the_outcome_of_a_picture(tmp_path, score, defect, word):
    assert word in page_of(tmp_path, report_data([score], [defect], 0.4)).words


def test_pictures_load_when_they_are_seen_and_keep_their_place(tmp_path):
    images = page_of(tmp_path, report_data()).all("img")
    assert len(images) == len(SCORES)
    for image in images:
        assert image["loading"] == "lazy"
        assert (image["width"], image["height"]) == ("240", "180")
        assert image["alt"].startswith("Heatmap of test/")


def test_a_picture_its_heatmap_and_its_mask_are_files(tmp_path):
    data = report_data([0.9], ["bent"], 0.4, example=lambda index: example(mask=np.eye(90, 120, dtype=bool)))
    page = page_of(tmp_path, data)
    (link,) = page.all("a")
    large = [cv2.imread(str(tmp_path / "report" / link[name])) for name in ("data-plain", "href", "data-mask")]
    assert {picture.shape for picture in large} == {(360, 480, 3)}
    plain, heatmap, mask = (picture.astype(int) for picture in large)
    assert np.abs(plain - 100).max() < 5
    assert np.abs(heatmap - plain).max() > 50
    assert np.abs(mask - plain).max() > 50


def test_only_as_many_pictures_are_in_memory_as_are_asked_for_in_turn(tmp_path):
    asked, counted = [], []
    data = report_data(example=lambda index: asked.append(index) or example())
    write_report(tmp_path, data, on_picture=lambda: counted.append(len(asked)))
    assert asked == list(range(len(DEFECTS)))
    assert counted == [index + 1 for index in asked]


def test_large_pictures_are_made_smaller(tmp_path):
    data = report_data([0.9], ["bent"], 0.4, example=lambda index: example(picture=np.zeros((1500, 3000, 3), np.uint8)))
    (link,) = page_of(tmp_path, data).all("a")
    assert cv2.imread(str(tmp_path / "report" / link["href"])).shape == (500, 1000, 3)


def test_tiles_in_a_region_of_a_tall_picture(tmp_path):
    shown = example(
        picture=np.full((601, 97, 3), 100, np.uint8),
        anomaly_map=np.full((2, 32, 32), 0.9, np.float32),
        tiles=(Box(3, 11, 91, 295), Box(3, 306, 91, 295)),
    )
    (link,) = page_of(tmp_path, report_data([0.9], ["bent"], 0.4, example=lambda index: shown)).all("a")
    heatmap = cv2.imread(str(tmp_path / "report" / link["href"])).astype(int)
    assert heatmap.shape == (601, 97, 3)
    assert np.ptp(heatmap[300, 48]) > 50  # coloured within the tiles
    assert np.ptp(heatmap[3, 48]) < 5  # and not above them


def test_a_second_report_in_the_same_folder_leaves_nothing_of_the_first(tmp_path):
    write_report(tmp_path, report_data())
    own = tmp_path / "report-pictures" / "notes.txt"
    own.write_text("mine")
    write_report(tmp_path, report_data([0.9], ["bent"], 0.4))
    assert {path.name.split("-")[0] for path in own.parent.glob("*.jpg")} == {"00000"}
    assert own.exists()
