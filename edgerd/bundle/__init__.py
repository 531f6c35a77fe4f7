"""The bundle: its records (`manifest`), bundle.json and its seal (`file`), and the directory (`bundle`)."""
