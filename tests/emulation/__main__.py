"""edgerd's command line over the emulated GPU: `PYTHONPATH=tests python -m emulation 10.13 doctor`."""

import sys

from edgerd.cli.main import main

from .install import install
from .loading import load

version, *sys.argv[1:] = sys.argv[1:]
load(version, install())
main()
