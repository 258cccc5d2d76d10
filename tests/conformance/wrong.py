"""Implementations with a known fault, to be named in tests: ``wrong:Later``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oom_conformance.itself import Itself


class Later(Itself):
    """Runs the steps of v4.16, whatever it is asked for."""

    def __init__(self) -> None:
        super().__init__("v4.16")


class Crashing(Itself):
    """Crashes when it is to reap."""

    ACTION = "reaper.oom_reaper.oom_reap_task"

    def run(self, action: str) -> None:
        """As the specification, as far as it comes."""
        if action.startswith(self.ACTION):
            raise ZeroDivisionError("reaping")
        super().run(action)


class Forgetful(Itself):
    """Goes wrong in what it has seen, not in where it is: the third trylock that fails is too many."""

    def __init__(self) -> None:
        super().__init__()
        self._failed = 0

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """As the specification."""
        self._failed = 0
        return super().reset(era, world)

    def run(self, action: str) -> None:
        """As the specification, two times."""
        self._failed += "mutex_trylock(oom_lock)[fails]" in action
        if self._failed == 3:
            raise RuntimeError("tired")
        super().run(action)
