"""The report in a real browser: what the slider changes, and how pictures are opened."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import numpy as np
import pytest
from report_contents import DEFECTS, SCORES, example, report_data

from edgerd.evaluation.report import ComparedRun, write_report
from edgerd.evaluation.report.rates import Rate
from edgerd.evaluation.summary import evaluate_scores

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--dump-dom"),
)
TOOLS = """
const get = (selector) => document.querySelector(selector);
const text = (selector) => get(selector).textContent;
const names = (id) => [...get("#" + id).children].map((one) => Number(one.dataset.score));
const move = (value) => { get("#slider").value = value; get("#slider").dispatchEvent(new Event("input")); };
const type = (value) => { get("#threshold").value = value; get("#threshold").dispatchEvent(new Event("change")); };
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const state = () => ({
  recall: text("[data-rate=recall] .share"), recallInterval: text("[data-rate=recall] .interval"),
  recallIsPoor: get("[data-rate=recall]").classList.contains("poor"),
  alarms: text("[data-rate=alarms] .counted"), alarmsArePoor: get("[data-rate=alarms]").classList.contains("poor"),
  kinds: Object.fromEntries([...document.querySelectorAll("[data-rate=kind]")].map(
    (row) => [row.dataset.kind, row.querySelector(".counted").textContent])),
  missed: names("missed"), alarmScores: names("alarms"), found: names("found"), passed: names("passed"),
  tags: [...document.querySelectorAll("figure.picture")].map((one) => one.querySelector(".tag").textContent),
  headline: text("#headline"), command: text("#typed code"), resets: !get("#reset").disabled,
  line: get(".moves-to-threshold").getAttribute("transform"), counts: text("[data-count-of=missed]"),
});
"""

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]


@pytest.fixture
def browse(tmp_path):
    """Open the report with a script behind its own; gives what the script returns."""

    def run(page, script):
        acted = page.with_name("acted.html")
        answer = f"JSON.stringify((() => {{{script}}})())"
        pre = f"<pre id=acted></pre><script>{TOOLS}onload = () => {{ get('#acted').textContent = {answer}; }}</script>"
        acted.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{pre}</body>"), encoding="utf-8")
        result = subprocess.run(
            [
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={tmp_path / 'profile'}",
                "--window-size=1400,1000",
                acted.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        answer = re.search(r'<pre id="acted">(.*?)</pre>', result.stdout, re.DOTALL)
        assert answer, result.stderr
        return json.loads(unescape(answer[1]))

    return run


@pytest.fixture
def page(tmp_path):
    return write_report(tmp_path / "report", report_data())


def is_as_evaluated(state, threshold):
    """What the page shows is what Python computes for this threshold."""
    metrics = evaluate_scores(SCORES, DEFECTS, threshold)
    recall, alarms = Rate(metrics.n_found, metrics.n_defective), Rate(metrics.n_false_alarms, metrics.n_good)
    assert (state["recall"], state["recallInterval"]) == (recall.share, recall.interval)
    assert state["recallIsPoor"] == recall.is_poor_recall
    assert state["alarms"] == alarms.counted
    assert state["alarmsArePoor"] == alarms.is_poor_false_alarm_rate(0.01)
    assert state["kinds"] == {kind: Rate(one.n_found, one.n).counted for kind, one in metrics.per_defect.items()}
    assert state["headline"].startswith(metrics.headline)
    scores, is_good = np.array(SCORES), np.array(DEFECTS) == "good"
    assert state["missed"] == sorted(scores[~is_good & (scores <= threshold)])
    assert state["found"] == sorted(scores[~is_good & (scores > threshold)])
    assert state["alarmScores"] == sorted(scores[is_good & (scores > threshold)], reverse=True)
    assert state["passed"] == sorted(scores[is_good & (scores <= threshold)], reverse=True)
    expected = ["missed"] * len(state["missed"]) + ["false alarm"] * len(state["alarmScores"])
    assert state["tags"] == expected + ["found"] * len(state["found"]) + ["OK"] * len(state["passed"])
    assert state["counts"] == str(len(state["missed"]))


def test_the_page_follows_the_slider(page, browse):
    visited = """
      const seen = [state()];
      for (const position of [0, 180, 560, 1000, 400, 0, 1000]) { move(position); seen.push(state()); }
      get("#reset").click(); seen.push(state());
      return seen;
    """
    first, *moved, last = browse(page, visited)
    is_as_evaluated(first, 0.4)
    assert not first["resets"]
    assert first["command"] == "edgerd run --bundle nut --camera URI"
    typed = [re.fullmatch(r"edgerd run --threshold (\S+) --bundle nut --camera URI", one["command"]) for one in moved]
    for state, command in zip(moved, typed, strict=True):
        is_as_evaluated(state, float(command[1]))
        assert state["resets"]
        assert f"if the threshold were {command[1]}" in state["headline"]
    assert {state["recall"] for state in moved} >= {"100.0 %", "0.0 %"}
    assert len({state["line"] for state in moved}) == 5
    is_as_evaluated(last, 0.4)
    assert last["command"] == first["command"]


def test_a_threshold_can_be_typed_and_is_judged_as_it_stands(page, browse):
    seen = browse(page, "return ['0.25', '0.6', '', '7'].map((value) => { type(value); return state(); })")
    for state, threshold in zip(seen, (0.25, 0.6, 0.4, 7), strict=True):
        is_as_evaluated(state, threshold)
    assert seen[0]["command"].startswith("edgerd run --threshold 0.25 ")
    assert "--threshold" not in seen[2]["command"]


def test_pictures_open_large_and_the_keys_go_through_them(tmp_path, browse):
    data = report_data(example=lambda index: example(mask=np.eye(90, 120, dtype=bool) if index > 5 else None))
    page = write_report(tmp_path / "report", data)
    seen = browse(
        page,
        """
        const shown = () => [text("#large-name"), text("#large .about"),
          [...document.querySelectorAll("#large img")].map((one) => [one.alt, one.getAttribute("src")])];
        const seen = [get("#large").open];
        get("#missed a").click();
        seen.push(get("#large").open, shown());
        for (const key of ["ArrowLeft", "ArrowRight", "ArrowRight"]) { press(key); seen.push(shown()); }
        get("#large .back").click();
        seen.push(shown()[1]);
        get("#large .close").click();
        seen.push(get("#large").open);
        return seen;
        """,
    )
    was_open, opened, first, before_first, second, third, back, still_open = seen
    assert (was_open, opened, still_open) == (False, True, False)
    assert first[:2] == ["test/scratch/1.png", "scratch, score 0.1missed"]
    assert [alt.split()[0] for alt, _ in first[2]] == ["Picture", "Heatmap", "Mask"]
    assert all((page.parent / source).is_file() for _, source in first[2])
    assert before_first == first
    assert (second[1], third[1]) == ("bent, score 0.25missed", "good, score 0.6false alarm")
    assert len(third[2]) == 2  # a good part has no mask
    assert back == second[1]


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_stands_beyond_the_edge(tmp_path, browse, width):
    """In a frame of that width, since a window of the browser may have a least width of its own."""
    kinds = [f"{kind}-{'very_long_name_' * 5}" if kind != "good" else kind for kind in DEFECTS]
    others = [ComparedRun(Path("another-evaluation.json"), "onnxruntime fp32", report_data().metrics)]
    page = write_report(
        tmp_path / "report",
        report_data(SCORES, kinds, title="Evaluation of " + "x" * 90, run_options="y" * 90, compared=others),
    )
    frame = page.with_name("frame.html")
    content = escape(page.read_text(encoding="utf-8"))
    frame.write_text(f'<body><iframe id=frame width={width} height=900 srcdoc="{content}"></iframe></body>')
    beyond, needed, shown = browse(
        frame,
        """
        const inner = get("#frame").contentDocument, width = inner.documentElement.clientWidth;
        const all = [...inner.querySelectorAll("main *")]
          .filter((one) => !one.closest(".wide table, #typed code"));  // these two scroll by themselves
        const beyond = () => all.filter((one) => one.getBoundingClientRect().right > width + 1);
        const unseen = beyond();
        inner.querySelectorAll(".picture").forEach((one) => { one.style.contentVisibility = "visible"; });
        const found = [...unseen, ...beyond()].map((one) => one.outerHTML.slice(0, 80));
        return [found, inner.documentElement.scrollWidth, all.length];
        """,
    )
    assert shown > 100
    assert beyond == []
    assert needed <= width


def test_without_a_threshold_pictures_open_all_the_same(tmp_path, browse):
    scores, kinds = [0.1, 0.2], ["good", "bent"]
    page = write_report(
        tmp_path / "report", report_data(scores, kinds, 0.3, metrics=evaluate_scores(scores, kinds, None))
    )
    assert browse(page, "get('figure.picture a').click(); return text('#large-name');") == "test/bent/1.png"
