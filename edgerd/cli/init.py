"""`edgerd init`: a recipe for a camera that was tried."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from shlex import quote

import click

from edgerd.bundle.bundle import Bundle, find_bundle
from edgerd.cameras import Camera, UnreadablePictureError, open_camera
from edgerd.cli.console import say, warn
from edgerd.data.preprocess import tile_boxes
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import CameraError, InputError
from edgerd.paths import exists
from edgerd.recipe.load import RECIPE_FILE, recipe_from_bytes
from edgerd.recipe.template import PASSWORD_VARIABLE, recipe_text
from edgerd.redaction import without_secrets
from edgerd.storage import replaced_file, storage_errors
from edgerd.types import Frame

_TRIES = 10


@click.command()
@click.option("--camera", "uri", metavar="URI", default="0", show_default=True, help="As for edgerd run.")
@click.option("--bundle", type=click.Path(path_type=Path), help="The newest bundle in this folder by default.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=RECIPE_FILE, show_default=True, help="The file to write."
)
def init(uri: str, bundle: Path | None, out: Path) -> None:
    """Try a camera, and write a recipe for it that explains itself.

    A password in the URI does not come into the file: the recipe names an environment variable for it.
    """
    _refuse_to_overwrite(out)
    if bundle is None:
        bundle = find_bundle()
        say(f"Bundle: {bundle}, the newest here.")
    manifest = Bundle.open(bundle).manifest
    with closing(open_camera(uri)) as camera:
        frame = _first_frame(camera)
    height, width = frame.pixel_format.size(frame.data.shape)
    say(f"{without_secrets(uri)} works: frames of {width}x{height} pixels.")
    tile_boxes(height, width, manifest.preprocess)
    if shape := ShapeGuard(manifest).warning_of_camera(without_secrets(uri), width, height):
        warn(shape)
    threshold = manifest.threshold.value if manifest.threshold else None
    content = recipe_text(uri, bundle, out.absolute().parent, (width, height), threshold).encode()
    camera_record = recipe_from_bytes(content, out).recipe.cameras[0]
    _write_new(out, content)
    say(f"{out} is written. Look through it, then: edgerd run --recipe {quote(str(out))} --check")
    if camera_record.password_env is not None:
        say(f"The recipe takes the camera's password from the environment variable {PASSWORD_VARIABLE}: set it.")


def _first_frame(camera: Camera) -> Frame:
    """The first frame that is whole.

    Raises:
        CameraError: There is none.
    """
    for _ in range(_TRIES):
        try:
            frame = camera.read()
        except UnreadablePictureError:
            continue
        if frame is None:
            break
        return frame
    raise CameraError(
        f"{without_secrets(camera.uri)} gave no whole frame.",
        expected="a frame",
        hint="Check the camera, its cable or network, then try again.",
    )


def _refuse_to_overwrite(out: Path) -> None:
    if exists(out):
        raise InputError(
            f"{out} is there already, and stays as it is.",
            expected="a file that is not there yet",
            hint="Choose another name with -o, or move the old one away.",
        )


def _write_new(out: Path, content: bytes) -> None:
    """Write a file that is not there yet, whole or not at all: half a recipe would be in the way of the next try.

    Raises:
        InputError: It has come to be there meanwhile.
        StorageError: It cannot be written.
    """
    with storage_errors(out, "Free some space, or choose another file with -o."), replaced_file(out) as part:
        part.write_bytes(content)
        _refuse_to_overwrite(out)
