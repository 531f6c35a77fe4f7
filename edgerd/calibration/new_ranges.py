"""A bundle with other range pictures: what was made from the old ones goes, engines that run on it stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

from edgerd.bundle.bundle import Bundle, save_bundle
from edgerd.bundle.manifest import FileRecord, Manifest
from edgerd.calibration.range_pictures import RangePictures
from edgerd.data.pictures import bundle_pictures, load_bundle_pictures, picture_sha256
from edgerd.precision.ranges import RANGES_FILE

_INT8_GRAPHS = "graph.int8."
_OLDER = "engines/older"
"""The folder for typed graphs whose names newer ones have taken, as long as an engine needs them."""


@dataclass(frozen=True)
class UnsavedBundle(Bundle):
    """A bundle with new files that reach the disk with the first thing that is saved in it, or not at all.

    Attributes:
        base: As it is on disk.
        new_files: Name to content.
        dropped: Files of `base` that are left out.
    """

    base: Bundle
    new_files: Mapping[str, bytes]
    dropped: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """The bytes of one file, a new one or one on the disk, verified as `Bundle.read` does."""
        return self.new_files[name] if name in self.new_files else super().read(name)

    def save_with(
        self, manifest: Manifest, new_files: Mapping[str, bytes] | None = None, *, without: Collection[str] = ()
    ) -> Bundle:
        """Write the bundle with its new files, as `Bundle.save_with` does; files that nothing names are left out."""
        own = {name: content for name, content in self.new_files.items() if name in manifest.named_files}
        left_out = {*self.dropped, *without}
        return save_bundle(self.path, manifest, {**own, **(new_files or {})}, base=self.base, without=left_out)


def with_range_pictures(bundle: Bundle, found: RangePictures) -> UnsavedBundle:
    """The bundle with these range pictures instead of its own; on disk it stays as it is until something is saved.

    The hashes of old pictures that training saw stay; the ranges and INT8 graphs that were made from the old pictures
    are left out. An engine that was compiled from such a graph has its own threshold and passed the gate: it stays, and
    so does its graph.

    Args:
        bundle: As it is on disk.
        found: At least `edgerd.precision.ranges.MIN_RANGE_PICTURES`.

    Raises:
        BundleDamagedError: A graph of an engine, or an old picture, is missing or changed.
    """
    stale = tuple(name for name in bundle.manifest.files if name == RANGES_FILE or name.startswith(_INT8_GRAPHS))
    manifest, graphs = with_older_graphs(bundle, stale)
    pictures = bundle_pictures("ranges", found.pictures)
    trained_on = bundle.manifest.trained_on
    if trained_on is None:
        old = load_bundle_pictures(bundle, bundle.manifest.ranges, bundle.manifest.preprocess)
        trained_on = tuple(picture_sha256(picture) for picture in old)
    new_files = {**graphs, **pictures}
    files = {n: record for n, record in bundle.manifest.files.items() if n not in {*stale, *bundle.manifest.ranges}}
    files |= {name: FileRecord(sha256=sha256(c).hexdigest(), n_bytes=len(c)) for name, c in new_files.items()}
    manifest = manifest.model_copy(update={"ranges": tuple(pictures), "files": files, "trained_on": trained_on})
    return UnsavedBundle(bundle.path, manifest, bundle, new_files, stale)


def with_older_graphs(bundle: Bundle, replaced: Collection[str]) -> tuple[Manifest, dict[str, bytes]]:
    """Keep engines valid whose graphs are about to be replaced: each graph gets a name of its own.

    Args:
        bundle: Opened.
        replaced: Names of typed graphs that will be left out, or have other content.

    Returns:
        The manifest with the engines' graphs under their new names, and these files.

    Raises:
        BundleDamagedError: Such a graph is missing or changed.
    """
    engines, graphs = [], {}
    for engine in bundle.manifest.engines:
        if engine.graph in replaced:
            name = f"{_OLDER}/{engine.key.graph_sha256[:16]}.onnx"
            graphs[name] = bundle.read(engine.graph)
            engine = engine.model_copy(update={"graph": name})
        engines.append(engine)
    return bundle.manifest.model_copy(update={"engines": tuple(engines)}), graphs


def engines_of_older_graphs(manifest: Manifest) -> tuple[str, ...]:
    """Names of the engines that were compiled from a graph which a newer one has replaced."""
    return tuple(engine.name for engine in manifest.engines if engine.graph.startswith(_OLDER))
