"""Options with which `edgerd train` takes a second or two."""

from __future__ import annotations

QUICK = ("--image-size", 32, "--batch-size", 8, "--threads", 1)
EDGE, RD4AD = ("--cross-fit", 2), ("--method", "rd4ad")
