import json

import numpy as np
import pytest

from edgerd.errors import InputError
from edgerd.evaluation.metrics import aupro, image_auroc, pixel_auroc, pro_per_image
from edgerd.evaluation.summary import evaluate_scores

KINDS = ["good", "good", "good", "scratch", "bent", "scratch"]
SCORES = [0.1, 0.2, 0.5, 0.9, 0.15, 0.6]


def maps_and_masks():
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 16, 16), bool)
    masks[3:, 4:9, 4:9] = True
    return (rng.random(masks.shape) + masks).astype(np.float32), masks


def test_the_keys_are_the_contract():
    metrics = evaluate_scores(SCORES, KINDS, 0.3).as_json()
    assert set(metrics) == {
        *("image_auroc", "pixel_auroc", "aupro", "pro_per_image", "per_defect", "n_good", "n_defective", "threshold"),
        *("false_alarm_rate", "recall", "n_found", "n_false_alarms"),
    }
    assert json.loads(json.dumps(metrics)) == metrics


def test_image_metrics_overall_and_by_kind_of_defect():
    metrics = evaluate_scores(SCORES, KINDS, 0.3)
    assert metrics.image_auroc == pytest.approx(7 / 9)
    assert (metrics.n_good, metrics.n_defective) == (3, 3)
    assert metrics.false_alarm_rate == pytest.approx(1 / 3)
    assert metrics.recall == pytest.approx(2 / 3)
    assert (metrics.n_found, metrics.n_false_alarms) == (2, 1)
    assert metrics.headline == "2 of 3 defective parts found, 1 of 3 good parts called NG"
    assert list(metrics.per_defect) == ["bent", "scratch"]
    assert metrics.per_defect["scratch"].n == 2
    assert metrics.per_defect["scratch"].recall == 1.0
    assert metrics.per_defect["bent"].image_auroc == image_auroc([0.1, 0.2, 0.5, 0.15], [0, 0, 0, 1])


def test_pixel_metrics_use_good_pictures_without_a_mask_as_normal():
    maps, masks = maps_and_masks()
    metrics = evaluate_scores(SCORES, KINDS, 0.3, maps, [None, None, None, *masks[3:]])
    assert metrics.pixel_auroc == pixel_auroc(maps, masks)
    assert metrics.aupro == aupro(maps, masks)
    assert metrics.pro_per_image == pro_per_image(maps, masks)


def test_a_defective_picture_without_a_mask_is_left_out_of_the_pixel_metrics():
    maps, masks = maps_and_masks()
    metrics = evaluate_scores(SCORES, KINDS, 0.3, maps, [None, None, None, None, masks[4], masks[5]])
    kept = [0, 1, 2, 4, 5]
    assert metrics.pixel_auroc == pixel_auroc(maps[kept], masks[kept])


@pytest.mark.parametrize("masks", [None, [None] * 6, [np.zeros((16, 16), bool)] * 6])
def test_pixel_metrics_are_none_without_masks(masks):
    metrics = evaluate_scores(SCORES, KINDS, 0.3, maps_and_masks()[0], masks)
    assert metrics.pixel_auroc is None
    assert metrics.aupro is None
    assert metrics.pro_per_image is None


def test_what_one_class_or_no_threshold_cannot_tell_is_none():
    only_good = evaluate_scores([0.1, 0.4], ["good", "good"], 0.3)
    assert (only_good.image_auroc, only_good.recall, only_good.false_alarm_rate) == (None, None, 0.5)
    only_bent = evaluate_scores([0.1, 0.4], ["bent", "bent"], 0.3)
    assert (only_bent.image_auroc, only_bent.recall, only_bent.false_alarm_rate) == (None, 0.5, None)
    assert only_bent.per_defect["bent"].image_auroc is None
    no_threshold = evaluate_scores(SCORES, KINDS, None)
    assert (no_threshold.threshold, no_threshold.recall, no_threshold.false_alarm_rate) == (None, None, None)
    assert no_threshold.image_auroc is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], [], 0.3), "no pictures"),
        (([0.1], ["good", "good"], 0.3), "do not fit"),
        (([0.1, np.nan], ["good", "bent"], 0.3), "not finite"),
        (([0.1, 0.2], ["good", "bent"], 0.3, np.zeros((2, 4, 4)), [None]), "2 scores, 2 maps and 1 masks"),
        (([0.1, 0.2], ["good", "bent"], 0.3, np.zeros((2, 4, 4)), [None, np.eye(5, dtype=bool)]), "shape"),
    ],
)
def test_input_that_cannot_be_used(arguments, words):
    with pytest.raises(InputError, match=words):
        evaluate_scores(*arguments)
