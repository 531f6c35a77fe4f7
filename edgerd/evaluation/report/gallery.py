"""The pictures on the page: all of them, the mistakes first, the worst mistakes before the others."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgerd.evaluation.heatmap import colour_scale
from edgerd.evaluation.report.content import ReportPicture
from edgerd.evaluation.report.files import PictureFiles

_WORDS = {(True, True): "found", (True, False): "missed", (False, True): "false alarm", (False, False): "OK"}
"""What a picture is, by whether it is defective and whether it is NG."""


def worst_first(pictures: Sequence[ReportPicture]) -> tuple[list[int], list[int]]:
    """The order of the pictures on the page.

    Returns:
        Indices of the defective pictures, the lowest score first, and of the good ones, the highest first. At any
        threshold the mistakes are the beginning of each list: the one farthest from the threshold first.
    """
    order = sorted(range(len(pictures)), key=lambda index: pictures[index].score)
    defective = [index for index in order if pictures[index].is_defective]
    good = [index for index in reversed(order) if not pictures[index].is_defective]
    return defective, good


def gallery(pictures: Sequence[ReportPicture], files: Sequence[PictureFiles], threshold: float | None) -> str:
    """The lists of pictures as HTML.

    Args:
        pictures: All pictures.
        files: The files of each.
        threshold: NG is score > threshold; None where there is none, and then nothing is called right or wrong.
    """
    defective, good = worst_first(pictures)

    def figures(indices: Sequence[int], *, is_ng: bool | None = None) -> list[str]:
        return [
            _figure(pictures[index], files[index], threshold)
            for index in indices
            if threshold is None or _is_ng(pictures[index], threshold) == is_ng
        ]

    head, click = (
        "<h2>Pictures</h2>",
        "Click a picture to see it large; the arrow keys go on from there, Esc goes back.",
    )
    if threshold is None:
        lists = (
            _list("defective", "Defective parts", "The lowest score first.", figures(defective)),
            _list("good", "Good parts", "The highest score first.", figures(good)),
        )
        return f'{head}<p class="lead">{click}</p>{_legend()}{"".join(lists)}'
    far, near = "the farthest from the threshold first.", "the nearest to the threshold first."
    wrong = (
        _list("missed", "Missed", f"Defective parts called OK, {far}", figures(defective, is_ng=False)),
        _list("alarms", "False alarms", f"Good parts called NG, {far}", figures(good, is_ng=True)),
    )
    right = (
        _list("found", "Found", f"Defective parts called NG, {near}", figures(defective, is_ng=True)),
        _list("passed", "Passed", f"Good parts called OK, {near}", figures(good, is_ng=False)),
    )
    note = f"Heatmaps are drawn for the threshold of {threshold:.4g}, wherever the slider is."
    return (
        f'{head}<p class="lead">{click} {note}</p>{_legend()}'
        f'<div class="mistakes">{"".join(wrong)}</div>{"".join(right)}'
    )


def _is_ng(picture: ReportPicture, threshold: float) -> bool:
    return picture.score > threshold


def _list(name: str, title: str, lead: str, figures: Sequence[str]) -> str:
    return (
        f'<section class="list" aria-labelledby="{name}-title"><h3 id="{name}-title">{title} '
        f'<span class="n" data-count-of="{name}">{len(figures)}</span></h3><p class="lead">{lead}</p>'
        f'<div class="gallery" id="{name}">{"".join(figures)}</div></section>'
    )


def _figure(picture: ReportPicture, files: PictureFiles, threshold: float | None) -> str:
    tag = ""
    if threshold is not None:
        is_ng = _is_ng(picture, threshold)
        right = "right" if is_ng == picture.is_defective else "wrong"
        tag = f'<span class="tag {right}">{_WORDS[picture.is_defective, is_ng]}</span>'
    name, width, height = escape(picture.name), *files.small_size
    mask = f' data-mask="{files.mask}"' if files.mask else ""
    return (
        f'<figure class="card picture" data-score="{picture.score!r}" data-defect="{escape(picture.defect)}">'
        f'<a href="{files.heatmap}" data-plain="{files.plain}"{mask}><img src="{files.small}" width="{width}" '
        f'height="{height}" loading="lazy" decoding="async" alt="Heatmap of {name}"></a>'
        f"<figcaption><b>{name}</b><span>{escape(picture.defect)}, score {picture.score:.4g}</span>{tag}</figcaption>"
        "</figure>"
    )


def _legend() -> str:
    stops = ", ".join(
        f"rgba({red}, {green}, {blue}, {opacity:.2f}) {50 * multiple:.1f}%"
        for multiple, (red, green, blue), opacity in colour_scale()
    )
    return (
        f'<div class="scale">0<i style="background:linear-gradient(90deg, {stops})"></i>'
        "twice the threshold; outlined: above the threshold</div>"
    )
