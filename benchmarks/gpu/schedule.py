"""Which parts the check has, in which order they run, and what of them is kept. Needs nothing but Python.

Each part runs in a process of its own and leaves its section in a file of the work folder, row by row. After each the
report is written anew, so that whatever ends the check leaves what was measured until then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu import card
from gpu.process import run_process
from gpu.sections import FAILED, NOT_RUN, RAN, RUNNING, Bar, Row, Section, merged

TITLES = {
    "inventory": "What is there",
    "correctness": "Kernels against OpenCV",
    "bandwidth": "Kernels against a copy",
    "subject": "What is measured",
    "engine": "Engines, stage by stage",
    "whole": "The whole frame against the engine alone",
    "published": "Against the published way",
    "step": "The camera step",
    "tests": "Tests that need a GPU",
}
_LIMITS_S = {"inventory": 120, "engine": 1200, "subject": 900}
_LIMIT_S = 600
"""For one part; what takes longer hangs. TensorRT may think for long on a Jetson, and PyTorch train there."""
_LEAST_S = 15
"""With less time left no part is begun."""
_FACTORS = {"tensorrt": 20.0, "onnxruntime-cuda": 5.0}
NO_GPU, NO_TIME = "there is no GPU that can be used", "no time was left for it"


@dataclass(frozen=True)
class Part:
    """A part of a section.

    Attributes:
        kind: Which section, a key of `TITLES`.
        engine: Of which engine, "tensorrt fp16"; or another name, where there is no engine in it.
    """

    kind: str
    engine: str = ""

    @property
    def title(self) -> str:
        """Of its section."""
        return TITLES[self.kind]

    @property
    def name(self) -> str:
        """For files and the command line."""
        return f"{self.kind}-{self.engine.replace(' ', '-')}" if self.engine else self.kind


BASELINE = Part("published", "pytorch")


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        work: Folder of the parts' files, the subject and the engines.
        bundle: To measure; None to make one.
        run: What it was exported from.
        frames: For the whole frame; of the rest a share.
        tests: Whether `pytest -m gpu` is run.
        limit_s: For all of it; infinite for no limit.
    """

    work: Path
    bundle: Path | None
    run: Path | None
    frames: int
    tests: bool
    limit_s: float

    @property
    def n_runs(self) -> int:
        """Of whatever is measured alone."""
        return max(self.frames // 20, 20)

    def file_of(self, part: Part) -> Path:
        """Where a part's section is kept."""
        return self.work / "parts" / f"{part.name}.json"


class Check:
    """All parts, one after another.

    Args:
        wanted: What was asked for.
        command: Part -> the command that runs it.
        on_part: Told after each part.

    Attributes:
        parts: Those that ended, and what they left, in order.
        clocks: After each part, by its name.
    """

    def __init__(
        self, wanted: Wanted, command: Callable[[Part], list[str]], on_part: Callable[[Check], None] = lambda _: None
    ) -> None:
        self.parts: dict[Part, Section] = {}
        self.clocks: dict[str, dict[str, str]] = {}
        self._wanted, self._command, self._on_part = wanted, command, on_part
        self._ends_s = time.monotonic() + wanted.limit_s
        (wanted.work / "parts").mkdir(parents=True, exist_ok=True)

    @property
    def inventory(self) -> dict[str, object]:
        """What the first part found: see `inventory.fill`."""
        return self.parts[Part("inventory")].facts

    def run(self) -> None:
        """Everything that can be run here."""
        if self._run(Part("inventory"), again=True).facts.get("gpu") is None:
            for kind in list(TITLES)[1 : None if self._wanted.tests else -1]:
                self._left_out(Part(kind), NO_GPU)
            return
        self._run(Part("correctness"))
        self._run(Part("bandwidth"))
        graphs = self._run(Part("subject")).facts.get("graphs", [])
        engines = [f"{runtime} {precision}" for runtime, precision in self._found_engines() if precision in graphs]
        built = [each for each in engines if self._run(Part("engine", each)).facts.get("is_built")]
        for kind in ("engine", "whole", "published", "step"):
            if not (engines if kind == "engine" else built):
                self._left_out(Part(kind), "there is no engine to run")
        for part in self._parts_with(built):
            self._run(part)
        if self._wanted.tests:
            self._run(Part("tests"))

    def sections(self) -> list[Section]:
        """One per title, made of its parts."""
        found = []
        for kind, title in TITLES.items():
            parts = [section for part, section in self.parts.items() if part.kind == kind]
            if parts:
                section = merged(title, parts)
                section.bars += published_bars(section.rows) if kind == "published" else []
                found.append(section)
        return found

    @property
    def is_complete(self) -> bool:
        """Whether there was time for everything."""
        return not any(section.reason == NO_TIME for section in self.parts.values())

    def _found_engines(self) -> list[list[str]]:
        engines = self.inventory["engines"]
        return engines if isinstance(engines, list) else []

    def _parts_with(self, built: list[str]) -> Iterator[Part]:
        yield from (Part("whole", each) for each in built)
        if built and self._run(BASELINE).facts.get("p50_ms"):
            yield from (Part("published", each) for each in built)
        yield from (Part("step", each) for each in built)

    def _left_out(self, part: Part, reason: str) -> Section:
        section = self.parts[part] = Section(part.title, NOT_RUN, reason)
        self._on_part(self)
        return section

    def _run(self, part: Part, *, again: bool = False) -> Section:
        file, left_s = self._wanted.file_of(part), self._ends_s - time.monotonic()
        if file.is_file() and not again and Section.read(file).status == RAN:
            _say(f"{part.name}: as before")
            self.parts[part] = Section.read(file)
            return self.parts[part]
        if left_s < _LEAST_S:
            _say(f"{part.name}: {NO_TIME}")
            return self._left_out(part, NO_TIME)
        file.unlink(missing_ok=True)
        _say(f"{part.name} ...")
        started_s = time.monotonic()
        limit_s = min(_LIMITS_S.get(part.kind, _LIMIT_S), left_s)
        failure = run_process(self._command(part), file.with_suffix(".log"), limit_s)
        self.clocks[part.name] = card.now()
        section = self.parts[part] = Section.read(file) if file.is_file() else Section(part.title)
        if failure or section.status == RUNNING:
            section.status = FAILED
            section.reason = f"{part.name}: {failure or 'it ended early.'}"
            section.keep()
        _say(f"{part.name}: {section.status}, {time.monotonic() - started_s:.0f} s {section.reason}".rstrip())
        self._on_part(self)
        return section


def published_bars(rows: list[Row]) -> list[Bar]:
    """How many times as fast as the published way each runtime has to be, with the precision that is fastest."""
    best: dict[str, float] = {}
    for row in rows:
        runtime = row["way"].split()[0]
        if runtime in _FACTORS:
            best[runtime] = max(best.get(runtime, 0.0), row["times as fast"])
    return [
        Bar(f"{runtime}, its fastest precision, times as fast", factor, _FACTORS[runtime], at_most=False)
        for runtime, factor in best.items()
    ]


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
