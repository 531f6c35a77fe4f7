"""Everything that only a GPU can tell, in one command.

    python benchmarks/gpu_check.py

Finds what is there, runs the tests that need a GPU, compares the kernels with OpenCV and with the memory's speed,
builds every engine that can be built and times it: stage by stage, in the camera step with and without graphs, against
the engine alone, against the published way. What is missing is named, and its part left out. Writes
results/<card>-<date>.json and .md; without a GPU, or over the emulated one, nothing is written. Ends with 1 if a bar
is missed or a part failed.

What is measured is a ResNet18 at 256 px: made here from random weights where PyTorch is installed, or given:

    python benchmarks/gpu_check.py --bundle BUNDLE --run RUN
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu import device_tests, engines, inventory, kernels, loop, published
from gpu.sections import NotRunError, Row, Section, run_section
from gpu.subject import Subject, given_subject, made_subject
from machine import machine, markdown_table

RESULTS = Path(__file__).parent / "results"
FRAME_SIZE = (1920, 1080)


def main() -> int:
    """Parse, measure, print, write.

    Returns:
        1 where a part failed or a bar was missed, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="calibrated, with pictures; else one is made")
    parser.add_argument("--run", type=Path, help="what the bundle was exported from, for the published way")
    parser.add_argument("--frames", type=int, default=10_000, help="per engine, for the whole frame")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    parser.add_argument("--no-tests", action="store_true", help="leave `pytest -m gpu` out")
    arguments = parser.parse_args()
    frames = arguments.frames // 10 if arguments.quick else arguments.frames
    with tempfile.TemporaryDirectory() as folder:
        sections = check(arguments, frames, Path(folder))
    card = inventory.card()
    here = machine()
    text = report(card, here, sections)
    print(text)
    if card:
        stem = RESULTS / f"{card}-{here['date']}"
        content = {"card": card, "machine": here, "sections": [section.to_json() for section in sections]}
        stem.with_suffix(".json").write_text(json.dumps(content, indent=2, default=str) + "\n")
        stem.with_suffix(".md").write_text(text)
        print(f"\nWritten: {stem}.json, {stem}.md")
    else:
        print("\nNothing was written: " + ("the GPU is emulated." if inventory.is_emulated() else "there is no GPU."))
    return int(not all(section.is_good for section in sections))


def check(arguments: argparse.Namespace, frames: int, folder: Path) -> list[Section]:
    """Run every section, in order; none is lost because another cannot be run."""
    n, n_random = max(frames // 20, 20), max(frames // 50, 20)
    done = [run_section("What is there", inventory.fill)]
    if not arguments.no_tests:
        done.append(run_section("Tests that need a GPU", device_tests.fill))
    done.append(run_section("Kernels against OpenCV", lambda section: kernels.fill_correctness(section, n_random)))
    done.append(run_section("Kernels against a copy", lambda section: kernels.fill_bandwidth(section, min(n, 50))))
    subject: list[Subject] = []
    built: list[engines.BuiltEngine] = []

    def build(section: Section) -> None:
        if not inventory.has_gpu():
            raise NotRunError("there is no GPU")
        subject.append(given_subject(arguments.bundle, arguments.run) if arguments.bundle else made_subject(folder))
        built.extend(engines.build_all(subject[0], section))
        engines.fill(section, subject[0], built, n, FRAME_SIZE)

    done.append(run_section("Engines, stage by stage", build))
    parts: dict[str, Callable[[Section], None]] = {
        "The camera step": lambda section: loop.fill(section, subject[0], built, max(frames // 10, 20), FRAME_SIZE),
        "The whole frame against the engine alone": lambda section: loop.fill_whole_frame(
            section, subject[0], built, frames, FRAME_SIZE
        ),
        "Against the published way": lambda section: published.fill(section, subject[0], built, n),
    }
    for title, fill in parts.items():
        done.append(run_section(title, fill if built else _without_engines))
    return done


def _without_engines(_: Section) -> None:
    raise NotRunError("there is no engine to run")


def report(card: str | None, here: dict[str, Any], sections: list[Section]) -> str:
    """All of it, as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items() if number)
    lines = [f"# GPU check: {card or 'no GPU'}", f"{here['date']}, {here['device']}, {here['system']}. {versions}."]
    for section in sections:
        status = "" if section.status == "ran" else f"**{section.status}**: {section.reason}"
        table = markdown_table(_aligned(section.rows)) if section.rows else ""
        bars = "\n".join(f"- {bar}" for bar in section.bars)
        lines += [f"## {section.title}", *filter(None, [status, table, bars, "\n\n".join(section.notes)])]
    return "\n\n".join(lines) + "\n"


def _aligned(rows: list[Row]) -> list[Row]:
    """With the same keys in every row."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


if __name__ == "__main__":
    sys.exit(main())
