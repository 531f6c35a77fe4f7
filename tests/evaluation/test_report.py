import base64
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from edgerd.errors import InputError, StorageError
from edgerd.evaluation.report import Example, ReportData, hardest_pictures, write_report
from edgerd.evaluation.summary import evaluate_scores
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.types import Box

DEFECTS = ["good"] * 6 + ["scratch"] * 4 + ["bent"] * 4
SCORES = [0.20, 0.21, 0.22, 0.23, 0.24, 0.60, 0.1, 0.7, 0.8, 0.9, 0.5, 0.55, 0.25, 0.95]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Balance of tags, addresses, pictures and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.words, self.tags = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def example(name="test/bent/1.png", defect="bent", score=0.25, **changes):
    picture = np.full((90, 120, 3), 100, np.uint8)
    anomaly_map = np.linspace(0, 0.6, 32 * 32, dtype=np.float32).reshape(32, 32)
    return replace(Example(name, defect, score, picture, anomaly_map), **changes)


def report_data(**changes):
    record = threshold_from_scores(np.linspace(0.2, 0.4, 120), 0.01)
    data = ReportData(
        title="Evaluation of nuts",
        facts={"Bundle": "3f9a1c0b", "Runtime": "onnxruntime", "Precision": "fp32"},
        metrics=evaluate_scores(SCORES, DEFECTS, record.value),
        scores=SCORES,
        defects=DEFECTS,
        threshold=record,
        lowest_defective=[example(mask=np.eye(90, 120, dtype=bool))],
        highest_good=[example("test/good/5.png", "good", 0.6)],
    )
    return replace(data, **changes)


def page_of(tmp_path, data):
    return Page(write_report(tmp_path / "report", data).read_text(encoding="utf-8"))


def test_the_report_is_one_file_that_loads_nothing(tmp_path):
    file = write_report(tmp_path / "new" / "report", report_data())
    assert file == tmp_path / "new" / "report" / "index.html"
    assert [path.name for path in file.parent.iterdir()] == ["index.html"]
    content = file.read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in page.tags
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"https?:|@import|url\(", content)


def test_the_report_says_what_evaluate_says(tmp_path):
    data = report_data()
    text = page_of(tmp_path, data).text
    for words in (
        "Evaluation of nuts",
        "3f9a1c0b",
        "onnxruntime",
        f"{data.metrics.image_auroc:.4f}",
        "scratch",
        "bent",
    ):
        assert words in text
    assert "6 of 8 defective parts found, 1 of 6 good parts called NG." in text
    assert "number 120 of the 120" in text
    assert "no masks" in text


def test_examples_are_shown_with_map_mask_and_outcome(tmp_path):
    page = page_of(tmp_path, report_data())
    assert len(page.addresses) == 5
    assert "missed" in page.words
    assert "false alarm" in page.words
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(page.addresses[0].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (315, 420, 3)


@pytest.mark.parametrize(
    ("score", "defect", "word"),
    [(0.41, "bent", "found"), (0.4, "bent", "missed"), (0.41, "good", "false alarm"), (0.4, "good", "OK")],
)
def test_the_outcome_of_a_picture(tmp_path, score, defect, word):
    data = report_data(lowest_defective=[], highest_good=[example(defect=defect, score=score)])
    assert word in page_of(tmp_path, data).words


def test_tiles_in_a_region_of_a_tall_picture(tmp_path):
    picture = np.full((601, 97, 3), 100, np.uint8)
    maps = np.full((2, 32, 32), 0.5, np.float32)
    tiles = (Box(3, 11, 91, 295), Box(3, 306, 91, 295))
    data = report_data(highest_good=[example(picture=picture, anomaly_map=maps, tiles=tiles)])
    assert len(page_of(tmp_path, data).addresses) == 5


def test_names_are_text_and_not_markup(tmp_path):
    evil = '<script>alert("1")</script>&'
    data = report_data(
        title=evil,
        facts={evil: evil},
        metrics=evaluate_scores([0.1, 0.9], ["good", evil], 0.5),
        scores=[0.1, 0.9],
        defects=["good", evil],
        lowest_defective=[example(evil, evil)],
    )
    page = page_of(tmp_path, data)
    assert "script" not in page.tags
    assert page.words.count(evil) >= 5


@pytest.mark.parametrize(
    ("scores", "defects", "threshold"),
    [([0.1, 0.2], ["good", "good"], 0.3), ([0.1], ["bent"], None), ([0.0, 0.0], ["good", "bent"], 0.0)],
)
def test_what_is_not_known_is_left_out(tmp_path, scores, defects, threshold):
    metrics = evaluate_scores(scores, defects, threshold)
    data = report_data(metrics=metrics, scores=scores, defects=defects, threshold=None)
    text = page_of(tmp_path, data).text
    assert "nan" not in text.lower()
    assert "None" not in text
    assert ("ROC curve" in text) == (len(set(defects)) == 2)
    assert ("There is no threshold yet" in text) == (threshold is None)


def test_a_file_name_that_is_not_utf_8(tmp_path):
    page = page_of(tmp_path, report_data(lowest_defective=[example(name=os.fsdecode(b"test/pr\xfcf.png"))]))
    assert r"test/pr\udcfcf.png" in page.text


def test_the_hardest_pictures_are_those_nearest_the_wrong_side():
    lowest_defective, highest_good = hardest_pictures(SCORES, DEFECTS)
    assert (len(lowest_defective), len(highest_good)) == (6, 6)
    assert lowest_defective[:3] == [6, 12, 10]
    assert highest_good[:3] == [5, 4, 3]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        write_report(tmp_path / "file", report_data())


def test_scores_and_kinds_that_differ_in_number(tmp_path):
    with pytest.raises(InputError, match="2 scores"):
        write_report(tmp_path, report_data(scores=[0.1, 0.2]))
