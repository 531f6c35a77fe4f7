"""A small report for tests, and a page taken apart."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from edgerd.evaluation.report import Example, ReportData, ReportPicture, write_report
from edgerd.evaluation.summary import evaluate_scores
from edgerd.evaluation.threshold import threshold_from_scores

DEFECTS = ["good"] * 6 + ["scratch"] * 4 + ["bent"] * 4
SCORES = [0.20, 0.21, 0.22, 0.23, 0.24, 0.60, 0.1, 0.7, 0.8, 0.9, 0.5, 0.55, 0.25, 0.95]
VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Balance of tags, the attributes of each, scripts, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words, self.scripts = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(self.words)

    @property
    def addresses(self):
        names = ("src", "href", "data", "data-plain", "data-mask")
        return [attributes[name] for _, attributes in self.elements for name in names if name in attributes]

    @property
    def figures(self):
        return [one for one in self.all("figure") if "data-score" in one]


def example(**changes):
    picture = np.full((90, 120, 3), 100, np.uint8)
    anomaly_map = np.linspace(0, 0.6, 32 * 32, dtype=np.float32).reshape(32, 32)
    return replace(Example(picture, anomaly_map), **changes)


def report_data(scores=SCORES, defects=DEFECTS, threshold=None, **changes):
    """A report of these pictures; at the threshold of 120 good pictures, 0.4, if none is given."""
    record = None if threshold is not None else threshold_from_scores(np.linspace(0.2, 0.4, 120), 0.01)
    data = ReportData(
        title="Evaluation of nuts",
        facts={"Bundle": "3f9a1c0b", "Engine": "onnxruntime, fp32"},
        command="edgerd evaluate nut nuts --report 'my report'",
        run_options="--bundle nut --camera URI",
        metrics=evaluate_scores(scores, defects, threshold if record is None else record.value),
        pictures=[
            ReportPicture(f"test/{kind}/1.png", kind, score) for kind, score in zip(defects, scores, strict=True)
        ],
        example=lambda index: example(),
        threshold=record,
    )
    return replace(data, **changes)


def page_of(tmp_path, data):
    return Page(write_report(tmp_path / "report", data).read_text(encoding="utf-8"))
