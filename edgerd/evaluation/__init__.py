"""Judging an engine: metrics, thresholds, heatmaps and the report; functions of scores, maps, labels and masks."""
