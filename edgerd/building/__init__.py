"""From a bundle with a graph to a bundle that is ready: thresholds, engines, and what they are worth."""
