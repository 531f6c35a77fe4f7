"""Whether a bundle is the one that a recipe means: its id, and the size of its region.

A recipe may move a bundle's region to where the part lies in its camera's frame, and never change its size.
"""

from __future__ import annotations

from edgerd.bundle.manifest import Manifest, PreprocessSpec, RegionSpec
from edgerd.errors import BundleError
from edgerd.recipe.product import Place, Product


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


def check_bundle_id(manifest: Manifest, product: Product, name: str) -> None:
    """Refuse another bundle than the one whose id the recipe states.

    Args:
        manifest: The bundle's.
        product: The recipe's; without a `bundle_id` every bundle is the right one.
        name: What is inspected, for messages: "camera left, product nut".

    Raises:
        BundleError: The bundle has another id.
    """
    if product.bundle_id is not None and not manifest.id.startswith(product.bundle_id):
        raise BundleError(
            f"{name}: {product.bundle} has the id {manifest.id[:16]}..., and the recipe asks for {product.bundle_id}.",
            expected="the bundle that the recipe was written for",
            hint="Copy that bundle here, or set bundle_id in the recipe to the new one.",
        )
