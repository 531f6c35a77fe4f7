"""A page about good pictures that may not be good: one HTML file with the pictures inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.evaluation.outliers import far_outside
from edgerd.evaluation.style import html_page
from edgerd.evaluation.threshold import FEW
from edgerd.storage import replaced_file, storage_errors
from edgerd.types import UInt8Array

MOST_SHOWN = 40
"""Most suspicious pictures on the page; where there are more, single pictures are not the problem."""
_ORDINARY = 6
_THUMBNAIL_PX = 220
_TITLE = "Good pictures that may not be good"


def write_good_pictures(
    file: Path,
    names: Sequence[str],
    scores: npt.ArrayLike,
    picture: Callable[[int], UInt8Array],
    columns: int = 1,
) -> tuple[int, ...]:
    """Write the page if there are suspicious pictures; otherwise remove an old page.

    Args:
        file: The page.
        names: The names of n pictures, as they are shown.
        scores: Their scores by models that never saw them, (n,), any float type.
        picture: Gives the tiles of a picture by its index: uint8 (T, H, W, 3), BGR, row by row.
        columns: Columns of the tiling.

    Returns:
        Indices of the suspicious pictures (`far_outside`), highest score first.

    Raises:
        StorageError: It cannot be written.
    """
    suspicious = far_outside(scores)
    with storage_errors(file, "Free some space; the same command with --resume then writes the page."):
        if not suspicious:
            file.unlink(missing_ok=True)
            return ()
        page = _page(names, np.asarray(scores, np.float64).ravel(), suspicious, picture, columns)
        with replaced_file(file) as part:
            part.write_text(page, encoding="utf-8", errors="backslashreplace")
    return suspicious


def _page(
    names: Sequence[str],
    scores: npt.NDArray[np.float64],
    suspicious: tuple[int, ...],
    picture: Callable[[int], UInt8Array],
    columns: int,
) -> str:
    usual = float(np.median(scores))
    ordinary = [int(index) for index in np.argsort(np.abs(scores - usual), kind="stable") if index not in suspicious]

    def thumbnails(indices: Sequence[int]) -> str:
        figures = (_figure(names[index], scores[index], picture(index), columns) for index in indices)
        return f'<div class="thumbnails">{"".join(figures)}</div>'

    shown = suspicious[:MOST_SHOWN]
    more = f" The {MOST_SHOWN} highest are shown." if len(suspicious) > MOST_SHOWN else ""
    one = len(suspicious) == 1
    return html_page(
        _TITLE,
        (
            f"<h1>{_TITLE}</h1>",
            f'<p class="lead">{len(suspicious)} of {len(scores)} pictures of good parts {"scores" if one else "score"} '
            f"far above the others. A score says how unusual a picture looks to networks that were trained without it; "
            f"half of these pictures score below {usual:.2f}.{more}</p>",
            thumbnails(shown),
            "<h2>What to do</h2>",
            _advice(len(scores)),
            "<h2>For comparison: ordinary pictures</h2>",
            '<p class="lead">Those whose scores are nearest to the middle.</p>',
            thumbnails(sorted(ordinary[:_ORDINARY])),
        ),
    )


def _advice(n: int) -> str:
    learned = "the networks have learned from them that such parts are good"
    effect = (
        f"With fewer than {FEW} pictures, those on this page do not count for the threshold, but {learned}."
        if n < FEW
        else f"Pictures like these raise the threshold, and {learned}: real defects may be missed."
    )
    return (
        "<ul>"
        "<li><b>It shows a defect, or no part at all:</b> remove the file from the folder, and train again into a new "
        "run folder.</li>"
        "<li><b>The picture is bad</b> (blurred, too dark, the part is cut off): remove it as well, unless pictures "
        "like it must count as good in production.</li>"
        "<li><b>It is a good part that seldom looks like this</b> (another tray, another batch, another lamp): keep "
        "it, take ten or more pictures like it, and train again. Until then, parts like it may be called NG.</li>"
        "<li><b>It looks like all the others:</b> keep it. Something small may still be wrong; compare it at full "
        "size.</li>"
        "</ul>"
        f'<div class="note unsure">{effect}</div>'
    )


def _figure(name: str, score: float, tiles: UInt8Array, columns: int) -> str:
    caption = f"<b>{escape(name)}</b>score {score:.2f}"
    image = f'<img src="{_png_uri(_thumbnail(tiles, columns))}" alt="{escape(name)}">'
    return f'<figure class="card">{image}<figcaption>{caption}</figcaption></figure>'


def _thumbnail(tiles: UInt8Array, columns: int) -> UInt8Array:
    """The whole picture, put together from its tiles, at the size of a thumbnail."""
    whole = np.concatenate(
        [np.concatenate(tiles[first : first + columns], axis=1) for first in range(0, len(tiles), columns)]
    )
    factor = _THUMBNAIL_PX / max(whole.shape[:2])
    if factor >= 1:
        return whole
    size = max(1, round(whole.shape[1] * factor)), max(1, round(whole.shape[0] * factor))
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def _png_uri(bgr: UInt8Array) -> str:
    _, content = cv2.imencode(".png", bgr)
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"
