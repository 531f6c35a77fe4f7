"""Keep engines: from the same graph, with the same options, GPU and TensorRT, a build would give the same one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from edgerd.bundle.manifest import EngineKey, Record
from edgerd.paths import cache_folder
from edgerd.runtimes.tensorrt.options import BuildOptions
from edgerd.storage import replaced_directory, write_durably

_ENTRY_FILE = "entry.json"
_N_KEPT = 16
"""How many engines are kept; the oldest ones go first."""


class CacheKey(Record):
    """All that an engine depends on."""

    engine: EngineKey
    options: BuildOptions
    library: str
    """Version of libnvinfer, which may be another than that of its Python package."""
    edgerd: str
    """Version that configured the builder."""

    @property
    def versions(self) -> str:
        """The versions in it, as messages name them."""
        return f"TensorRT {self.engine.runtime_version} ({self.library or 'libnvinfer unknown'}), edgerd {self.edgerd}"

    @property
    def name(self) -> str:
        """Name of the entry's folder, without versions: the engine of a new version replaces that of the old one."""
        unversioned = self.engine.model_copy(update={"runtime_version": ""})
        text = unversioned.model_dump_json() + self.options.model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Entry(Record):
    key: CacheKey
    files: dict[str, str]
    """File name to SHA-256."""


class EngineCache:
    """A folder of the engines that were built last.

    A folder that cannot be read or written is no error: a line says so, and the engine is built all the same.

    Args:
        say: Told why an entry is not used, or which one is.
        folder: Where the engines are kept; None for the user's cache.
    """

    def __init__(self, say: Callable[[str], None], folder: Path | None = None) -> None:
        self._say = say
        self.folder = folder or cache_folder() / "tensorrt" / "engines"

    def get(self, key: CacheKey) -> dict[str, bytes] | None:
        """The files of an engine, checked against their hashes; None where there is no engine that fits."""
        folder = self.folder / key.name
        try:
            entry = _Entry.model_validate_json((folder / _ENTRY_FILE).read_bytes())
            files = {name: (folder / name).read_bytes() for name in entry.files if "/" not in name}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError) as error:
            self._say(f"The cached engine in {folder} cannot be read ({_first_line(error)}); it is built again.")
            return None
        if entry.key != key:
            self._say(f"The cached engine is of {entry.key.versions}; here is {key.versions}. It is built again.")
            return None
        if {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} != entry.files:
            self._say(f"The cached engine in {folder} was changed; it is built again.")
            return None
        self._say(f"Using the engine that was built before, in {folder}.")
        return files

    def put(self, key: CacheKey, files: Mapping[str, bytes]) -> None:
        """Keep an engine, in place of one that other versions built."""
        folder = self.folder / key.name
        entry = _Entry(key=key, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
        try:
            with replaced_directory(folder) as stage:
                for name, content in files.items():
                    write_durably(stage / name, content)
                write_durably(stage / _ENTRY_FILE, entry.model_dump_json(indent=1).encode())
            self._forget_oldest()
        except OSError as error:
            self._say(f"The engine is not kept for the next build: {folder} cannot be written ({error.strerror}).")

    def _forget_oldest(self) -> None:
        entries = sorted(self.folder.glob(f"*/{_ENTRY_FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in entries[_N_KEPT:]:
            shutil.rmtree(file.parent, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
