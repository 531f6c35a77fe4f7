"""Options that make a training small and short."""

QUICK = ("--image-size", 32, "--batch-size", 8, "--threads", 1)
EDGE, RD4AD = ("--cross-fit", 2), ("--method", "rd4ad")
