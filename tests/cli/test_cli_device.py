"""On a device there is no torch and no quantizer: what runs there imports none of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edgerd.data.samples import write_dataset

NOT_ON_A_DEVICE = ("torch", "torchvision", "safetensors", "onnxscript", "timm", "modelopt", "nncf", "scipy", "PIL")
ALL_COMMANDS = """
import contextlib, io, json, sys
sys.modules.update(dict.fromkeys({blocked!r}))
from edgerd.cli.main import main

for arguments in json.load(sys.stdin):
    code, output = "did not end", io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([arguments[0], code, output.getvalue()]))
"""


@pytest.fixture
def commands(bundle, parts, tmp_path):
    """Every command that runs on a device, in an order that works."""
    more = write_dataset(tmp_path / "more", "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7)
    path, picture = bundle.path, parts / "test" / "scratch" / "000.png"
    return [
        ["doctor"],
        ["show", path, "--verify"],
        ["build-engine", path],
        ["calibrate", path, more, "--false-alarm-rate", 0.1],
        ["evaluate", path, parts, "--report", tmp_path / "report"],
        ["inspect", path, picture, "--heatmaps", tmp_path / "maps"],
        ["bench", path, "--max-frames", 3],
        ["run", "--bundle", path, "--camera", "sample://ring?n=5&size=96", "--save-video", tmp_path / "heat.mp4"],
    ]


def test_everything_a_device_does_works_without_torch(commands):
    words = json.dumps([[str(word) for word in command] for command in commands])
    code = ALL_COMMANDS.format(blocked=NOT_ON_A_DEVICE)
    ended = subprocess.run([sys.executable, "-c", code], input=words, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    results = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(name, exit_code) for name, exit_code, _ in results] == [(command[0], 0) for command in commands], results
