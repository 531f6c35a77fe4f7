"""The page of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from shlex import quote

import numpy as np

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import InputError
from edgerd.evaluation.charts import roc_chart, score_chart
from edgerd.evaluation.metrics import roc_curve
from edgerd.evaluation.report.content import ReportData
from edgerd.evaluation.report.files import (
    PICTURES,
    PictureFiles,
    new_pictures,
    remove_others,
    sync_pictures,
    write_pictures,
)
from edgerd.evaluation.report.gallery import gallery
from edgerd.evaluation.report.rates import POOR_RECALL, USUAL_FALSE_ALARM_RATE, Rate
from edgerd.evaluation.report.slider import slider
from edgerd.evaluation.style import html_page
from edgerd.evaluation.summary import DefectMetrics, Metrics
from edgerd.evaluation.threshold import describe
from edgerd.storage import replaced_file, storage_errors
from edgerd.types import BoolArray, Float64Array

_DIALOG = (
    '<dialog id="large" aria-labelledby="large-name"><div class="bar"><b id="large-name"></b>'
    '<span class="about"></span>'
    '<button type="button" class="back" aria-label="Previous picture">←</button>'
    '<button type="button" class="on" aria-label="Next picture">→</button>'
    '<button type="button" class="close" aria-label="Close">✕</button></div><div class="views"></div></dialog>'
)


def write_report(folder: Path, data: ReportData, on_picture: Callable[[], None] = lambda: None) -> Path:
    """Write the report: its pictures, and then the page that shows them.

    Until the page is replaced in one step, an earlier report in the folder is whole. Its pictures are removed last.

    Args:
        folder: Folder of the report; made if it does not exist.
        data: The content.
        on_picture: Called once for each picture that is written.

    Returns:
        The page, `folder`/index.html.

    Raises:
        StorageError: It cannot be written.
        InputError: The metrics are not those of the pictures, or an example has not one map per tile.
    """
    _check(data)
    scale = float(np.median(_scores(data))) if data.metrics.threshold is None else data.metrics.threshold
    target = folder / "index.html"
    hint = "Free some space, or choose another folder with --report."
    with storage_errors(target, hint), new_pictures(folder) as files:
        for index in range(len(data.pictures)):
            files.append(write_pictures(folder, index, data.example(index), scale))
            on_picture()
        sync_pictures(folder)
        with replaced_file(target) as part:
            part.write_text(_page(data, files), encoding="utf-8", errors="backslashreplace")
    with storage_errors(folder / PICTURES, hint):
        remove_others(folder, files)
    return target


def _check(data: ReportData) -> None:
    n_defective = int(_is_defective(data).sum())
    counted = len(data.pictures) - n_defective, n_defective
    if counted != (data.metrics.n_good, data.metrics.n_defective) or not data.pictures:
        raise InputError(
            f"Metrics of {data.metrics.n_good} good and {data.metrics.n_defective} defective pictures do not belong "
            f"to {counted[0]} good and {counted[1]} defective ones."
        )


def _scores(data: ReportData) -> Float64Array:
    return np.array([picture.score for picture in data.pictures])


def _is_defective(data: ReportData) -> BoolArray:
    return np.array([picture.is_defective for picture in data.pictures], np.bool_)


def _page(data: ReportData, files: Sequence[PictureFiles]) -> str:
    metrics = data.metrics
    asked = data.threshold.false_alarm_rate if data.threshold else USUAL_FALSE_ALARM_RATE
    here = package_files(__package__)
    sections = [
        f"<h1>{escape(data.title)}</h1>",
        f'<p class="lead" id="headline">{escape(metrics.headline)}.</p>',
        *(f'<div class="note doubt unsure">{escape(doubt)}</div>' for doubt in data.doubts),
        _rates(metrics, asked),
        _facts(data.facts),
        _threshold_note(metrics, data.threshold, quote(data.facts.get("Bundle", "BUNDLE"))),
        slider(data, asked),
        _defect_table(metrics.per_defect),
        _charts(metrics, _scores(data), _is_defective(data)),
        _areas(metrics),
        _comparison(data),
        gallery(data.pictures, files, metrics.threshold),
        f'<h2>To repeat this</h2><p class="lead"><code>{escape(data.command)}</code></p>',
        _DIALOG,
    ]
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return html_page(data.title, sections, style=style, script=script)


def _rates(metrics: Metrics, asked: float) -> str:
    recall = Rate(metrics.n_found, metrics.n_defective)
    alarms = Rate(metrics.n_false_alarms, metrics.n_good)
    cards = (
        ("recall", "Recall: defective parts found", recall, recall.is_poor_recall,
         f"poor: below {100 * POOR_RECALL:.0f} %"),
        ("alarms", "False alarms: good parts called NG", alarms, alarms.is_poor_false_alarm_rate(asked),
         f"poor: more than the {100 * asked:.3g} % asked for"),
    )  # fmt: skip
    boxes = (
        f'<div class="card{" poor" if poor else ""}" data-rate="{rate}"><div class="name">{name}</div>'
        f'<div class="value"><span class="share">{counted.share}</span> <span class="counted">{counted.counted}</span>'
        f'</div><div class="said">95 % interval (Wilson) <span class="interval">{counted.interval}</span></div>'
        f'<div class="said why">{why}</div></div>'
        for rate, name, counted, poor, why in cards
    )
    return f'<div class="rates">{"".join(boxes)}</div>'


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _threshold_note(metrics: Metrics, record: ThresholdRecord | None, bundle: str) -> str:
    if record:
        words = escape(describe(record, bundle)).replace(" %", "&nbsp;%")
        return f'<div class="note{" unsure" if record.extrapolated else ""}">{words}</div>'
    if metrics.threshold is not None:
        return f'<div class="note">NG is a score above {metrics.threshold:.4g}.</div>'
    command = f"edgerd calibrate {escape(bundle)} DATA"
    return f'<div class="note unsure">There is no threshold yet: {command} finds one.</div>'


def _defect_table(per_defect: Mapping[str, DefectMetrics]) -> str:
    if not per_defect:
        return ""
    rows = []
    for kind, one in per_defect.items():
        rate = Rate(one.n_found, one.n)
        width = 0.0 if one.recall is None else 100 * one.recall
        rows.append(
            f'<tr data-rate="kind" data-kind="{escape(kind)}"{" class=poor" if rate.is_poor_recall else ""}>'
            f'<td>{escape(kind)}</td><td class="share">{rate.share}</td><td class="counted">{rate.counted}</td>'
            f'<td class="interval">{rate.interval}</td>'
            f'<td class="bar"><div class="track"><i style="width:{width:.1f}%"></i></div></td>'
            f"<td>{_area(one.image_auroc)}</td></tr>"
        )
    bar = '<span class="hidden">Recall as a bar</span>'
    head = _table_head("Defect", "Recall", "Found", "95 % interval (Wilson)", bar, "Image AUROC")
    return (
        "<h2>By kind of defect</h2><p class='lead'>AUROC: each kind against all good pictures.</p>"
        f'<div class="card wide"><table>{head}'
        f"{''.join(rows)}</table></div>"
    )


def _charts(metrics: Metrics, scores: Float64Array, is_defective: BoolArray) -> str:
    histogram = score_chart(scores[~is_defective], scores[is_defective], metrics.threshold)
    cards = [f'<div class="card"><h3>Scores</h3>{histogram}</div>']
    if metrics.image_auroc is not None:
        point = None
        if metrics.false_alarm_rate is not None and metrics.recall is not None:
            point = metrics.false_alarm_rate, metrics.recall
        curve = roc_chart(*roc_curve(scores, is_defective), point)
        cards.append(f'<div class="card"><h3>ROC curve, area {metrics.image_auroc:.4f}</h3>{curve}</div>')
    return f'<h2>Scores</h2><div class="charts">{"".join(cards)}</div>'


def _areas(metrics: Metrics) -> str:
    masks = "no masks" if metrics.pixel_auroc is None else ""
    cards = [
        ("Image AUROC", metrics.image_auroc, f"{metrics.n_good} good, {metrics.n_defective} defective pictures"),
        ("Pixel AUROC", metrics.pixel_auroc, masks or "every pixel of every picture"),
        ("AUPRO", metrics.aupro, masks or "region overlap over the data set, false-positive rates up to 0.3"),
        ("PRO per picture", metrics.pro_per_image, masks or "as RD4AD takes it; not comparable with AUPRO"),
    ]
    boxes = (
        f'<div class="card"><div class="name">{name}</div><div class="value">{_area(value)}</div>'
        f'<div class="said">{said}</div></div>'
        for name, value, said in cards
    )
    return f'<h2>Areas under curves, at no threshold</h2><div class="numbers">{"".join(boxes)}</div>'


def _comparison(data: ReportData) -> str:
    if not data.compared:
        return ""
    runs = [(*data.this_run, data.metrics), *((run.file.name, run.engine, run.metrics) for run in data.compared)]
    sizes = {(metrics.n_good, metrics.n_defective) for _, _, metrics in runs}
    doubt = "" if len(sizes) == 1 else " They were not made on the same pictures: compare with care."
    recall, alarms = ("Recall", "95 % interval"), ("False alarms", "95 % interval")
    head = _table_head("Evaluation", "Engine", *recall, *alarms, "Image AUROC", "AUPRO", "Threshold")
    return (
        f'<h2>Compared</h2><p class="lead">Each at its own threshold; the slider moves none of these.{doubt}</p>'
        f'<div class="card wide"><table>{head}'
        f"{''.join(_compared_row(*run) for run in runs)}</table></div>"
    )


def _compared_row(name: str, engine: str, metrics: Metrics) -> str:
    recall, alarms = Rate(metrics.n_found, metrics.n_defective), Rate(metrics.n_false_alarms, metrics.n_good)
    threshold = "–" if metrics.threshold is None else f"{metrics.threshold:.4g}"
    cells = (
        *(name, engine, f"{recall.share} ({recall.counted})", recall.interval),
        *(f"{alarms.share} ({alarms.counted})", alarms.interval),
        *(_area(metrics.image_auroc), _area(metrics.aupro), threshold),
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _table_head(*columns: str) -> str:
    cells = (f'<th scope="col">{column}</th>' for column in columns)
    return f"<tr>{''.join(cells)}</tr>"


def _area(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
