"""Export: from a trained run to a bundle with the fused graph."""
