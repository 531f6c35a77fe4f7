"""A bundle: a directory that holds everything a device needs, each file with its hash.

    bundle.json          the manifest (`edgerd.bundle.manifest.Manifest`)
    graph.fp32.onnx      the fused graph
    graph.fp16.trt.onnx  typed graphs, which devices compile from: FP16 for TensorRT, and Q/DQ nodes for TensorRT
    graph.int8.*.onnx    (`trt`) and for CPUs (`u8s8`, ...), where `edgerd quantize` or an INT8 engine put them
    ranges.json          of the activations, which the INT8 ones were made from
    engines/...          compiled models, each under a key; older typed graphs that some of them were compiled from
    pictures/...         held-out and range pictures, PNG at graph size

Nothing in it is ever unpickled. A file is read through `Bundle.read`, which returns bytes only if they have the hash
that the manifest names. The manifest begins with a hash of itself, which tells a damaged copy from a whole one; it is
no signature. Saving stages a whole new directory beside the old one and swaps the two, so that a full disk
or an interrupt at any moment leaves the old bundle as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from edgerd.bundle.file import MANIFEST_FILE, read_manifest, sealed
from edgerd.bundle.manifest import GRAPH_FILE, FileRecord, Manifest, PreprocessSpec, ThresholdRecord
from edgerd.errors import BundleDamagedError, BundleError, StorageError
from edgerd.paths import exists, is_file, is_folder, why_missing
from edgerd.storage import (
    IN_PLACE,
    UNCHANGED,
    check_replaceable,
    draft_folder,
    finish_replacing,
    is_taken,
    keep_mode,
    link_or_copy,
    replaced_directory,
    storage_errors,
    unfinished_in,
    write_durably,
)


def bundle_id(graph_sha256: str, spec: PreprocessSpec) -> str:
    """Identity of a bundle: SHA-256 over the FP32 graph's hash and the preprocessing spec."""
    return hashlib.sha256(f"{graph_sha256}\n{spec.model_dump_json()}".encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        path: Its directory.
        manifest: What `bundle.json` says.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read the manifest of a bundle. Files are verified when they are read, or all at once by `verify`.

        Raises:
            BundleError: There is no bundle at `path`.
            BundleVersionError: It was written by a newer edgerd.
            BundleDamagedError: Its manifest does not hold together, or names a path outside the bundle.
        """
        path = Path(path)
        with storage_errors(path, IN_PLACE):
            finish_replacing(path)
        return cls(path, read_manifest(path))

    def need_threshold(self) -> ThresholdRecord:
        """The FP32 graph's threshold.

        Raises:
            BundleError: The bundle is not calibrated.
        """
        if self.manifest.threshold is None:
            raise BundleError(
                f"{self.path} has no threshold yet.",
                expected="a bundle that was calibrated",
                hint=f"edgerd calibrate {quote(str(self.path))}",
            )
        return self.manifest.threshold

    def read(self, name: str) -> bytes:
        """The bytes of one file, verified.

        Raises:
            BundleDamagedError: The file is missing, changed, not listed, or a link that leaves the bundle.
            BundleError: It cannot be read, for want of permission or because of the disk.
        """
        record = self.manifest.files.get(name)
        file = self.path / name
        if record is None:
            raise BundleDamagedError(
                f"{name} is not part of the bundle {self.path}.",
                expected="one of the files that its manifest lists",
                hint=f"edgerd show {quote(str(self.path))}",
            )
        if not _lies_inside(file, self.path):
            raise BundleDamagedError(
                f"{name} lies outside the bundle {self.path}.",
                expected="a plain file inside it",
                hint=self._repair(name),
            )
        try:
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise BundleDamagedError(
                f"{file} cannot be read: {error.strerror}.", expected="a file of the bundle", hint=self._repair(name)
            ) from error
        except OSError as error:  # it may be whole: a copy or another export would be for nothing
            raise BundleError(
                f"{file} cannot be read: {error.strerror}.",
                expected="a bundle that this user may read, on a disk that works",
                hint="Check its permissions, and the disk.",
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != record.sha256:
            raise BundleDamagedError(
                f"{file} was changed: its SHA-256 is {digest[:16]}...",
                expected=f"{record.sha256[:16]}...",
                hint=self._repair(name),
            )
        return content

    def _repair(self, name: str) -> str:
        """What to do about a damaged file: an engine can be built again, everything else comes from another copy."""
        for engine in self.manifest.engines:
            if name in engine.files:
                key = engine.key
                return (
                    f"edgerd build-engine {quote(str(self.path))} --runtime {key.runtime} --precision {key.precision} "
                    "makes it again."
                )
        return "Copy the bundle again from where it was made, or export it again."

    def verify(self) -> int:
        """Read and verify every file; returns how many there are.

        Raises:
            BundleDamagedError: At the first file that is missing or changed, and for a wrong bundle id.
        """
        for name in self.manifest.files:
            self.read(name)
        graph = self.manifest.files.get(GRAPH_FILE)
        if graph is None or bundle_id(graph.sha256, self.manifest.preprocess) != self.manifest.id:
            raise BundleDamagedError(
                f"{self.path} has an id that is not the hash of its graph and preprocessing.",
                hint="Copy the bundle again from where it was made, or export it again.",
            )
        return len(self.manifest.files)

    def save_with(
        self, manifest: Manifest, new_files: Mapping[str, bytes] | None = None, *, without: Collection[str] = ()
    ) -> Bundle:
        """Write this bundle again with another manifest and more files; unlisted old files are left out.

        `manifest.files` is filled in here: hashes of `new_files`, and of the old files that `manifest` still names.

        Args:
            manifest: What the new bundle.json says; its `files` are filled in here.
            new_files: Name to content, of files that the bundle does not have, or that get another content.
            without: Old files that are left out although they lie in no folder.

        Raises:
            BundleDamagedError: An old file that is to be taken over is missing.
            StorageError: Disk full or no permission; the bundle is unchanged.
            BundleError: Another command has changed the bundle in the meantime.
        """
        return save_bundle(self.path, manifest, new_files or {}, base=self, without=without)

    def saved_at(self, path: str | Path) -> Bundle:
        """Write the same bundle to another place, each file verified.

        Raises:
            BundleDamagedError: A file is missing or was changed.
            StorageError: Disk full or no permission; what was at `path` is still there.
            BundleError: `path` holds something that is not a bundle, or a file cannot be read.
        """
        return save_bundle(path, self.manifest, {name: self.read(name) for name in self.manifest.files})


def save_bundle(
    path: str | Path,
    manifest: Manifest,
    new_files: Mapping[str, bytes],
    *,
    base: Bundle | None = None,
    without: Collection[str] = (),
) -> Bundle:
    """Write a bundle atomically and return it opened.

    Args:
        path: Directory of the bundle; replaced as a whole if it is one already.
        manifest: `files` in it is filled in here.
        new_files: Name to content.
        base: A bundle whose files are taken over by hard link or copy, unless `new_files` has them too: those in no
            folder, and those that `manifest` names.
        without: Files of `base` that are left out all the same.

    Raises:
        BundleDamagedError: A file to be taken over from `base` is missing.
        StorageError: Disk full or no permission; what was at `path` is still there.
        BundleError: `path` holds something that is not a bundle, or is no longer the `base` that was opened there.
    """
    path = Path(path)
    kept = _kept_files(manifest, {*new_files, *without}, base) if base else {}
    files = {name: FileRecord(sha256=hashlib.sha256(c).hexdigest(), n_bytes=len(c)) for name, c in new_files.items()}
    files |= {name: base.manifest.files[name] for name in kept} if base else {}
    manifest = Manifest.model_validate(manifest.model_dump() | {"files": {n: r.model_dump() for n, r in files.items()}})
    in_place = base is not None and base.path == path
    with storage_errors(path, IN_PLACE if in_place else UNCHANGED):
        _refuse_to_replace_others(path)
        with replaced_directory(path) as stage:
            if base and in_place:
                _refuse_to_undo_others(base)
            for name, source in kept.items():
                link_or_copy(source, stage / name)
            for name, content in new_files.items():
                write_durably(stage / name, content)
            write_durably(stage / MANIFEST_FILE, sealed(manifest))
            for name in (*new_files, MANIFEST_FILE):
                keep_mode(path / name, stage / name)
    return Bundle(path, manifest)


@contextmanager
def draft_beside(path: Path) -> Iterator[Path]:
    """Give a place for a bundle that is made in several steps before it takes the place of the one at `path`.

    What is there when the block ends, however it does, is removed; `Bundle.saved_at` takes it to `path` before.

    Raises:
        StorageError: There is no space for it, or no permission; the message names `path`.
    """
    with ExitStack() as stack:
        with storage_errors(path):
            draft = stack.enter_context(draft_folder(path))
        try:
            yield draft / "bundle"
        except StorageError as error:
            if str(draft) in error.what and isinstance(error.__cause__, OSError):
                with storage_errors(path):
                    raise error.__cause__  # noqa: B904  the message of a folder that nobody has named is of no use
            raise


def check_can_save(path: str | Path, *, in_place: bool = False) -> None:
    """Find out before minutes of work whether a bundle can be saved at `path`, and change nothing.

    Args:
        path: As for `save_bundle`.
        in_place: Whether the bundle that is there is saved again, so that no other place can be chosen.

    Raises:
        StorageError: No permission, a disk that cannot be written, or a folder that is mounted.
        BundleError: `path` holds something that is not a bundle.
    """
    path = Path(path)
    with storage_errors(path, IN_PLACE if in_place else UNCHANGED):
        _refuse_to_replace_others(path)
        check_replaceable(path)


def find_bundle(folder: str | Path = ".") -> Path:
    """The newest bundle in a folder or up to two levels below it.

    Raises:
        BundleError: There is none.
    """
    folder = Path(folder)
    for parent in (folder, *(entry for entry in folder.glob("*") if is_folder(entry))):
        for path in unfinished_in(parent):
            with storage_errors(path, IN_PLACE):
                finish_replacing(path)
    manifests = (file for depth in ("", "*/", "*/*/") for file in folder.glob(f"{depth}{MANIFEST_FILE}"))
    found = [file for file in manifests if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not found:
        raise BundleError(
            f"There is no bundle in {folder.resolve()}.",
            expected="a directory with a bundle.json, here or up to two levels below",
            hint="edgerd train PICTURES -o RUN, then edgerd export RUN -o BUNDLE",
        )
    return max(found, key=lambda file: file.stat().st_mtime_ns).parent


def _lies_inside(file: Path, folder: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle; a zero byte in the name
        return False


def _refuse_to_replace_others(path: Path) -> None:
    if is_taken(path) and not exists(path / MANIFEST_FILE):
        raise BundleError(
            f"{path} exists and is not a bundle.",
            expected="a bundle to replace, or a name that is free",
            hint="Choose another name with -o.",
        )


def _refuse_to_undo_others(base: Bundle) -> None:
    """Building takes minutes: what another command has put into the bundle meanwhile would be lost."""
    if Bundle.open(base.path).manifest != base.manifest:
        raise BundleError(
            f"{base.path} was changed by another command in the meantime; what it has written stays.",
            expected="the bundle as it was when this command opened it",
            hint="Run this command again.",
        )


def _kept_files(manifest: Manifest, left_out: Collection[str], base: Bundle) -> dict[str, Path]:
    top_level = {name for name in base.manifest.files if "/" not in name}
    kept = (manifest.named_files | top_level) & set(base.manifest.files) - set(left_out)
    sources = {name: base.path / name for name in sorted(kept)}
    for source in sources.values():
        if not is_file(source):
            raise BundleDamagedError(
                why_missing(source, "file"),
                expected="a file of the bundle",
                hint="Copy the bundle again from where it was made, or export it again.",
            )
    return sources
