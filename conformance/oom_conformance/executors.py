"""Where the shards of a campaign run: processes of this machine, or a dask cluster by its address.

Both are used through the executor interface of `concurrent.futures`. `distributed` is imported here alone, and only
where an address is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from oom_spec.language import SpecError

T = TypeVar("T")

CONNECTING = 10.0
"""Seconds in which a cluster must answer."""
ADDRESS = re.compile(r"(?:(?:tcp|tls|ws|wss)://)?(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^\s/:\[\]@]+):(?P<port>\d{1,5})")
"""Of a dask scheduler."""


class Workers(Protocol):
    """Who does the shards."""

    own: bool
    """They are processes of ours, which may be ended."""

    @property
    def slots(self) -> int:
        """How many shards they do at a time."""

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Have it done. Raises `BrokenExecutor` where a worker has died: `renew` helps."""

    def died(self, problem: BaseException) -> bool:
        """Whether a shard failed with ``problem`` because its worker died."""

    def renew(self) -> None:
        """Take new workers in place of dead ones; what was handed out is gone."""

    def close(self, *, abandon: bool = False) -> None:
        """Let go of the workers; ``abandon``: of what they are at, too."""


# -- processes of this machine ---------------------------------------------------------------


def _prepare() -> None:
    """What a worker does first: it leaves Ctrl-C to the parent, and ends when the parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


class Local:
    """``jobs`` processes, started afresh (spawn), as they are needed."""

    own = True

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """As `Workers.submit`."""
        if self._pool is None:
            self._others = set(multiprocessing.active_children())
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.slots, mp_context=context, initializer=_prepare)
        # A worker that is started here inherits the mask, until it ignores Ctrl-C.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(work, *arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def died(self, problem: BaseException) -> bool:
        """The pool says so."""
        return isinstance(problem, BrokenExecutor)

    def renew(self) -> None:
        """The next shard makes a new pool."""
        self.close(abandon=True)

    def close(self, *, abandon: bool = False) -> None:
        """Idle workers end by themselves, busy ones are ended."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        ours = set(multiprocessing.active_children()) - self._others
        if abandon:
            for worker in ours:
                worker.kill()
        pool.shutdown(wait=True, cancel_futures=True)


# -- a cluster -------------------------------------------------------------------------------


class Cluster:
    """The workers of a dask scheduler, as many as there are at the moment."""

    own = False

    def __init__(self, address: str) -> None:
        """Raises `SpecError` where it is no address, `distributed` is missing, or nobody answers there."""
        host, port = _parsed(address)
        try:
            # Not by a statement: it has no type hints that mypy could use, and may be missing.
            distributed: Any = importlib.import_module("distributed")
            killed: type[BaseException] = importlib.import_module("distributed.scheduler").KilledWorker
        except ImportError:
            raise SpecError(
                "--executor needs the extra 'cluster' (pip install 'oomspec[cluster]'): "
                "install it, or leave --executor out to use processes of this machine"
            ) from None
        _reach(address, host, port)
        # What it has to say of a connection that fails is said below, in one line.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self.address = address

        async def connect() -> None:
            secrets = distributed.Security().get_connection_args("client")
            await (await distributed.core.connect(address, timeout=CONNECTING, **secrets)).close()

        try:
            # A client that cannot connect leaves a traceback when it is let go of, and waits for ever for a greeting.
            asyncio.run(asyncio.wait_for(connect(), CONNECTING))
            self._client: Any = distributed.Client(address, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError, RuntimeError, TypeError) as problem:
            raise _no_answer(address) from problem
        self._executor: Executor = self._client.get_executor(pure=False)
        self._killed = killed
        if not self.slots:
            self.close()
            raise SpecError(f"the cluster at {address} has no workers: start some with 'dask worker {address}'")

    @property
    def slots(self) -> int:
        """The threads of all workers; 0 where the scheduler does not answer any more."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, ValueError):
            return 0

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """As `Workers.submit`."""
        return self._executor.submit(work, *arguments)

    def died(self, problem: BaseException) -> bool:
        """The scheduler has given it out again itself, until it gave up."""
        return isinstance(problem, self._killed)

    def renew(self) -> None:
        """That is the cluster's own affair."""

    def close(self, *, abandon: bool = False) -> None:
        """The workers stay for others."""
        self._executor.shutdown(wait=False)
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self._client.close(timeout=CONNECTING)


def _parsed(address: str) -> tuple[str, int]:
    """Host and port. Raises `SpecError` for what is no address: dask would look for it long, then leave a traceback."""
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise SpecError(f"--executor {address!r} is no address of a dask scheduler: write tcp://host:8786")
    return found["host"].strip("[]"), int(found["port"])


def _reach(address: str, host: str, port: int) -> None:
    """Raises `SpecError` where nobody listens: dask would try again and again."""
    try:
        socket.create_connection((host, port), CONNECTING).close()
    except (socket.gaierror, UnicodeError):
        raise SpecError(f"--executor {address}: the host {host} is not known: correct the address") from None
    except OSError as problem:
        raise _no_answer(address) from problem


def _no_answer(address: str) -> SpecError:
    return SpecError(f"no dask scheduler answers at {address}: start one with 'dask scheduler', or correct --executor")


def workers_of(address: str | None, jobs: int) -> Workers:
    """The cluster at ``address``; without one, so many processes here."""
    return Local(jobs) if address is None else Cluster(address)


__all__ = ["Cluster", "Local", "Workers", "workers_of"]
