"""The audit trail of a line: who did what when, in JSON lines that hold together.

Each line holds the SHA-256 of the line before it, so that a line which was changed, removed or put in between shows.
Every line is on the disk before the next is begun. A line that a power cut left half written stays where it is, and the
record behind it says so. A new file, after a rotation, begins with the hash of the last line of the old one.

The chain is not signed: who can write the file can write all of it anew, or cut off its end. Copy the last hash, which
`edgerd audit` prints, to another place from time to time; what came before it can then not be changed unnoticed.
"""

from __future__ import annotations

from edgerd.audit.chain import verify
from edgerd.audit.trail import AuditTrail

__all__ = ["AuditTrail", "verify"]
