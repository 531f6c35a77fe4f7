"""What `gpu_check.py` measures: a file per section, what they share, and what runs them one by one."""

import importlib.util
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

if importlib.util.find_spec("edgerd") is None:  # a checkout that is not installed does too
    sys.path.append(str(REPOSITORY))
