"""Training: run folders, the methods that train them, and their checkpoints."""
