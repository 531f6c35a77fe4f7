"""Pictures and data sets: layouts, reading, the one preprocessing, sample parts, pasted defects."""
