"""Worker processes: tasks in groups, so that a worker keeps to a group whose caches it has filled.

Each worker has a pipe of its own and the parent has no threads, so workers can be forked at any time. A worker that
dies takes one task with it, and another takes its place.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar, cast

from oom_spec.language.errors import SpecError

T = TypeVar("T")
R = TypeVar("R")

TASKS_PER_COLLECTION = 8
ORPHAN_CHECK = 1.0
"""Seconds after which an idle worker looks whether its parent is still there."""


class WorkerError(Exception):
    """A mistake of ours in a worker; the text is its traceback."""


class Died:
    """What comes instead of a result where the worker died."""


DIED = Died()


def prepare_worker() -> None:
    """Workers leave Ctrl-C to the parent, which keeps what is done.

    They collect cyclic garbage between tasks only: a graph of states has none, and looking for it costs a quarter of
    the time.
    """
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _serve(work: Callable[[T], R], mine: Connection, others: Sequence[Connection], parent: int) -> None:
    """What a worker does: one task after the other, until the parent says so or is gone."""
    prepare_worker()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for other in others:
        other.close()
    done = 0
    try:
        while True:
            while not mine.poll(ORPHAN_CHECK):
                if os.getppid() != parent:
                    return
            task = mine.recv()
            if task is None:
                return
            try:
                answer: tuple[str, object] = "done", work(task)
            except SpecError as error:
                answer = "spec", str(error)
            except MemoryError:
                os._exit(1)  # as if it had been killed: what is left of a solver is of no use
            except Exception:  # noqa: BLE001 - told to the parent, which fails with it
                answer = "failed", traceback.format_exc()
            mine.send(answer)
            done += 1
            if done % TASKS_PER_COLLECTION == 0:
                gc.collect()
                gc.freeze()  # what is left are caches for the life of the worker: not to be looked at again
    except (EOFError, OSError):
        return  # the parent is gone


class _Worker(Generic[T]):
    """A process, the parent's end of its pipe, and what it is at."""

    def __init__(self, work: Callable[[T], object], others: Sequence[Connection]) -> None:
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if "fork" in methods else None)
        self.pipe, theirs = context.Pipe()
        self.group = ""
        self.task: T | None = None
        arguments = (work, theirs, (*others, self.pipe), os.getpid())
        self.process: BaseProcess = context.Process(target=_serve, args=arguments, daemon=True)
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the worker ignores it
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        theirs.close()

    def end(self) -> None:
        """End it at once."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()


class Pool(Generic[T, R]):
    """Some workers that all do ``work``; a context manager, which ends them."""

    def __init__(self, jobs: int, work: Callable[[T], R]) -> None:
        self.jobs = jobs
        self.work = work
        self.workers: list[_Worker[T]] = []

    def __enter__(self) -> Pool[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()
        self.workers.clear()

    def run(
        self, groups: Mapping[str, Sequence[T]], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[T, R | Died]]:
        """Do all tasks, and give each with its result as it comes; `DIED` where the worker died.

        Groups given first are begun first. Once ``stop`` says so no further task is begun. Raises `SpecError` and
        `WorkerError` as workers do.
        """
        waiting = {name: deque(tasks) for name, tasks in groups.items() if tasks}
        while True:
            if stop():
                waiting.clear()
            self._hand_out(waiting)
            busy = [worker for worker in self.workers if worker.task is not None]
            if not busy:
                return
            ready = set(wait([sign for worker in busy for sign in (worker.pipe, worker.process.sentinel)]))
            for worker in busy:
                if not ready & {worker.pipe, worker.process.sentinel}:
                    continue
                task = worker.task
                assert task is not None
                worker.task = None
                result = self._result(worker)
                yield task, result

    def _result(self, worker: _Worker[T]) -> R | Died:
        try:
            kind, answer = worker.pipe.recv() if worker.pipe.poll() else ("died", None)
        except (EOFError, OSError):
            kind, answer = "died", None
        if kind == "died":
            self.workers.remove(worker)
            worker.end()
            return DIED
        if kind == "spec":
            raise SpecError(answer)
        if kind == "failed":
            raise WorkerError(answer)
        return cast(R, answer)

    def _hand_out(self, waiting: dict[str, deque[T]]) -> None:
        missing = min(self.jobs, sum(map(len, waiting.values()))) - len(self.workers)
        for _ in range(missing):
            self.workers.append(_Worker(self.work, [worker.pipe for worker in self.workers]))
        for worker in list(self.workers):
            if worker.task is None and waiting:
                self._give(worker, waiting)

    def _give(self, worker: _Worker[T], waiting: dict[str, deque[T]]) -> None:
        """The next task of its group; else a group that nobody is at; else a share of the group with most to do."""
        task: T
        if worker.group in waiting:
            name, stolen = worker.group, False
        else:
            taken = {each.group for each in self.workers if each.task is not None}
            free = [name for name in waiting if name not in taken]
            stolen = not free
            name = free[0] if free else max(waiting, key=lambda each: len(waiting[each]))
        task = waiting[name].pop() if stolen else waiting[name].popleft()
        if not waiting[name]:
            del waiting[name]
        worker.group = name
        worker.task = task
        with contextlib.suppress(OSError):  # where it has died, its end of the pipe says so at once
            worker.pipe.send(task)


__all__ = ["DIED", "Died", "Pool", "WorkerError", "prepare_worker"]
