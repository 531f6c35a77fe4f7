"""Write docs/reference/events.md from the values that become JSON: `python -m tools.events_page`.

A test fails where the page is not what this script writes, and another one where a command writes other keys.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import griffe

from edgerd.acceptance.evaluate import Evaluation
from edgerd.evaluation.summary import DefectMetrics, Metrics
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, FrameVerdict
from edgerd.line.summary import RunSummary
from edgerd.types import Box, DefectRegion, Inspection
from tools.docstrings import attributes

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "events.md"

Rows = Mapping[str, tuple[str, str]]
"""Key -> the type of its value in words, and what it means."""

INTRODUCTION = """\
# Events and JSON

What edgerd writes for programs: lines of events, lines of verdicts, and the figures of `--json`. All of it is JSON in
UTF-8. Times are Unix seconds, UTC. Scores have no unit. Boxes are in pixels of the frame as the camera delivered it,
with x to the right and y down. Keys may be added in later versions; those that are here stay.

This page is written by `tools/events_page.py`; a test compares the keys with what the commands write.
"""

EXAMPLE = Alert(
    id="019b76da-a800-7c1e-9d3a-6f0c2b7e5d11",
    state="raised",
    camera="belt",
    frame=42,
    source="rtsp://10.0.0.3/live",
    captured_at=1767225600.01,
    decided_at=1767225600.03,
    score=0.82,
    threshold=0.5,
    regions=(DefectRegion(Box(312, 140, 26, 31), area_px=512, peak=0.82),),
    bundle="4f1d2c",
)

KIND = {
    "alert": ("`raised` or `cleared`: a defect was seen, and is over.", Alert),
    "camera": ("What happened to a camera. It is neither a defect nor a good part.", CameraEvent),
    "device": ("What judges, a GPU or a CPU, failed: nothing is inspected until somebody acts.", DeviceEvent),
    "disk": ("A verdict log, a video or the archive could not be written, or can be again.", DiskEvent),
}
"""`kind` of an event -> what it is, and the value that is written."""

EVENTS = """\
## Events

`edgerd run --events FILE.jsonl` writes a line per event, one JSON object each, and so do the [sinks](recipe.md)
`jsonl`, `webhook` and `mqtt`. `kind` says which of the four it is. An alert has the same `id` each time that it is
sent, and the same again when it is cleared: a receiver that has seen `id` and `state` together may leave the second one
out.
"""

VERDICTS = """\
## Verdicts

`edgerd run --verdicts FILE.jsonl` writes a line per frame, and per trigger that got no frame. In Python,
`Inspection.to_dict` gives the keys from `verdict` to `frame_ms`.
"""

BOX: Rows = {
    "x": ("number", "Left edge of the smallest box around the region, px."),
    "y": ("number", "Its top edge, px."),
    "width": ("number", "Its width, px."),
    "height": ("number", "Its height, px."),
}

RUN = """\
## Figures of a run

`edgerd run --json FILE` writes this for its camera, and so does `edgerd bench --json FILE`. A run of several cameras
writes `cameras`, a list of them in their order.
"""

PICTURES = """\
## Pictures

`edgerd inspect --json FILE` writes `pictures`, a list with what follows for each picture, and `n_left_out`, how many
could not be judged.
"""

EVALUATION = """\
## Evaluation

`edgerd evaluate --json FILE` writes the metrics of a test set, and which engine they are of.
"""

PERCENTILES: Rows = {
    **{name: ("number or null", f"{text}, milliseconds; null where nothing was measured.") for name, text in (
        ("p50", "The median"), ("p95", "The 95th percentile"), ("p99", "The 99th percentile"), ("max", "The longest")
    )},
    "n": ("number", "How many frames were measured."),
}  # fmt: skip

INSPECT: Rows = {
    "path": ("text", "The picture, as it was typed."),
    "score": ("number or null", "Its score; null without a decision."),
    "threshold": ("number", "The threshold that the score was compared with."),
    "verdict": ("text", "`OK`, `NG` or `NO_DECISION`."),
    "reason": ("text", "Why there is no decision; empty otherwise."),
    "regions": ("list", "The [regions](#regions) above the threshold; empty unless NG."),
}

ENGINE: Rows = {
    "runtime": ("text", "The engine's runtime."),
    "precision": ("text", "The engine's precision."),
    "device": ("text", "What the engine ran on."),
}
N_SKIPPED: Rows = {"n_skipped": ("number", "How many pictures could not be read, and were left out.")}


def page() -> str:
    """The text of docs/reference/events.md."""
    return "\n\n".join(part.strip() for part in (INTRODUCTION, *_events(), *_figures())) + "\n"


def keys_of(chapter: str) -> list[str]:
    """The keys that the page's table below a heading has, in their order."""
    found = re.search(rf"^#+ {re.escape(chapter)}$(.*?)(?=^#|\Z)", page(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `(\w+)` \|", found.group(1), re.MULTILINE) if found else []


def _events() -> Iterator[str]:
    yield EVENTS
    yield f"```json\n{_shown(EXAMPLE.to_json())}\n```"
    for kind, (text, value) in KIND.items():
        yield f"### {kind}"
        yield text
        yield _table({"kind": ("text", f"`{kind}`."), **_rows(value)})
    yield "### Regions"
    yield "What `regions` of an alert, a verdict or an inspection lists, the highest peak first, at most 20."
    yield _table({**BOX, **_without(_rows(DefectRegion), "box")})
    yield VERDICTS
    verdict = _without(_rows(Inspection), "anomaly_map", "engine_ms", "usual_score")
    yield _table(_replaced(_rows(FrameVerdict), "inspection", verdict))


def _figures() -> Iterator[str]:
    yield RUN
    yield _table(_rows(RunSummary))
    yield "`edgerd bench` adds `frame_size`, the size that was measured, such as `1024x1024`."
    yield "### Latencies"
    yield "What `engine_ms`, `frame_ms` and `capture_to_verdict_ms` hold."
    yield _table(PERCENTILES)
    yield PICTURES
    yield _table(INSPECT)
    yield EVALUATION
    n_trained_on = attributes(_docstring(Evaluation))["n_trained_on"]
    yield _table({**_rows(Metrics), **ENGINE, **N_SKIPPED, "n_trained_on": ("number", n_trained_on)})
    yield "### Kinds of defect"
    yield "What `per_defect` has for each kind."
    yield _table(_rows(DefectMetrics))


def _rows(value: type) -> dict[str, tuple[str, str]]:
    """The attributes of a dataclass, with their types in words and their meanings."""
    meanings, hints = attributes(_docstring(value)), typing.get_type_hints(value)
    return {
        field.name: (_type_words(hints[field.name]), re.sub(r"\bNone\b", "null", meanings[field.name]))
        for field in dataclasses.fields(value)
    }


def _docstring(value: type) -> griffe.Docstring:
    return griffe.Docstring(inspect.getdoc(value) or "")


def _type_words(hint: Any) -> str:
    """A type as JSON has it."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_words(part) for part in parts))
    if hint is type(None):
        return "null"
    if hint in (int, float):
        return "number"
    if origin is tuple:
        return "list"
    return "object" if typing.is_typeddict(hint) or origin is collections.abc.Mapping else "text"


def _without(rows: Rows, *names: str) -> dict[str, tuple[str, str]]:
    return {name: row for name, row in rows.items() if name not in names}


def _replaced(rows: Rows, name: str, by: Rows) -> dict[str, tuple[str, str]]:
    """Rows with those of another value in place of one."""
    return {key: row for one in rows for key, row in (by.items() if one == name else [(one, rows[one])])}


def _table(rows: Rows) -> str:
    lines = [f"| `{name}` | {kind} | {meaning} |" for name, (kind, meaning) in rows.items()]
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *lines])


def _shown(record: Mapping[str, Any]) -> str:
    """A record over several lines of a page; in a file it is one line."""
    lines, line = [], "{"
    for name, value in record.items():
        item = f"{json.dumps(name)}: {json.dumps(value)}, "
        if len(line) + len(item) > 116:
            lines.append(line.rstrip())
            line = " "
        line += item
    return "\n".join([*lines, line.rstrip(", ") + "}"])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
