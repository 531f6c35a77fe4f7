"""A thread with an asyncio loop of its own, for libraries that want one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

_PATIENCE_S = 10.0


class LoopThread:
    """Runs one coroutine in a thread of its own until it is told to stop.

    Args:
        name: Of the thread.
        main: Called in the thread's loop with a function that it calls once it has begun, and an event that tells it
            to end.
    """

    def __init__(
        self, name: str, main: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]
    ) -> None:
        self._main = main
        self._begun: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; returns when its coroutine has begun.

        Raises:
            Exception: Whatever the coroutine raised before it had begun.
        """
        self._thread.start()
        self._begun.result()

    def call(self, function: Callable[[], object]) -> None:
        """Let the loop call a function soon; nothing happens where the loop has ended, or not begun."""
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Let the coroutine end and wait for it; safe to call twice, and from any other thread."""
        self.call(self._stop.set)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._run_main())
        except BaseException as error:
            if self._begun.done():
                raise
            self._begun.set_exception(error)
        else:
            self._has_begun()

    async def _run_main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._main(self._has_begun, self._stop)
        finally:
            await asyncio.sleep(0)  # connections that were closed let go of their sockets in the loop's next turn

    def _has_begun(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so long; whether it is set."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
