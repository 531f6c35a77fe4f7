"""The evaluation report: one HTML file, for the screen and for paper.

Style, charts and pictures are inside the file (inline CSS and SVG, JPEG as data URIs). It loads nothing and runs no
script, so it can be mailed and archived.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import InputError, StorageError
from edgerd.evaluation.charts import roc_chart, score_chart
from edgerd.evaluation.heatmap import colour_scale, mask_overlay, overlay
from edgerd.evaluation.metrics import roc_curve
from edgerd.evaluation.style import html_page
from edgerd.evaluation.summary import DefectMetrics, Metrics
from edgerd.evaluation.threshold import describe
from edgerd.types import GOOD, BoolArray, Box, Float32Array, Float64Array, UInt8Array

N_EXAMPLES = 6
_PICTURE_SIDE_PX = 420


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture shown in the report.

    Attributes:
        name: The name that is shown, e.g. the path below the data folder.
        defect: Kind of defect, "good" for a good picture.
        score: The picture's score.
        picture: uint8 (h, w, 3), BGR, as it was read.
        anomaly_map: float32 (T, H, W), or (H, W) for one tile.
        mask: bool, any size, True on the defect; None where there is none.
        tiles: Where the T tiles lie in the picture; empty for one tile that covers it.
    """

    name: str
    defect: str
    score: float
    picture: UInt8Array
    anomaly_map: Float32Array
    mask: BoolArray | None = None
    tiles: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """The content of a report.

    Attributes:
        title: Heading and window title.
        facts: Name and value of what was evaluated, shown in this order: bundle, runtime, precision, data, date, ...
        metrics: From `edgerd.evaluation.summary.evaluate_scores`.
        scores: (n,), any float type, one per test picture.
        defects: n kinds of defect, "good" for good pictures.
        threshold: How `metrics.threshold` was found, explained in the report; None if a person chose it.
        lowest_defective: Defective pictures to show, lowest score first.
        highest_good: Good pictures to show, highest score first.
    """

    title: str
    facts: Mapping[str, str]
    metrics: Metrics
    scores: npt.ArrayLike
    defects: Sequence[str]
    threshold: ThresholdRecord | None = None
    lowest_defective: Sequence[Example] = ()
    highest_good: Sequence[Example] = ()


def hardest_pictures(scores: npt.ArrayLike, defects: Sequence[str]) -> tuple[list[int], list[int]]:
    """Choose the pictures to show: those that are the hardest to judge.

    Args:
        scores: (n,), any float type.
        defects: n kinds of defect, "good" for good pictures.

    Returns:
        Indices of the `N_EXAMPLES` lowest-scoring defective pictures, lowest first, and of as many good ones, the
        highest-scoring first.
    """
    order = np.argsort(np.asarray(scores), kind="stable").tolist()
    lowest_defective = [index for index in order if defects[index] != GOOD]
    highest_good = [index for index in reversed(order) if defects[index] == GOOD]
    return lowest_defective[:N_EXAMPLES], highest_good[:N_EXAMPLES]


def write_report(folder: Path, data: ReportData) -> Path:
    """Write the report.

    Args:
        folder: Folder of the report; made if it does not exist.
        data: The content.

    Returns:
        The file, `folder`/index.html.

    Raises:
        StorageError: It cannot be written.
        InputError: The numbers of scores and kinds of defect differ, or an example has not one map per tile.
    """
    page = _page(data)
    target = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StorageError(
            f"The report could not be written to {target}: {error.strerror or error}.",
            expected="a writable folder with space left",
            hint="Choose another folder with --report.",
        ) from error
    return target


def _page(data: ReportData) -> str:
    scores, kinds = np.asarray(data.scores, dtype=np.float64), np.asarray(data.defects, dtype=np.str_)
    if scores.shape != kinds.shape or not scores.size:
        raise InputError(f"A report of {scores.size} scores cannot be made with {kinds.size} kinds of defect.")
    sections = [
        f"<h1>{escape(data.title)}</h1>",
        f'<p class="lead">{escape(data.metrics.headline)}.</p>',
        _numbers(data.metrics),
        _facts(data.facts),
        _threshold_note(data.metrics, data.threshold),
        _charts(data.metrics, scores, kinds != GOOD),
        _defect_table(data.metrics.per_defect),
        _examples(data, scores),
    ]
    return html_page(data.title, sections)


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _numbers(metrics: Metrics) -> str:
    masks = "no masks" if metrics.pixel_auroc is None else ""
    cards = [
        ("Found", _count(metrics.n_found, metrics.n_defective), f"recall {_share(metrics.recall)}, {_at(metrics)}"),
        (
            "False alarms",
            _count(metrics.n_false_alarms, metrics.n_good),
            f"good parts called NG, {_share(metrics.false_alarm_rate)}",
        ),
        ("Image AUROC", _area(metrics.image_auroc), f"{metrics.n_good} good, {metrics.n_defective} defective pictures"),
        ("Pixel AUROC", _area(metrics.pixel_auroc), masks or "every pixel of every picture"),
        ("AUPRO", _area(metrics.aupro), masks or "region overlap over the data set, false-positive rates up to 0.3"),
        ("PRO per picture", _area(metrics.pro_per_image), masks or "as RD4AD takes it; not comparable with AUPRO"),
    ]
    boxes = (
        f'<div class="card"><div class="name">{name}</div><div class="value">{value}</div>'
        f'<div class="said">{said}</div></div>'
        for name, value, said in cards
    )
    return f'<div class="numbers">{"".join(boxes)}</div>'


def _threshold_note(metrics: Metrics, record: ThresholdRecord | None) -> str:
    if record:
        words = escape(describe(record)).replace(" %", "&nbsp;%")
        return f'<div class="note{" unsure" if record.extrapolated else ""}">{words}</div>'
    if metrics.threshold is not None:
        return f'<div class="note">NG is a score above {metrics.threshold:.4g}.</div>'
    return '<div class="note unsure">There is no threshold yet: edgerd calibrate BUNDLE DATA finds one.</div>'


def _charts(metrics: Metrics, scores: Float64Array, is_defective: BoolArray) -> str:
    histogram = score_chart(scores[~is_defective], scores[is_defective], metrics.threshold)
    cards = [f'<div class="card"><h3>Scores</h3>{histogram}</div>']
    if metrics.image_auroc is not None:
        point = None
        if metrics.false_alarm_rate is not None and metrics.recall is not None:
            point = metrics.false_alarm_rate, metrics.recall
        curve = roc_chart(*roc_curve(scores, is_defective), point)
        cards.append(f'<div class="card"><h3>ROC curve, area {metrics.image_auroc:.4f}</h3>{curve}</div>')
    return f'<div class="charts">{"".join(cards)}</div>'


def _defect_table(per_defect: Mapping[str, DefectMetrics]) -> str:
    if not per_defect:
        return ""
    rows = (
        f"<tr><td>{escape(kind)}</td><td>{one.n}</td><td>{_area(one.image_auroc)}</td><td>{_share(one.recall)}</td>"
        f'<td class="bar"><div class="track"><i style="width:{100 * (one.recall or 0):.1f}%"></i></div></td></tr>'
        for kind, one in per_defect.items()
    )
    return (
        "<h2>By kind of defect</h2><p class='lead'>Each kind against all good pictures.</p>"
        '<div class="card"><table><tr><th>Defect</th><th>Pictures</th><th>Image AUROC</th>'
        '<th colspan="2">Recall</th></tr>'
        f"{''.join(rows)}</table></div>"
    )


def _examples(data: ReportData, scores: Float64Array) -> str:
    threshold = data.metrics.threshold
    scale = float(np.median(scores)) if threshold is None else threshold
    parts = []
    for title, lead, examples in (
        ("Lowest-scoring defects", "The defective pictures that are the easiest to miss.", data.lowest_defective),
        ("Highest-scoring good parts", "The good pictures that are the closest to a false alarm.", data.highest_good),
    ):
        if examples:
            cards = "".join(_example(example, threshold, scale) for example in examples)
            parts.append(
                f'<h2>{title}</h2><p class="lead">{lead}</p>{_colour_legend()}<div class="examples">{cards}</div>'
            )
    return "".join(parts)


def _colour_legend() -> str:
    stops = ", ".join(
        f"rgba({red}, {green}, {blue}, {opacity:.2f}) {50 * multiple:.1f}%"
        for multiple, (red, green, blue), opacity in colour_scale()
    )
    return (
        f'<div class="scale">0<i style="background:linear-gradient(90deg, {stops})"></i>'
        "twice the threshold; outlined: above the threshold</div>"
    )


def _example(example: Example, threshold: float | None, scale: float) -> str:
    picture, tiles = _scaled(example.picture, example.tiles)
    pictures = [("picture", picture), ("anomaly map", overlay(picture, example.anomaly_map, scale, tiles=tiles))]
    if example.mask is not None:
        pictures.append(("mask", mask_overlay(picture, example.mask)))
    images = "".join(
        f'<div><img src="{_jpeg_uri(image)}" alt="{name} of {escape(example.name)}"><span>{name}</span></div>'
        for name, image in pictures
    )
    caption = f"<b>{escape(example.name)}</b><span>score {example.score:.4g}</span>"
    if threshold is not None:
        alarm, good = example.score > threshold, example.defect == GOOD
        words = {(True, True): "false alarm", (True, False): "found", (False, True): "OK", (False, False): "missed"}
        caption += f'<span class="tag {"wrong" if alarm == good else "right"}">{words[alarm, good]}</span>'
    return f'<figure class="card"><figcaption>{caption}</figcaption><div class="pictures">{images}</div></figure>'


def _scaled(picture: UInt8Array, tiles: Sequence[Box]) -> tuple[UInt8Array, list[Box]]:
    """A picture and its tiles at the report's size, so that outlines are equally thick in all pictures."""
    height, width = picture.shape[:2]
    factor = _PICTURE_SIDE_PX / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    across, down = size[0] / width, size[1] / height
    boxes = []
    for tile in tiles:
        left, top = round(tile.x * across), round(tile.y * down)
        right, bottom = round((tile.x + tile.width) * across), round((tile.y + tile.height) * down)
        boxes.append(Box(left, top, max(1, right - left), max(1, bottom - top)))
    return np.asarray(resized, np.uint8), boxes


def _jpeg_uri(bgr: UInt8Array) -> str:
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"


def _area(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _count(n: int | None, of: int) -> str:
    return "–" if n is None or not of else f"{n} of {of}"


def _at(metrics: Metrics) -> str:
    return "no threshold" if metrics.threshold is None else f"at the threshold of {metrics.threshold:.4g}"
