"""What each part of the check does, inside the process that was started for it."""

from __future__ import annotations

import faulthandler
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

from edgerd.errors import EdgerdError, MissingDependencyError
from gpu import device_tests, engines, inventory, kernels, loop, published
from gpu import subject as subjects
from gpu.engines import BuiltEngine
from gpu.schedule import BASELINE, Part, Wanted
from gpu.sections import FAILED, NOT_RUN, RAN, RUNNING, NotRunError, Section
from gpu.subject import Subject

_FRAME_SIZE = (1920, 1080)


def run_part(part: Part, wanted: Wanted) -> None:
    """Do it, and leave what it found in its file."""
    faulthandler.enable()
    section = Section(part.title, file=wanted.file_of(part))
    section.keep()
    run_section(section, lambda section: _FILL[part.kind](section, part, wanted))


def run_section(section: Section, fill: Callable[[Section], None]) -> Section:
    """Run one section; what is missing, or fails, is written into it.

    Args:
        section: Empty.
        fill: Puts rows, bars and notes into it.
    """
    try:
        fill(section)
    except (NotRunError, MissingDependencyError) as error:
        section.status, section.reason = NOT_RUN, _in_a_line(error)
    except EdgerdError as error:
        section.status, section.reason = FAILED, str(error)
    except Exception as error:  # noqa: BLE001 -- what it has found so far is not to be lost
        traceback.print_exc()
        section.status, section.reason = FAILED, f"{type(error).__name__}: {error}"
    if section.status == RUNNING:
        section.status = RAN
    section.keep()
    return section


def _subject(section: Section, _: Part, wanted: Wanted) -> None:
    if wanted.bundle:
        subject = subjects.given_subject(wanted.bundle, wanted.run)
    else:
        folder = wanted.work / "subject"
        shutil.rmtree(folder, ignore_errors=True)  # of a part that did not end
        subject = subjects.made_subject(folder)
    facts = Section.read(wanted.file_of(Part("inventory"))).facts
    precisions = list(dict.fromkeys(precision for _, precision in facts["engines"]))
    subjects.fill(section, subject, precisions, wanted.work / "graphs")


def _engine(section: Section, part: Part, wanted: Wanted) -> None:
    subject, graph = _subject_of(wanted), _graph_of(part, wanted)
    built = engines.build(section, part.engine, graph)
    built.save(_folder_of(part, wanted))
    section.facts["is_built"] = True
    section.keep()
    engines.fill(section, subject, built, wanted.n_runs, _FRAME_SIZE)


def _whole(section: Section, part: Part, wanted: Wanted) -> None:
    loop.fill_whole_frame(section, _subject_of(wanted), _built(part, wanted), wanted.frames, _FRAME_SIZE)


def _step(section: Section, part: Part, wanted: Wanted) -> None:
    n = max(wanted.frames // 10, 20)
    loop.fill(section, _subject_of(wanted), _built(part, wanted), n, _FRAME_SIZE)


def _published(section: Section, part: Part, wanted: Wanted) -> None:
    if part == BASELINE:
        published.fill_baseline(section, _subject_of(wanted), wanted.n_runs)
        return
    baseline_ms = Section.read(wanted.file_of(BASELINE)).facts["p50_ms"]
    published.fill(section, _subject_of(wanted), _built(part, wanted), wanted.n_runs, baseline_ms)


_FILL: dict[str, Callable[[Section, Part, Wanted], None]] = {
    "inventory": lambda section, _part, _wanted: inventory.fill(section),
    "correctness": lambda section, _part, wanted: kernels.fill_correctness(section, max(wanted.frames // 50, 20)),
    "bandwidth": lambda section, _part, wanted: kernels.fill_bandwidth(section, min(wanted.n_runs, 50)),
    "subject": _subject,
    "engine": _engine,
    "whole": _whole,
    "published": _published,
    "step": _step,
    "tests": lambda section, _part, _wanted: device_tests.fill(section),
}


def _subject_of(wanted: Wanted) -> Subject:
    facts = Section.read(wanted.file_of(Part("subject"))).facts
    given = subjects.given_subject(Path(facts["bundle"]), Path(facts["run"]) if facts["run"] else None)
    return Subject(given.bundle, given.run, facts["origin"])


def _graph_of(part: Part, wanted: Wanted) -> bytes:
    return subjects.graph_file(wanted.work / "graphs", part.engine.split()[1]).read_bytes()


def _folder_of(part: Part, wanted: Wanted) -> Path:
    return wanted.work / "engines" / part.engine.replace(" ", "-")


def _built(part: Part, wanted: Wanted) -> BuiltEngine:
    return BuiltEngine.read(part.engine, _graph_of(part, wanted), _folder_of(part, wanted))


def _in_a_line(error: Exception) -> str:
    if isinstance(error, EdgerdError):
        return error.what + (f" Next: {error.hint}" if error.hint else "")
    return str(error)
