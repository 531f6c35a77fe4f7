"""Files and folders that are replaced as a whole or not at all, and what is said when the disk will not have it.

What the disk refuses is said by `errors`. Calls that wait until something is on the disk are in `durable`, locks in
`locks`, and what takes the place of something in one step in `replacing`.
"""

from __future__ import annotations

from edgerd.storage.durable import folder_for, keep_mode, link_or_copy, sync, write_durably
from edgerd.storage.errors import IN_PLACE, UNCHANGED, storage_errors
from edgerd.storage.locks import LOCK_FILE, is_taken, only_writer_of
from edgerd.storage.replacing import (
    abandoned_stages_of,
    check_replaceable,
    draft_folder,
    finish_replacing,
    remove_abandoned,
    replaced_directory,
    replaced_file,
    unfinished_in,
)

__all__ = [
    "IN_PLACE",
    "LOCK_FILE",
    "UNCHANGED",
    "abandoned_stages_of",
    "check_replaceable",
    "draft_folder",
    "finish_replacing",
    "folder_for",
    "is_taken",
    "keep_mode",
    "link_or_copy",
    "only_writer_of",
    "remove_abandoned",
    "replaced_directory",
    "replaced_file",
    "storage_errors",
    "sync",
    "unfinished_in",
    "write_durably",
]
