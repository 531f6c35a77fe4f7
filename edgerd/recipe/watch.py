"""Noticing that a recipe's file has changed, however an editor writes it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Final

from edgerd.errors import EdgerdError
from edgerd.recipe.load import LoadedRecipe, read_recipe_file, recipe_from_bytes

INTERVAL_S: Final = 1.0
"""How often the file is looked at."""


class RecipeWatcher:
    """Looks at a recipe's file again and again, and says when there is a new recipe in it.

    The whole file is read each time: it is small, and neither its times nor its number in the file system tell every
    change. What was read counts once it is the same twice, so that a file which is being written is not taken for a
    whole one: half a recipe can be a valid one.

    Args:
        loaded: What runs now; its `file` is watched.
    """

    def __init__(self, loaded: LoadedRecipe) -> None:
        self._file = loaded.file
        self._known = self._before = loaded.sha256

    def poll(self) -> LoadedRecipe | EdgerdError | None:
        """Look at the file once.

        Returns:
            The new recipe, once, when the file holds another one that is valid. The error, once, when it holds one that
            is not or cannot be read; the recipe that runs stays. Else None, also for a file that was written again as
            it was.
        """
        try:
            content: bytes | EdgerdError = read_recipe_file(self._file)
        except EdgerdError as error:
            content = error
        state = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else str(content)
        is_settled, self._before = state == self._before, state
        if not is_settled or state == self._known:
            return None
        self._known = state
        return self._checked(content) if isinstance(content, bytes) else content

    def _checked(self, content: bytes) -> LoadedRecipe | EdgerdError:
        try:
            return recipe_from_bytes(content, self._file)
        except EdgerdError as error:
            return error


class WatchingThread:
    """Polls a watcher in a thread of its own, until it is closed.

    Args:
        watcher: What is polled.
        on_recipe: Takes each new recipe, in that thread.
        on_error: Takes what is wrong with one that is invalid, in that thread.
        interval_s: Seconds between two polls.
    """

    def __init__(
        self,
        watcher: RecipeWatcher,
        on_recipe: Callable[[LoadedRecipe], None],
        on_error: Callable[[EdgerdError], None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._watcher = watcher
        self._on_recipe = on_recipe
        self._on_error = on_error
        self._interval_s = interval_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recipe", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; safe to call twice. A file system that does not answer is not waited for."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2 * self._interval_s)

    def _run(self) -> None:
        while not self._closed.wait(self._interval_s):
            found = self._watcher.poll()
            if isinstance(found, LoadedRecipe):
                self._on_recipe(found)
            elif found is not None:
                self._on_error(found)
