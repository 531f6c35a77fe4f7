"""The one guard against judging a bundle by pictures it was trained on, whose scores are lower than new parts'."""

from __future__ import annotations

from edgerd.bundle.bundle import Bundle
from edgerd.data.pictures import load_bundle_pictures, picture_sha256


def training_pictures(bundle: Bundle) -> frozenset[str]:
    """The training pictures that a bundle knows again, whatever their files are called; see `picture_sha256`.

    Older bundles list none: there it is those that INT8 ranges are found from, which were taken from them.

    Raises:
        BundleDamagedError: A picture of the bundle is missing or changed.
    """
    manifest = bundle.manifest
    if manifest.trained_on is not None:
        return frozenset(manifest.trained_on)
    pictures = load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)
    return frozenset(picture_sha256(picture) for picture in pictures)


def warning_of_training_pictures(n: int, n_all: int) -> str:
    """What to say where `n` of the `n_all` pictures that a bundle is judged by were trained on; `n` is 1 or more."""
    return (
        f"{n} of {n_all} pictures are among those this bundle was trained on. Their scores are lower than those of new "
        "parts, so that these figures are better than what a line will see: use pictures that training never saw."
    )
