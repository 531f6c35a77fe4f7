"""Trains several students, at the same time in processes of their own on a CPU."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import TypeAlias

import torch

from edgerd.errors import EdgerdError, StorageError, WeightsError
from edgerd.training.device import use_threads
from edgerd.training.students import StudentJob, run_job

_POLL_S = 0.2
_Todo: TypeAlias = "Queue[int | None]"
"""Indices of the jobs, then a None for each process, which ends it."""
_Told: TypeAlias = "Queue[tuple[int, float | EdgerdError | None]]"
"""Index of a job, and what became of it: the loss of a step, the error that ended it, or None when it is done."""


def run_jobs(
    jobs: Sequence[StudentJob],
    n_processes: int,
    device: torch.device,
    on_step: Callable[[str, float], None] = lambda _, __: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run jobs, several at a time on a CPU; each writes its file.

    Args:
        jobs: What to do.
        n_processes: Jobs at a time. With 1, and on a GPU, they run in this process, one after another.
        device: The device to compute on.
        on_step: Called with the job's name and the loss of each step.
        should_stop: Asked after each step, or several times a second.

    Returns:
        Whether all are done; False where it was stopped, and jobs that were finished by then have their files.

    Raises:
        WeightsError: A loss is not finite, or the processes ended early.
        StorageError: Disk full.
    """
    if n_processes == 1 or device.type != "cpu" or len(jobs) < 2:
        return all(not should_stop() and run_job(job, device, partial(on_step, job.name), should_stop) for job in jobs)
    context = multiprocessing.get_context("spawn")
    todo: _Todo = context.Queue()
    told: _Told = context.Queue()
    stop = context.Event()
    n_processes = min(n_processes, len(jobs))
    for index in [*range(len(jobs)), *[None] * n_processes]:
        todo.put(index)
    processes = [
        context.Process(target=_work, args=(list(jobs), todo, told, stop), daemon=True) for _ in range(n_processes)
    ]
    with _ignored_interrupts():
        for process in processes:
            process.start()
    try:
        return _listen(jobs, processes, told, stop, on_step, should_stop)
    finally:
        stop.set()
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.terminate()


def _listen(
    jobs: Sequence[StudentJob],
    processes: Sequence[BaseProcess],
    told: _Told,
    stop: Event,
    on_step: Callable[[str, float], None],
    should_stop: Callable[[], bool],
) -> bool:
    n_done = 0
    while n_done < len(jobs):
        if should_stop():
            stop.set()
            return False
        is_anyone_there = any(process.is_alive() for process in processes)
        try:
            index, news = told.get(timeout=_POLL_S)
        except queue.Empty:
            if not is_anyone_there:
                raise WeightsError(
                    "The processes that train the students ended before they were done.",
                    expected="enough memory for them",
                    hint="Train with --threads 1, or go on with --resume.",
                ) from None
            continue
        if isinstance(news, EdgerdError):
            raise news
        if news is None:
            n_done += 1
        else:
            on_step(jobs[index].name, news)
    return True


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Let processes that are started inside ignore Ctrl-C from their first moment: it is meant for this process."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(jobs: Sequence[StudentJob], todo: _Todo, told: _Told, stop: Event) -> None:
    """The main function of a training process: it runs jobs until there are none left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_threads(1)
    while not stop.is_set() and (index := todo.get()) is not None:
        try:
            done = run_job(jobs[index], torch.device("cpu"), partial(_tell_loss, told, index), stop.is_set)
        except (WeightsError, StorageError) as error:
            told.put((index, error))
            return
        if done:
            told.put((index, None))


def _tell_loss(told: _Told, index: int, loss: float) -> None:
    told.put((index, loss))
