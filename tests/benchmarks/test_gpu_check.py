"""`benchmarks/gpu_check.py` as a command, where there is no GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BENCHMARKS = REPOSITORY / "benchmarks"
RESULTS = BENCHMARKS / "results"


def gpu_check(*flags, pythonpath=(), **environment):
    """Run the command; `pythonpath` comes before the checkout."""
    path = os.pathsep.join(map(str, (*pythonpath, REPOSITORY)))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | environment
    command = [sys.executable, BENCHMARKS / "gpu_check.py", *flags]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_without_a_gpu_it_names_what_is_missing_and_writes_nothing():
    before = sorted(RESULTS.iterdir())
    ended = gpu_check("--quick", CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("**not run**") == 8
    for thing in ("driver", "tensorrt", "onnxruntime-cuda", "pip install"):
        assert thing in ended.stdout
    assert "Nothing was written" in ended.stdout
    assert "inventory" in ended.stderr
    assert sorted(RESULTS.iterdir()) == before


def test_missing_packages_are_listed_before_anything_is_imported(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name in ('pydantic', 'cv2') else find(name)\n"
    )
    ended = gpu_check("--quick", pythonpath=[tmp_path])
    assert ended.returncode == 6
    assert "Not installed: opencv-python, pydantic." in ended.stderr
    assert "pip install opencv-python pydantic" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_asks_for_the_packages_that_edgerd_needs(on_path):
    from gpu.requirements import MODULES

    declared = re.search(r"^dependencies = \[(.*?)^\]", (REPOSITORY / "pyproject.toml").read_text(), re.M | re.S)[1]
    assert set(MODULES.values()) | {"tomli"} == set(re.findall(r'^    "([\w-]+)', declared, re.M)) | {"tomli"}


def test_a_work_folder_of_other_flags_is_refused(tmp_path):
    for frames in ("400", "500"):
        ended = gpu_check("--work", tmp_path / "work", "--frames", frames, "--no-tests", CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 1
    assert "another --work" in ended.stderr
