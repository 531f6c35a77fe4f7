"""Everything that only a GPU can tell, in one command.

    python benchmarks/gpu_check.py

Finds what is there, compares the kernels with OpenCV and with the memory's speed, builds every engine that can be built
and times it: stage by stage, against the engine alone, against the published way, in the camera step with and without
graphs; runs the tests that need a GPU. What is missing is named, and its part left out. Each part runs in a process of
its own, and after each one the results are written to results/<card>-<date>.json and .md; without a GPU, or over the
emulated one, nothing is written. Ends with 1 if a bar is missed, a part failed, or there was no time for one.

What is measured is a ResNet18 at 256 px: made here from random weights where PyTorch is installed, or given:

    python benchmarks/gpu_check.py --bundle BUNDLE --run RUN

Where a command may not take long, the same line again goes on where it stopped:

    python benchmarks/gpu_check.py --work FOLDER --minutes 9
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from gpu import report, requirements
from gpu.schedule import Check, Part, Wanted
from gpu.sections import write_whole

RESULTS = Path(__file__).parent / "results"
_NOT_INSTALLED = 6


def main() -> int:
    """Parse, measure, write, print.

    Returns:
        1 where a part failed, a bar was missed or time ran out; 6 where packages are missing; else 0.
    """
    arguments = _parser().parse_args()
    missing = requirements.missing()
    if missing:
        print(f"Not installed: {', '.join(missing)}.\nNext: pip install {' '.join(missing)}", file=sys.stderr)
        return _NOT_INSTALLED
    if arguments.part:
        from gpu.parts import run_part

        kind, engine = arguments.part
        run_part(Part(kind, engine), _wanted(arguments, arguments.work))
        return 0
    signal.signal(signal.SIGTERM, _end)
    if arguments.work:
        _refuse_other(arguments)
        return _check(arguments, arguments.work)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        return _check(arguments, Path(folder))


def _check(arguments: argparse.Namespace, work: Path) -> int:
    """Run all parts, and write what there is after each."""
    wanted = _wanted(arguments, work)
    written: list[Path] = []

    def command(part: Part) -> list[str]:
        given = [*sys.argv[1:], "--work", str(work), "--part", part.kind, part.engine]
        return [sys.executable, str(Path(__file__).resolve()), *given]

    def on_part(check: Check) -> None:
        stem = report.result_stem(check, is_quick=arguments.quick)
        if stem:
            written[:] = report.write(check, arguments.output, stem)

    check = Check(wanted, command, on_part)
    check.run()
    print(report.markdown(check))
    why = "the GPU is emulated" if check.inventory.get("is_emulated") else "there is no GPU"
    print(f"Written: {', '.join(map(str, written))}" if written else f"Nothing was written: {why}.")
    return int(not (check.is_complete and all(section.is_good for section in check.sections())))


def _wanted(arguments: argparse.Namespace, work: Path) -> Wanted:
    return Wanted(
        work=work,
        bundle=arguments.bundle,
        run=arguments.run,
        frames=arguments.frames // 10 if arguments.quick else arguments.frames,
        tests=not arguments.no_tests,
        limit_s=60 * arguments.minutes if arguments.minutes else float("inf"),
    )


def _refuse_other(arguments: argparse.Namespace) -> None:
    """A work folder is for one set of flags: results of others would be taken for these."""
    wanted = _wanted(arguments, arguments.work)
    said = json.dumps({"bundle": str(wanted.bundle), "run": str(wanted.run), "frames": wanted.frames})
    file = arguments.work / "flags.json"
    if file.is_file() and file.read_text() != said:
        raise SystemExit(f"{arguments.work} holds results of other flags: {file.read_text()}.\nNext: another --work.")
    arguments.work.mkdir(parents=True, exist_ok=True)
    write_whole(file, said)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=_absolute, help="calibrated, with pictures; else one is made")
    parser.add_argument("--run", type=_absolute, help="what the bundle was exported from, for the published way")
    parser.add_argument("--frames", type=int, default=10_000, help="per engine, for the whole frame")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    parser.add_argument("--no-tests", action="store_true", help="leave `pytest -m gpu` out")
    parser.add_argument("--minutes", type=float, help="begin nothing after so many, and end what still runs")
    parser.add_argument("--work", type=_absolute, help="keep subject, engines and finished parts here, and go on there")
    parser.add_argument("--output", type=_absolute, default=RESULTS, help="folder of the results")
    parser.add_argument("--part", nargs=2, metavar=("KIND", "ENGINE"), help=argparse.SUPPRESS)
    return parser


def _absolute(text: str) -> Path:
    return Path(text).resolve()


def _end(*_: object) -> NoReturn:
    raise SystemExit("It was told to end; what is written is what it had found.")


if __name__ == "__main__":
    sys.exit(main())
