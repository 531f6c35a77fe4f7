"""Reads the JSON lines that `--events` and `--verdicts` write."""

import json


def lines_of(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
