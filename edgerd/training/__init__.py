"""Training: a run folder, a method, a loop."""
