"""deploy/edgerd.logrotate and the logs that a line writes meanwhile: no line is lost, none comes twice."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerd.events import FrameVerdict
from edgerd.sinks.jsonl import JsonlSink
from edgerd.types import Inspection, Verdict

RULES = Path(__file__).parents[1] / "deploy" / "edgerd.logrotate"
N_ROTATIONS = 4


def by_hand(log: Path) -> None:
    """What logrotate does by these rules: rename, and compress what was renamed the time before."""
    for number in range(N_ROTATIONS, 0, -1):
        for suffix in ("", ".gz"):
            rotated = Path(f"{log}.{number}{suffix}")
            if rotated.exists():
                rotated.rename(f"{log}.{number + 1}{suffix}")
    before = Path(f"{log}.2")
    if before.exists():
        Path(f"{before}.gz").write_bytes(gzip.compress(before.read_bytes()))
        before.unlink()
    log.rename(f"{log}.1")


def by_logrotate(log: Path) -> None:
    """The program itself, with the rules for this folder; `su` is for root alone."""
    rules = RULES.read_text(encoding="utf-8").replace("/var/log/edgerd", str(log.parent))
    configuration = log.parent.parent / "rules"
    configuration.write_text(re.sub(r"^\s*su .*\n", "", rules, flags=re.MULTILINE), encoding="utf-8")
    configuration.chmod(0o644)
    state = log.parent.parent / "state"
    subprocess.run(["logrotate", "--force", "--state", str(state), str(configuration)], check=True)


@pytest.mark.parametrize(
    "rotate",
    [
        by_hand,
        pytest.param(
            by_logrotate,
            marks=pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not installed"),
        ),
    ],
)
def test_every_line_is_in_one_of_the_logs_in_order(tmp_path: Path, rotate: Callable[[Path], None]) -> None:
    log = tmp_path / "logs" / "verdicts.jsonl"
    log.parent.mkdir(mode=0o755)
    sink = JsonlSink(log)
    numbers = iter(range(1000))
    for _ in range(N_ROTATIONS):
        for _ in range(3):
            sink.send(verdict(next(numbers)))
        rotate(log)
        assert not log.exists()  # the sink makes the new one, with the next line
    sink.send(verdict(next(numbers)))
    sink.close()
    assert [json.loads(line)["frame"] for line in lines_of(log)] == list(range(3 * N_ROTATIONS + 1))
    assert Path(f"{log}.1").exists()  # not compressed yet
    assert Path(f"{log}.2.gz").exists()


def test_the_rules_agree_with_how_logs_are_written() -> None:
    words = {line.split()[0] for line in RULES.read_text(encoding="utf-8").splitlines() if line.startswith("    ")}
    assert {"nocreate", "delaycompress", "missingok"} <= words
    # a copy loses the lines that come meanwhile, and SIGHUP ends a run
    assert words.isdisjoint({"copytruncate", "postrotate", "prerotate", "create"})


def verdict(frame: int) -> FrameVerdict:
    return FrameVerdict(Inspection(Verdict.OK, 0.1, 0.5), "0", frame, "0", captured_at=1.5, decided_at=2.5, bundle="b")


def lines_of(log: Path) -> list[str]:
    """All lines, the oldest log first."""
    rotated = sorted(log.parent.glob(f"{log.name}.*"), key=lambda path: -int(path.name.split(".")[2]))
    texts = [
        gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text() for path in rotated
    ]
    return "".join([*texts, log.read_text()]).splitlines()
