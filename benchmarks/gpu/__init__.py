"""What `gpu_check.py` measures: a file per section, and what they share."""
