"""The commands of the first tutorial, and of the README, work one after the other as they are printed there.

How a page becomes a session: its `console` blocks, from top to bottom, are one script in one shell, in a new folder
with pictures of sample parts. Of the README it is the block that trains. Lines that begin with a word of `SETUP` are
left out: they set up a machine, which is done. `tutorial_edgerd.py` stands in for `edgerd`: it trains shortly, and has
a camera.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgerd.data.samples import write_video
from tools import pages

REPOSITORY = Path(__file__).parents[1]
STAND_IN = Path(__file__).with_name("tutorial_edgerd.py")
SETUP = {"git", "cd", "make", "pip", "python3", "sudo", ".", "source", "export"}


def session(page: Path) -> list[str]:
    """The lines of a page that are typed."""
    blocks = [block for block in pages.blocks(page.read_text(encoding="utf-8")) if block.language == "console"]
    if page.name == "README.md":
        blocks = [block for block in blocks if "edgerd train " in block.content]
    typed = []
    for block in blocks:
        lines = block.content.replace("\\\n", " ").splitlines()
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        typed += [line for line in prompted or lines if line.split() and line.split()[0] not in SETUP]
    return typed


@pytest.fixture
def folder(parts: Path, tmp_path: Path) -> Path:
    """A folder with pictures of parts, in the places where the pages have them."""
    pictures = tmp_path / "pictures"
    shutil.copytree(parts / "train" / "good", pictures / "good")
    shutil.copytree(parts / "test", pictures / "test")
    shutil.copytree(parts / "ground_truth", pictures / "ground_truth")
    shutil.copytree(parts, tmp_path / "edgerd-demo" / "parts")
    shutil.copytree(next(iter(sorted((parts / "test").iterdir()))), tmp_path / "new")
    write_video(tmp_path / "edgerd-demo" / "line.avi", "ring", n_parts=6, n_defective=2, size=96)
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [REPOSITORY / "README.md", *REPOSITORY.glob("docs/tutorials/first-part.md")],
    ids=lambda page: page.stem,
)
def test_its_commands_work_one_after_the_other(page: Path, folder: Path) -> None:
    pytest.importorskip("torch", reason="what trains is not installed", exc_type=ImportError)
    lines = session(page)
    assert [line.split()[1] for line in lines if line.startswith("edgerd train")], "a tutorial trains"
    programs = folder / "programs"
    programs.mkdir()
    (programs / "edgerd").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    (programs / "edgerd").chmod(0o755)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
