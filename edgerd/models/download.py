"""Pretrained weights from the network: fetched once, checked by hash, kept in a cache."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from edgerd.errors import DownloadError
from edgerd.models.teachers.teacher import Download
from edgerd.paths import is_file
from edgerd.storage import replaced_file, storage_errors

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes received and the bytes in all, None where the server does not say how many there are."""

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0


def download(source: Download, folder: Path, progress: DownloadProgress | None = None) -> Path:
    """Fetch a file into a folder, unless it is there already with the right hash.

    Args:
        source: Address and hash of the file.
        folder: Where the file is kept, under the name it has in the address.
        progress: Called after each chunk.

    Returns:
        The path of the file.

    Raises:
        DownloadError: No network, a connection that breaks, or a file with another hash; nothing is left behind.
        StorageError: The folder cannot be written.
    """
    file = folder / source.url.rpartition("/")[2]
    with storage_errors(file, "Free some space, or set XDG_CACHE_HOME to another folder."):
        if is_file(file) and _sha256(file).startswith(source.sha256_prefix):
            return file
        with replaced_file(file) as part:
            with part.open("wb") as handle:
                handle.writelines(_fetch(source.url, progress))
            digest = _sha256(part)
            if not digest.startswith(source.sha256_prefix):
                raise DownloadError(
                    f"{source.url} gave a file whose SHA-256 begins with {digest[:8]}.",
                    expected=source.sha256_prefix,
                    hint="Try again; if it stays so, fetch the file elsewhere and use --teacher-weights FILE.",
                )
    return file


def _fetch(url: str, progress: DownloadProgress | None) -> Iterator[bytes]:
    """The bytes behind an address, chunk by chunk; every failure of the network becomes a DownloadError."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310  addresses come from our table
            length = response.headers["Content-Length"]
            total, done = int(length) if length else None, 0
            while chunk := response.read(_CHUNK_BYTES):
                done += len(chunk)
                if progress:
                    progress(done, total)
                yield chunk
            if total is not None and done < total:
                raise ConnectionError(f"the connection broke off after {done} of {total} bytes")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(error, urllib.error.HTTPError):  # the error is also the response, which is still open
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
        raise DownloadError(
            f"{url} could not be fetched: {reason}.",
            expected="a network that reaches it, once",
            hint=f"Fetch {url.rpartition('/')[2]} on another machine and use --teacher-weights FILE, "
            "or train with the built-in teacher: --teacher lite0",
        ) from error


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
