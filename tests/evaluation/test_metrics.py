import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops
from sklearn.metrics import auc, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from edgerd.errors import InputError
from edgerd.evaluation.metrics import alarm_rate, aupro, image_auroc, pixel_auroc, pro_per_image, roc_curve

seeds = st.integers(0, 2**32 - 1)


def random_maps(seed, n=4, size=24, levels=None):
    """Blobs with corners that touch, maps that are higher on them; few levels make many ties."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, size, size), bool)
    for mask in masks[: n - 1]:
        for _ in range(rng.integers(1, 4)):
            y, x = rng.integers(0, size - 6, 2)
            mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = True
    maps = rng.normal(size=masks.shape) + rng.uniform(0, 2) * masks
    if levels:
        maps = np.round(maps * levels) / levels
    return maps.astype(np.float32), masks


def slow_aupro(maps, masks, max_fpr):
    """The definition, one threshold after another."""
    regions = [
        (i, tuple(region.coords.T))
        for i, mask in enumerate(masks)
        for region in regionprops(label(mask, connectivity=2))
    ]
    fpr, overlap = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        fpr.append(above[~masks].mean())
        overlap.append(np.mean([above[i][coords].mean() for i, coords in regions]))
    fpr, overlap = np.array(fpr), np.array(overlap)
    inside = fpr < max_fpr
    edge = np.argmin(inside)
    low, high = fpr[edge - 1], fpr[edge]
    last = overlap[edge - 1] + (overlap[edge] - overlap[edge - 1]) * (max_fpr - low) / (high - low)
    return auc(np.append(fpr[inside], max_fpr), np.append(overlap[inside], last)) / max_fpr


def slow_pro_of_picture(anomaly_map, mask):
    """RD4AD's definition for one picture, one threshold after another."""
    anomaly_map = anomaly_map.astype(np.float64)
    low, high = anomaly_map.min(), anomaly_map.max()
    curve = []
    for threshold in np.arange(low, high, (high - low) / 200):
        above = anomaly_map > threshold
        overlaps = [above[tuple(region.coords.T)].mean() for region in regionprops(label(mask))]
        curve.append((above[~mask].mean(), np.mean(overlaps)))
    fpr, overlap = np.array([point for point in curve if point[0] < 0.3]).T
    return auc(fpr / fpr.max(), overlap)


@given(seeds, st.integers(2, 80), st.sampled_from([2, 5, 1000]))
def test_image_auroc_is_scikit_learns(seed, n, levels):
    rng = np.random.default_rng(seed)
    is_defective = np.arange(n) < rng.integers(1, n)
    scores = np.round((rng.normal(size=n) + is_defective) * levels) / levels
    assert image_auroc(scores, is_defective) == pytest.approx(roc_auc_score(is_defective, scores), abs=1e-12)


@given(seeds, st.sampled_from([2, None]))
@settings(max_examples=30)
def test_pixel_auroc_is_scikit_learns(seed, levels):
    maps, masks = random_maps(seed, levels=levels)
    assert pixel_auroc(maps, masks) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)


@given(seeds, st.integers(2, 60))
def test_roc_curve_has_scikit_learns_points(seed, n):
    rng = np.random.default_rng(seed)
    is_defective = np.arange(n) < rng.integers(1, n)
    scores = rng.integers(0, 10, n)
    fpr, tpr = roc_curve(scores, is_defective)
    expected_fpr, expected_tpr, _ = sklearn_roc_curve(is_defective, scores, drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected_fpr, atol=1e-12)
    np.testing.assert_allclose(tpr, expected_tpr, atol=1e-12)


@given(seeds, st.sampled_from([1, 3, None]), st.sampled_from([0.05, 0.3, 1.0]))
@settings(max_examples=25, deadline=None)
def test_aupro_is_the_area_over_all_thresholds(seed, levels, max_fpr):
    maps, masks = random_maps(seed, n=3, size=16, levels=levels)
    assert aupro(maps, masks, max_fpr) == pytest.approx(slow_aupro(maps, masks, max_fpr), abs=1e-12)


@given(seeds, st.sampled_from([4, None]))
@settings(max_examples=10, deadline=None)
def test_pro_per_image_is_the_mean_over_defective_pictures(seed, levels):
    maps, masks = random_maps(seed, size=32, levels=levels)
    expected = np.mean([slow_pro_of_picture(m, mask) for m, mask in zip(maps, masks, strict=True) if mask.any()])
    assert pro_per_image(maps, masks) == pytest.approx(expected, abs=1e-9)


@given(seeds)
@settings(max_examples=20)
def test_metrics_depend_on_the_order_of_the_values_only(seed):
    maps, masks = random_maps(seed)
    assert pixel_auroc(np.exp(maps.astype(np.float64)), masks) == pytest.approx(pixel_auroc(maps, masks), abs=1e-12)
    assert aupro(np.exp(maps.astype(np.float64)), masks) == pytest.approx(aupro(maps, masks), abs=1e-12)


@pytest.mark.parametrize("metric", [pixel_auroc, aupro, pro_per_image])
def test_maps_that_show_the_defects_exactly_are_perfect(metric):
    _, masks = random_maps(3)
    assert metric(masks.astype(np.float32), masks) == pytest.approx(1.0, abs=1e-12)


def test_a_map_that_shows_nothing():
    _, masks = random_maps(3)
    flat = np.full(masks.shape, 0.5, np.float32)
    assert pixel_auroc(flat, masks) == 0.5
    assert aupro(flat, masks) == pytest.approx(0.15)
    assert pro_per_image(flat, masks) == 0.0


def test_a_small_region_counts_as_much_as_a_large_one():
    masks = np.zeros((1, 40, 40), bool)
    masks[0, 5:25, 5:25] = True
    masks[0, 30, 30] = True
    maps = np.zeros(masks.shape, np.float32)
    maps[0, 5:25, 5:25] = 1
    assert pixel_auroc(maps, masks) > 0.99
    assert aupro(maps, masks) == pytest.approx((1 + 0.15) / 2)


def test_pixels_that_touch_at_a_corner_are_one_region():
    masks = np.zeros((1, 8, 8), bool)
    masks[0, 2, 2:6] = masks[0, 3, 6] = True
    maps = np.zeros(masks.shape, np.float32)
    maps[0, 2, 2:6] = 1
    assert aupro(maps, masks) == pytest.approx((4 + 0.15) / 5)


def test_tiles_are_pictures_of_their_own_for_the_data_set_metrics():
    maps, masks = random_maps(7, n=4)
    tiled_maps, tiled_masks = maps.reshape(2, 2, 24, 24), masks.reshape(2, 2, 24, 24)
    assert pixel_auroc(tiled_maps, tiled_masks) == pixel_auroc(maps, masks)
    assert aupro(tiled_maps, tiled_masks) == aupro(maps, masks)
    assert 0 < pro_per_image(tiled_maps, tiled_masks) <= 1


def test_a_score_at_the_threshold_is_no_alarm():
    assert alarm_rate([0.1, 0.2, 0.3, 0.4], 0.3) == 0.25
    score = np.float32(0.3)
    assert alarm_rate([score], float(score)) == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_auroc([1.0, 2.0], [False, False]), "2 good and 0 defective"),
        (lambda: image_auroc([1.0, 2.0], [True]), "do not fit"),
        (lambda: image_auroc([1.0, np.nan], [True, False]), "1 of 2 scores are not finite"),
        (lambda: pixel_auroc(np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool)), "one of the two only"),
        (lambda: aupro(np.zeros((1, 4, 4)), np.ones((1, 4, 4), bool)), "one of the two only"),
        (lambda: pro_per_image(np.zeros((1, 4, 4)), np.zeros((1, 4, 5), bool)), "do not fit"),
        (lambda: aupro(np.full((1, 4, 4), np.inf), np.eye(4, dtype=bool)[None]), "not finite"),
        (lambda: alarm_rate([], 0.5), "at least one"),
    ],
)
def test_a_metric_that_does_not_exist_is_an_error(call, words):
    with pytest.raises(InputError, match=words):
        call()


class TestPicturesOfDifferentSizes:
    """Maps without their padding differ in size; whatever is computed of them, padding has no part in it."""

    @given(seeds, st.lists(st.tuples(st.integers(7, 24), st.integers(7, 24)), min_size=4, max_size=4))
    @settings(deadline=None, max_examples=40)
    def test_they_count_as_if_cut_out_of_larger_ones(self, seed, sizes):
        maps, masks = random_maps(seed)
        cut = [(slice(None, height), slice(None, width)) for height, width in sizes]
        small = [one[part] for one, part in zip(maps, cut, strict=True)]
        drawn = [mask[part] for mask, part in zip(masks, cut, strict=True)]
        if not any(mask.any() for mask in drawn):
            return
        values, labels = (np.concatenate([one.ravel() for one in many]) for many in (small, drawn))
        assert pixel_auroc(small, drawn) == pytest.approx(roc_auc_score(labels, values), abs=1e-9)
        expected = [pro_per_image(one[None], mask[None]) for one, mask in zip(small, drawn, strict=True) if mask.any()]
        assert pro_per_image(small, drawn) == pytest.approx(np.mean(expected))

    @given(seeds)
    def test_of_one_size_they_are_an_array(self, seed):
        maps, masks = random_maps(seed)
        for metric in (pixel_auroc, aupro, pro_per_image):
            assert metric(list(maps), list(masks)) == metric(maps, masks)

    def test_a_mask_of_another_size_is_refused(self):
        maps = [np.zeros((4, 6), np.float32), np.zeros((4, 4), np.float32)]
        masks = [np.ones((4, 6), bool), np.ones((4, 5), bool)]
        with pytest.raises(InputError, match=r"\(4, 4\)\]\) do not fit masks of shape \(2 of \[\(4, 6\), \(4, 5\)\]\)"):
            pixel_auroc(maps, masks)
