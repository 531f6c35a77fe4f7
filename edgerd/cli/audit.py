"""`edgerd audit`: whether an audit trail is as it was written."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from edgerd.audit.chain import NO_HASH, Chain, verify
from edgerd.cli.console import counted, say, warn


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def audit(file: Path) -> None:
    """Check that no line of the audit trail FILE was changed, removed or put in between.

    The files that it continues are checked too, where they lie beside it. The exit code is 3 where a line does not
    fit; it is named.
    """
    chains = verify(file)
    for chain in chains:
        say(f"{chain.file}: {counted(chain.n_lines, 'line')}{_times(chain)}, unchanged")
        if chain.torn:
            warn(
                f"{chain.file} ends within a line ({counted(len(chain.torn), 'byte')}): it is being written, or the "
                "power was cut. The next start closes it."
            )
    oldest = chains[-1]
    if oldest.before != NO_HASH:
        before = oldest.continues or "a file whose name is not known"
        warn(f"{oldest.file} continues {before}, which is not here: what came before was not checked.")
    say(f"last hash {chains[0].last_sha256}")


def _times(chain: Chain) -> str:
    """From when to when, as a part of a sentence."""
    if chain.first_at is None or chain.last_at is None:
        return ""
    return f" from {_utc(chain.first_at)} to {_utc(chain.last_at)}"


def _utc(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # nobody's clock, but it is only shown
        return f"{seconds} s"
