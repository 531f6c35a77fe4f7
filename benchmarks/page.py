"""docs/benchmarks.md and its plots, from the figures in results/.

    python benchmarks/page.py

Nothing is measured here: each section is the JSON that a script has written, with the machine it was measured on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from machine import markdown_table

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bars:
    """A plot with one bar per row.

    Attributes:
        title: What a bar's length is, with its unit.
        label: The text beside a row's bar.
        value: A row's value, 0 or more.
    """

    title: str
    label: Callable[[Row], str]
    value: Callable[[Row], float]


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        title: Its heading.
        results: Files in results/, without their ending; their rows are put together.
        text: What is to be seen, in a sentence or two.
        columns: Of the rows, those that are shown.
        rows: What is done with the rows before they are shown.
        bars: The plot, where there is one.
    """

    title: str
    results: tuple[str, ...]
    text: str
    columns: tuple[str, ...]
    rows: Callable[[list[Row]], list[Row]] = lambda rows: rows
    bars: Bars | None = None


def means_over_seeds(rows: list[Row]) -> list[Row]:
    """One row per data set and method."""
    found: list[Row] = []
    for data, method in dict.fromkeys((row["data"], row["method"]) for row in rows):
        some = [row for row in rows if (row["data"], row["method"]) == (data, method)]
        means = {
            key: float(np.mean([row[key] for row in some])) if all(row[key] is not None for row in some) else None
            for key in ("image AUROC", "pixel AUROC", "recall")
        }
        seeds = {"seeds": len(some)} | {
            key: ", ".join(row[key].split(" of ")[0] for row in some) + " of " + some[0][key].split(" of ")[1]
            for key in ("found", "false alarms")
        }
        found.append({"data": data, "method": method, "good pictures": some[0]["good pictures"], **means, **seeds})
    return found


SECTIONS = (
    Section(
        "Verdicts",
        ("verdicts_edge", "verdicts_prototypes"),
        "Defective parts called NG, and good parts called NG, at the product's own threshold: it is found from good "
        "pictures alone, for a false-alarm rate of 1 %. `found` and `false alarms` have a number per seed.",
        ("data", "method", "good pictures", "image AUROC", "pixel AUROC", "recall", "found", "false alarms"),
        means_over_seeds,
        Bars(
            "Share of defective parts called NG, mean over the seeds",
            lambda row: f"{row['data']}, {row['method']}",
            lambda row: float(row["recall"]),
        ),
    ),
    Section(
        "Realised false-alarm rates",
        ("false_alarms",),
        "What a threshold for 1 % and for 5 % does on good pictures that nobody saw (`prototypes`, random splits of "
        "all good pictures). `low, high` is the 95 % interval of the binomial law around the rate asked for.",
        (
            *("data", "good pictures", "trained on", "splits", "mean at 1%", "low, high at 1%"),
            *("mean at 5%", "low, high at 5%"),
        ),
    ),
    Section(
        "Verdicts after INT8, BF16 and FP16",
        ("accuracy_edge",),
        "The same bundle on each runtime, each with its own threshold; `flipped` counts verdicts that differ from "
        "FP32's. TensorRT's rows are its graph's numbers on a CPU, not a GPU's.",
        (
            *("data", "runtime", "precision", "image AUROC", "pixel AUROC", "recall", "false alarms", "flipped"),
            *("max map error", "pictures"),
        ),
    ),
    Section(
        "Time beside anomalib",
        ("peers_timing",),
        "A 1024x1024 frame in memory to its verdict, two threads, all in one process and in turns.",
        ("product", "runs", "frame p50 ms", "frame p90 ms"),
        bars=Bars(
            "Whole frame, median, ms",
            lambda row: f"{row['product']} ({row['runs']})",
            lambda row: float(row["frame p50 ms"]),
        ),
    ),
    Section(
        "Time per frame size",
        ("latency_edge",),
        "`engine`: the graph, fusion included. `outside`: copies, preprocessing, guards and the decision.",
        ("runtime", "precision", "threads", "frame", "engine p50 ms", "frame p50 ms", "frame p99 ms", "outside p50 ms"),
    ),
)


def page() -> dict[Path, str]:
    """What belongs in each file: docs/benchmarks.md, and docs/images/benchmarks_*.svg."""
    parts = [
        "# Benchmarks",
        "Written by `benchmarks/page.py` from `benchmarks/results`; how to repeat each is in "
        "[benchmarks/README.md](../benchmarks/README.md). Data: metal nuts, paper with impurities, magnetic tiles, and "
        "cookies; `nuts60` are the first 60 good pictures of the metal nuts.",
    ]
    files = {}
    for section in SECTIONS:
        contents = [json.loads((RESULTS / f"{stem}.json").read_text()) for stem in section.results]
        rows = section.rows([row for content in contents for row in content["rows"]])
        parts += [f"## {section.title}", section.text]
        if section.bars:
            image = DOCS / "images" / f"benchmarks_{section.results[0]}.svg"
            files[image] = bars_svg(section.bars, rows)
            parts.append(f"![{section.bars.title}](images/{image.name})")
        parts.append(markdown_table([{column: row[column] for column in section.columns} for row in rows]))
        machines = dict.fromkeys(
            f"{content['machine']['device']}, {content['machine']['cores']} cores, {content['machine']['date']}"
            for content in contents
        )
        parts.append(f"*{'; '.join(machines)}*")
    return files | {DOCS / "benchmarks.md": "\n\n".join(parts) + "\n"}


def bars_svg(bars: Bars, rows: Sequence[Row]) -> str:
    """Horizontal bars from 0, each with its label and its value; readable on a light and on a dark page."""
    step, left, width = 24, 330, 760
    height = 36 + step * len(rows)
    largest = max(bars.value(row) for row in rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-weight="bold" fill="#222222">{escape(bars.title)}</text>',
    ]
    for index, row in enumerate(rows):
        top = 32 + step * index
        length = (width - left - 70) * bars.value(row) / largest
        colour = "#9aa4b2" if "anomalib" in bars.label(row) else "#1f6feb"
        lines += [
            f'<text x="{left - 8}" y="{top + 16}" text-anchor="end" fill="#222222">{escape(bars.label(row))}</text>',
            f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{step - 7}" fill="{colour}"/>',
            f'<text x="{left + length + 6:.1f}" y="{top + 16}" fill="#222222">{bars.value(row):.3g}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    """Write the files."""
    for file, content in page().items():
        file.write_text(content, encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
