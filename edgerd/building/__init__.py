"""From typed graphs to engines: candidates, the precision of each block, and the choice among those that pass."""
