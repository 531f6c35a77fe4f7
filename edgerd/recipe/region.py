"""A recipe may move a bundle's region to where the part lies in its camera's frame, and never change its size."""

from __future__ import annotations

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec
from edgerd.errors import BundleError
from edgerd.recipe.product import Place


def moved_region(spec: PreprocessSpec, place: Place | None, name: str) -> PreprocessSpec:
    """The preprocessing of a bundle with its region at another place.

    Whether the region lies inside the frame shows when there is a frame: `edgerd.data.preprocess.tile_boxes` checks it.

    Args:
        spec: The bundle's.
        place: The recipe's; None to leave the region where it is.
        name: What is inspected, for messages: "camera left, product nut".

    Returns:
        The same size, tiles and scale, with another left and top edge.

    Raises:
        BundleError: The bundle inspects whole frames, so that there is no region to move; or the recipe states another
            size than the bundle was trained with.
    """
    if place is None:
        return spec
    if spec.region is None:
        raise BundleError(
            f"{name}: the recipe moves the region to {place.x},{place.y}, and the bundle inspects whole frames.",
            expected="a bundle that was trained on a region",
            hint="Leave region out of the recipe, or train again with --region x,y,width,height.",
        )
    trained = (spec.region.width, spec.region.height)
    stated = (place.width or trained[0], place.height or trained[1])
    if stated != trained:
        raise BundleError(
            f"{name}: the recipe's region has {stated[0]}x{stated[1]} pixels, the bundle's {trained[0]}x{trained[1]}.",
            expected="the size that the bundle was trained with: a recipe may move a region, not scale it",
            hint=f"Write region = {{ x = {place.x}, y = {place.y} }}, or train again with --region.",
        )
    region = RegionSpec(x=place.x, y=place.y, width=trained[0], height=trained[1])
    return spec.model_copy(update={"region": region})
