"""A calibration set is judged by what other good pictures show beyond it, by its halves, and by its scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.calibration.range_judgement import MAX_HALVES_RATIO, Enough, judge
from edgerd.calibration.range_pictures import RangePictures, Suspect, range_pictures_of
from edgerd.calibration.range_plot import judgement_plot
from edgerd.errors import InputError
from edgerd.precision.features import FeatureReader


def first(found: RangePictures, n: int) -> RangePictures:
    return replace(found, names=found.names[:n], pictures=found.pictures[:n], features=found.features[:n])


def changed(bundle, found: RangePictures, factor: float) -> RangePictures:
    """The same parts in other light."""
    pictures = np.clip(found.pictures * factor, 0, 255).astype(np.uint8)
    reader = FeatureReader(bundle.read(GRAPH_FILE))
    return replace(found, pictures=pictures, features=np.stack([reader.look(tiles)[0] for tiles in pictures]))


@pytest.fixture(scope="module")
def bundle(_exported):
    """The session's own; nothing here writes."""
    return Bundle.open(_exported)


@pytest.fixture(scope="module")
def found(bundle):
    return range_pictures_of(bundle, bundle.manifest.ranges)


@pytest.fixture(scope="module")
def others(bundle):
    return range_pictures_of(bundle, bundle.manifest.holdout)


@pytest.fixture(scope="module")
def enough(bundle, found, others):
    return judge(bundle, found, others)


@pytest.fixture(scope="module")
def lacking(bundle, found, others):
    """A set from a dark shift."""
    return judge(bundle, changed(bundle, found, 0.4), others)


def test_the_pictures_of_a_bundle_are_enough(enough, found, others):
    assert enough.lacks() == ()
    assert enough.verdict is Enough.ENOUGH
    assert (enough.n_pictures, enough.n_others) == (len(found.pictures), len(others.pictures))
    assert (enough.outside <= enough.allowed).all()
    assert enough.halves.max() <= MAX_HALVES_RATIO
    assert enough.growth[0] > enough.growth[-1]


def test_a_set_from_one_shift_is_not_enough_for_another(lacking):
    assert lacking.verdict is Enough.MORE
    lacks = " ".join(lacking.lacks())
    assert "on other good pictures lie outside the range that the set shows" in lacks
    assert "other good pictures are like nothing in the set" in lacks
    assert lacking.far[0] in lacks


def test_halves_that_differ_are_named(bundle, found, others):
    odd = first(found, 8)
    odd = replace(odd, pictures=np.concatenate([changed(bundle, odd, 0.3).pictures[:7], odd.pictures[:1]]))
    judged = judge(bundle, odd, others)
    assert judged.halves.max() > MAX_HALVES_RATIO
    worst = judged.names[int(np.argmax(judged.halves))]
    assert any(f"Halves of the set do not agree: the range of {worst}" in line for line in judged.lacks())


def test_suspects_come_before_everything_else(bundle, found, others):
    judged = judge(bundle, replace(first(found, 8), suspects=(Suspect("part.png", 9.0),)), others)
    assert judged.verdict is Enough.SUSPECTS


def test_pictures_that_are_in_the_set_say_nothing_about_it(bundle, found, others):
    with pytest.raises(InputError, match="are in the set as well"):
        judge(bundle, found, found)
    both = replace(
        others,
        names=(*others.names, *found.names),
        pictures=np.concatenate([others.pictures, found.pictures]),
        features=np.concatenate([others.features, found.features]),
    )
    assert judge(bundle, found, both).n_others == len(others.pictures)


def test_the_plot_shows_what_is_not_allowed(enough, lacking):
    orange = np.array((26, 100, 224))
    calm, alarming = judgement_plot(enough), judgement_plot(lacking)
    assert calm.shape == alarming.shape
    assert not (calm == orange).all(axis=2).any()
    assert (alarming == orange).all(axis=2).sum() > 100
