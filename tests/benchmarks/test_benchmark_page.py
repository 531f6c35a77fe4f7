"""`benchmarks/page.py`: the page of figures is what lies in results/, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import page

    yield page
    for name in ("page", "machine"):
        sys.modules.pop(name, None)


def test_the_page_and_its_plots_are_those_of_the_results(page):
    for file, content in page.page().items():
        assert file.read_text(encoding="utf-8") == content, f"python {BENCHMARKS / 'page.py'}"


def test_seeds_are_put_together_per_data_set_and_method(page):
    def row(seed, found, recall):
        return {
            "data": "nuts",
            "method": "edge",
            "seed": seed,
            "good pictures": 60,
            "image AUROC": 0.9,
            "pixel AUROC": None,
            "recall": recall,
            "found": f"{found} of 48",
            "false alarms": f"{seed} of 22",
        }

    (mean,) = page.means_over_seeds([row(0, 42, 0.8), row(1, 44, 0.9)])
    assert mean["recall"] == pytest.approx(0.85)
    assert (mean["found"], mean["false alarms"], mean["pixel AUROC"]) == ("42, 44 of 48", "0, 1 of 22", None)


def test_bars_are_as_long_as_their_values_and_any_label_is_text(page):
    bars = page.Bars("ms & more", lambda row: row["name"], lambda row: row["value"])
    svg = ET.fromstring(page.bars_svg(bars, [{"name": "a <b>", "value": 2.0}, {"name": "anomalib", "value": 4.0}]))
    _, *rects = [element for element in svg if element.tag.endswith("rect")]
    lengths = [float(rect.get("width")) for rect in rects]
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-3)
    assert rects[0].get("fill") != rects[1].get("fill")
    assert [element.text for element in svg if element.tag.endswith("text")] == [
        "ms & more",
        "a <b>",
        "2",
        "anomalib",
        "4",
    ]
