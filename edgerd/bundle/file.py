"""`bundle.json`: the manifest as a file, which begins with a hash of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import ValidationError

from edgerd.bundle.manifest import SCHEMA_VERSION, Manifest
from edgerd.errors import BundleDamagedError, BundleError, BundleVersionError
from edgerd.paths import exists

MANIFEST_FILE = "bundle.json"
SEAL = "sha256"
"""The first key of `bundle.json`: a hash of the file itself."""
NO_SEAL = "0" * 64


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle in a directory.

    Raises:
        BundleError: There is no bundle.
        BundleVersionError: It was written by a newer edgerd.
        BundleDamagedError: It does not hold together.
    """
    file = path / MANIFEST_FILE
    written, content = _content(file)
    version = content["schema_version"]
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise BundleVersionError(
            f"{path} has schema version {version}.",
            expected=f"{SCHEMA_VERSION} or older",
            hint="pip install --upgrade edgerd",
        )
    _check_seal(file, written, content.pop(SEAL, None))
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleDamagedError(
            f"{file} does not hold together: {where}: {first['msg']}.",
            expected="a manifest as edgerd export writes it",
            hint="Export the bundle again.",
        ) from error
    unlisted = sorted(manifest.named_files - set(manifest.files))
    if unlisted:
        raise BundleDamagedError(
            f"{file} uses {unlisted[0]} and has no hash for it.",
            expected="a manifest as edgerd export writes it",
            hint="Export the bundle again.",
        )
    return manifest


def sealed(manifest: Manifest) -> bytes:
    """The manifest as it is written: first a SHA-256 of the file itself, taken with zeros in its own place."""
    text = json.dumps({SEAL: NO_SEAL} | manifest.model_dump(mode="json"), indent=2) + "\n"
    return text.replace(NO_SEAL, hashlib.sha256(text.encode()).hexdigest(), 1).encode()


def _content(file: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of `bundle.json` and the object they hold, which has a schema version."""
    try:
        written = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"There is no bundle at {file.parent}.",
            expected=f"a directory with a {MANIFEST_FILE}",
            hint=_hint_without_manifest(file.parent),
        ) from error
    except OSError as error:
        raise BundleError(
            f"{file} cannot be read: {error.strerror}.", hint="Check its permissions, and the disk."
        ) from error
    try:
        content = json.loads(written)
        content["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleDamagedError(
            f"{file} cannot be read: {error}.", expected="JSON with a schema_version", hint="Export the bundle again."
        ) from error
    return written, content


def _hint_without_manifest(path: Path) -> str:
    typed = quote(str(path))
    is_run = exists(path / "run.json")
    return f"{path} is a run. edgerd export {typed} -o BUNDLE" if is_run else f"edgerd export RUN -o {typed}"


def _check_seal(file: Path, written: bytes, seal: object) -> None:
    """The seal is the SHA-256 of the file with zeros in the seal's own place."""
    unsealed = written.replace(str(seal).encode(), NO_SEAL.encode(), 1)
    if hashlib.sha256(unsealed).hexdigest() != seal:
        raise BundleDamagedError(
            f"{file} was changed: its content does not fit its own hash.",
            expected="a manifest exactly as edgerd wrote it",
            hint="Copy the bundle again from where it was made. A threshold is changed by edgerd calibrate, or for one "
            "run by --threshold.",
        )
