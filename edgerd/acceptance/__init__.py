"""Is an engine good enough, and what is a bundle worth: the gate, its pictures, `evaluate` and its report."""
