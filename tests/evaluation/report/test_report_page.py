import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_contents import DEFECTS, SCORES, Page, page_of, report_data

from edgerd.errors import InputError, StorageError
from edgerd.evaluation.report import ComparedRun, ReportPicture, write_report
from edgerd.evaluation.report.files import PictureFiles
from edgerd.evaluation.report.gallery import gallery
from edgerd.evaluation.report.slider import slider
from edgerd.evaluation.style import STYLE
from edgerd.evaluation.summary import evaluate_scores
from edgerd.evaluation.threshold import threshold_from_scores

NO_FILES = PictureFiles("p.jpg", "h.jpg", None, "s.jpg", (240, 240))


def test_the_report_is_one_folder_that_loads_nothing_from_elsewhere(tmp_path):
    file = write_report(tmp_path / "new" / "report", report_data())
    assert file == tmp_path / "new" / "report" / "index.html"
    assert sorted(path.name for path in file.parent.iterdir()) == ["index.html", "report-pictures"]
    content = file.read_text(encoding="utf-8")
    addresses = Page(content).addresses
    assert {str(path.relative_to(file.parent)) for path in file.parent.rglob("*.jpg")} == set(addresses)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|import\(", content)


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
        "edgerd evaluate nut nuts --report 'my report'",
    ):
        assert words in text
    assert "6 of 8 defective parts found, 1 of 6 good parts called NG." in text
    assert "number 120 of the 120" in text
    assert "no masks" in text


def test_commands_name_the_bundle(tmp_path):
    few = threshold_from_scores(np.linspace(0.2, 0.4, 30), 0.01)
    data = report_data(threshold=few.value, facts={"Bundle": "my parts/nuts"})
    text = page_of(tmp_path, replace(data, threshold=few)).text
    assert "edgerd calibrate 'my parts/nuts'" in text
    assert "BUNDLE" not in text


def test_recall_comes_first_with_its_interval_and_false_alarms_beside_it(tmp_path):
    text = page_of(tmp_path, report_data()).text
    order = [text.index(word) for word in ("Recall", "75.0 %", "False alarms", "16.7 %", "AUROC")]
    assert order == sorted(order)
    assert "40.9 % to 92.9 %" in text
    assert "(Wilson)" in text


@pytest.mark.parametrize(
    ("threshold", "poor"),
    [(0.22, {"recall", "alarms", "scratch"}), (0.05, {"alarms"}), (0.65, {"recall", "scratch", "bent"})],
)
def test_poor_rates_are_marked(tmp_path, threshold, poor):
    elements = page_of(tmp_path, report_data(threshold=threshold)).elements
    rates = [one for _, one in elements if "data-rate" in one]
    assert len(rates) == 4
    marked = {one.get("data-kind", one["data-rate"]) for one in rates if "poor" in one.get("class", "")}
    assert marked == poor


scored = st.lists(st.tuples(st.sampled_from(["good", "bent", "cut"]), st.floats(0, 4)), min_size=1, max_size=60)


@given(scored, st.floats(0, 4))
def test_the_page_starts_with_the_numbers_of_the_json(pictures, threshold):
    """What the script counts, the pictures' scores and the threshold as the page has them, gives what the JSON says."""
    defects, scores = [kind for kind, _ in pictures], [score for _, score in pictures]
    data = report_data(scores, defects, threshold)
    start = json.loads(Page(slider(data, 0.01)).scripts[0])
    figures = Page(gallery(data.pictures, [NO_FILES] * len(scores), threshold)).figures
    counted = [(one["data-defect"], float(one["data-score"]) > start["threshold"]) for one in figures]
    told = data.metrics.as_json()
    assert start["threshold"] == told["threshold"]
    assert start["low"] < min([*scores, threshold]) <= max([*scores, threshold]) < start["high"]
    assert sum(is_ng for kind, is_ng in counted if kind != "good") == told["n_found"]
    assert sum(is_ng for kind, is_ng in counted if kind == "good") == told["n_false_alarms"]
    for kind, one in told["per_defect"].items():
        assert sum(is_ng for of, is_ng in counted if of == kind) == pytest.approx(one["recall"] * one["n"])


def test_names_are_text_and_not_markup(tmp_path):
    evil = '</script><script>alert("1")</script>&'
    data = replace(
        report_data([0.1, 0.9], ["good", evil], 0.5),
        title=evil,
        facts={evil: evil},
        command=evil,
        run_options=evil,
        pictures=[ReportPicture(evil, "good", 0.1), ReportPicture(evil, evil, 0.9)],
        compared=[ComparedRun(Path(evil), evil, evaluate_scores([0.1], ["good"], 0.5))],
        this_run=(evil, evil),
    )
    page = page_of(tmp_path, data)
    assert [one.get("type") for one in page.all("script")] == ["application/json", None]
    assert page.words.count(evil) >= 7
    assert json.loads(page.scripts[1])["runOptions"] == evil


@pytest.mark.parametrize(
    ("scores", "defects", "threshold"),
    [([0.1, 0.2], ["good", "good"], 0.3), ([0.1], ["bent"], None), ([0.0, 0.0], ["good", "bent"], 0.0)],
)
def test_what_is_not_known_is_left_out(tmp_path, scores, defects, threshold):
    data = replace(report_data(scores, defects), metrics=evaluate_scores(scores, defects, threshold), threshold=None)
    page = page_of(tmp_path, data)
    assert "nan" not in page.text.lower()
    assert "None" not in page.text
    assert ("ROC curve" in page.text) == (len(set(defects)) == 2)
    assert ("There is no threshold yet" in page.text) == (threshold is None)
    assert any(one.get("id") == "slider" for one in page.all("input")) == (threshold is not None)


def test_a_file_name_that_is_not_utf_8(tmp_path):
    data = report_data([0.1], ["good"], 0.5, pictures=[ReportPicture(os.fsdecode(b"test/pr\xfcf.png"), "good", 0.1)])
    assert r"test/pr\udcfcf.png" in page_of(tmp_path, data).text


def test_other_runs_are_shown_beside_this_one(tmp_path):
    others = [
        ComparedRun(Path("int8.json"), "tensorrt int8", evaluate_scores(SCORES, DEFECTS, 0.65)),
        ComparedRun(Path("few.json"), "openvino fp32", evaluate_scores(SCORES[:8], DEFECTS[:8], None)),
    ]
    text = page_of(tmp_path, report_data(compared=others[:1], this_run=("nut", "onnxruntime fp32"))).text
    for words in ("int8.json", "tensorrt int8", "50.0 % (4 of 8)", "75.0 % (6 of 8)", "0.0 % (0 of 6)"):
        assert words in text
    assert "not made on the same pictures" not in text
    assert "not made on the same pictures" in page_of(tmp_path, report_data(compared=others)).text


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        write_report(tmp_path / "file", report_data())


def test_metrics_of_other_pictures(tmp_path):
    with pytest.raises(InputError, match="6 good and 8 defective pictures do not belong to 6 good and 7"):
        write_report(tmp_path, report_data(pictures=report_data().pictures[:-1]))
    assert not list(tmp_path.iterdir())


def colours(block):
    found = re.findall(r"--(\w+): #(\w{6})", block)
    return {name: [int(value[i : i + 2], 16) / 255 for i in (0, 2, 4)] for name, value in found}


def contrast(one, other):
    """WCAG 2.2, "contrast ratio"."""

    def luminance(rgb):
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("block", re.findall(r":root \{.*?\}", STYLE, re.DOTALL), ids=["light", "dark", "paper"])
def test_text_can_be_read_against_its_ground(block):
    colour = colours(block)
    for ground in ("ground", "card", "note"):
        for ink in ("ink", "soft", "alarm"):
            assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
    assert contrast(colour["calm"], colour["card"]) >= 4.5
    assert contrast(colour["good"], colour["card"]) >= 3
    assert contrast(colour["defective"], colour["card"]) >= 3
