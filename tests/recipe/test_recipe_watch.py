"""A changed recipe is noticed once, when it is whole; an invalid one is reported once."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import SMALL

from edgerd.errors import EdgerdError, InputError, RecipeError
from edgerd.recipe import LoadedRecipe, load_recipe
from edgerd.recipe.watch import RecipeWatcher, WatchingThread

OTHER = SMALL + "threshold = 0.5\n"
INVALID = SMALL + "threshold = 50\n"


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "edgerd.toml"
    file.write_text(SMALL)
    return file


def settled(watcher):
    """What two polls say together: the first sees something new, the second that it stays."""
    first, second = watcher.poll(), watcher.poll()
    assert first is None
    return second


def test_a_new_recipe_is_given_once(file):
    watcher = RecipeWatcher(load_recipe(file))
    assert settled(watcher) is None
    file.write_text(OTHER)
    new = settled(watcher)
    assert isinstance(new, LoadedRecipe)
    assert new.recipe.cameras[0].threshold == 0.5
    assert settled(watcher) is None
    file.write_text(SMALL)
    assert settled(watcher).recipe.cameras[0].threshold is None


def test_a_file_that_is_replaced_or_keeps_its_times_is_noticed(file):
    watcher = RecipeWatcher(load_recipe(file))
    times = file.stat()
    (file.parent / "new").write_text(OTHER)
    (file.parent / "new").replace(file)
    assert isinstance(settled(watcher), LoadedRecipe)
    file.write_text(OTHER.replace("0.5", "0.6"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert settled(watcher).recipe.cameras[0].threshold == 0.6


def test_an_invalid_recipe_is_reported_once_and_its_correction_is_taken(file):
    watcher = RecipeWatcher(load_recipe(file))
    file.write_text(INVALID)
    assert isinstance(settled(watcher), RecipeError)
    assert settled(watcher) is None
    file.write_text(OTHER)
    assert isinstance(settled(watcher), LoadedRecipe)


def test_a_file_that_is_gone_for_a_moment_is_not_reported(file):
    watcher = RecipeWatcher(load_recipe(file))
    file.unlink()
    assert watcher.poll() is None
    file.write_text(OTHER)
    assert isinstance(settled(watcher), LoadedRecipe)
    file.unlink()
    assert isinstance(settled(watcher), InputError)
    assert settled(watcher) is None


def test_a_file_that_is_being_written_is_not_taken(file):
    watcher = RecipeWatcher(load_recipe(file))
    two = OTHER + SMALL.replace('"0"', '"1"')
    for end in (len(SMALL) + 1, len(OTHER), len(OTHER) + 11, len(two)):
        file.write_text(two[:end])
        assert watcher.poll() is None
    assert len(watcher.poll().recipe.cameras) == 2


@settings(deadline=None)
@given(st.lists(st.sampled_from([SMALL, OTHER, INVALID, None, "junk"]), max_size=12))
def test_after_any_changes_the_last_valid_recipe_was_given(tmp_path_factory, contents):
    file = tmp_path_factory.mktemp("recipe") / "edgerd.toml"
    file.write_text(SMALL)
    watcher = RecipeWatcher(load_recipe(file))
    running = given_last = load_recipe(file).sha256
    for content in contents:
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        for _ in range(2):
            if isinstance(found := watcher.poll(), LoadedRecipe):
                given_last = found.sha256
        if content in (SMALL, OTHER):
            running = load_recipe(file).sha256
        assert given_last == running


def test_a_thread_tells_of_both(file):
    told = []
    is_told = threading.Event()

    def tell(found):
        told.append(found)
        is_told.set()

    thread = WatchingThread(RecipeWatcher(load_recipe(file)), tell, tell, interval_s=0.01)
    try:
        for content, kind in ((OTHER, LoadedRecipe), (INVALID, EdgerdError)):
            file.write_text(content)
            assert is_told.wait(10)
            is_told.clear()
            assert isinstance(told[-1], kind)
    finally:
        thread.close()
    assert len(told) == 2
