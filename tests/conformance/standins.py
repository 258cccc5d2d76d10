"""Implementations that misbehave in one known way, for workers to import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oom_conformance import shards
from oom_conformance.interface import Capabilities
from oom_conformance.itself import Itself

FLAG = "OOMSPEC_TEST_FLAG"
"""The environment variable that names a file which says that it has happened."""


class Behind(Itself):
    """Whatever era it is asked for, it is E10."""

    def __init__(self) -> None:
        super().__init__("E10")


class Slow(Itself):
    """Takes its time to be reset."""

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As its class says."""
        time.sleep(0.002)
        return super().reset(era, world)


class Modest(Itself):
    """Claims one era alone."""

    def capabilities(self) -> Capabilities:
        """As its class says."""
        return Capabilities("modest", eras=("E4",))


class Hanging(Itself):
    """Does not come back from the fourth step in `marked`."""

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As its class says."""
        self.hangs = world["id"] == "marked"
        self.steps = 0
        return super().reset(era, world)

    def run(self, action: str) -> None:
        """As its class says."""
        self.steps += 1
        if self.hangs and self.steps == 4:
            time.sleep(3600)
        super().run(action)


class DiesOnce(Itself):
    """Kills its process, once."""

    def run(self, action: str) -> None:
        """As its class says."""
        flag = Path(os.environ[FLAG])
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(action)


class DiesInMarked(Itself):
    """Kills its process whenever it is put into `marked`."""

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As its class says."""
        if world["id"] == "marked":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(era, world)


class Exits(Itself):
    """Ends its process in the fifth step of a run."""

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As its class says."""
        self.steps = 0
        return super().reset(era, world)

    def run(self, action: str) -> None:
        """As its class says."""
        self.steps += 1
        if self.steps == 5:
            os._exit(7)
        super().run(action)


class Deaf(Itself):
    """Hangs in the 25th step of a run, and hears no signal that could interrupt it."""

    def capabilities(self) -> Capabilities:
        """Has its worker wait for it no longer than a test can."""
        if multiprocessing.parent_process() is not None:
            shards.GRACE = 0.2
        return super().capabilities()

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As its class says."""
        self.steps = 0
        return super().reset(era, world)

    def run(self, action: str) -> None:
        """As its class says."""
        self.steps += 1
        if self.steps == 25:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            time.sleep(3600)
        super().run(action)
