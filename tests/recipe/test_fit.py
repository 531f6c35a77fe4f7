"""A recipe moves a region and never changes its size, and may ask for one bundle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.preprocess import tile_boxes
from edgerd.errors import BundleError
from edgerd.recipe.fit import check_bundle_id, moved_region
from edgerd.recipe.product import Place, Product

SPEC = PreprocessSpec(
    region=RegionSpec(x=5, y=6, width=300, height=200), tiles=TileSpec(rows=2, columns=3, overlap=0.1)
)


@given(st.integers(0, 500), st.integers(0, 500))
def test_every_tile_moves_by_the_same_and_keeps_its_size(x, y):
    moved = moved_region(SPEC, Place(x=x, y=y), "camera left")
    before, after = tile_boxes(1000, 1000, SPEC), tile_boxes(1000, 1000, moved)
    assert [(box.x - x, box.y - y, box.width, box.height) for box in after] == [
        (box.x - 5, box.y - 6, box.width, box.height) for box in before
    ]
    assert moved.model_copy(update={"region": SPEC.region}) == SPEC


def test_no_place_leaves_everything_as_it_is():
    assert moved_region(SPEC, None, "camera left") is SPEC
    assert moved_region(SPEC, Place(x=5, y=6, width=300, height=200), "camera left") == SPEC


@pytest.mark.parametrize(("width", "height"), [(301, 200), (300, 199), (301, None), (None, 1)])
def test_another_size_is_refused_naming_both(width, height):
    with pytest.raises(BundleError) as caught:
        moved_region(SPEC, Place(x=1, y=2, width=width, height=height), "camera left, product nut")
    assert caught.value.exit_code == 3
    for part in ("camera left, product nut", f"{width or 300}x{height or 200}", "300x200", "{ x = 1, y = 2 }"):
        assert part in str(caught.value)


def test_a_bundle_without_a_region_has_none_to_move():
    with pytest.raises(BundleError, match="whole frames"):
        moved_region(PreprocessSpec(), Place(x=1, y=2), "camera left")


def test_another_bundle_than_the_one_asked_for_is_refused(bundle):
    manifest = bundle.manifest
    for stated in (None, manifest.id, manifest.id[:8]):
        check_bundle_id(manifest, Product(bundle="b", bundle_id=stated), "camera left")
    with pytest.raises(BundleError, match="0123456789abcdef") as caught:
        check_bundle_id(manifest, Product(bundle="b", bundle_id="0123456789abcdef"), "camera left, product nut")
    assert manifest.id[:16] in caught.value.what
    assert caught.value.exit_code == 3
