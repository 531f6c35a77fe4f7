"""Pictures and data sets: reading, the one preprocessing spec, data set layouts, sample parts."""
