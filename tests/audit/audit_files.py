"""Audit trails for tests: entries, files of them, and what is in such a file."""

from __future__ import annotations

import json

from edgerd.audit.file import AuditFile

RECIPE = "ab" * 32


def entry(kind="start", **details):
    return {"at": 1.5, "kind": kind, "who": "anna", "what": "Something.", "details": details}


def opened(path, **options):
    return AuditFile(path, lambda: entry("begin", recipe=RECIPE), lambda: entry("torn"), **options)


def written(path, kinds, **options):
    file = opened(path, **options)
    for kind in kinds:
        file.append(entry(kind))
    file.close()
    return path


def records(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def new_path(tmp_path_factory):
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"
