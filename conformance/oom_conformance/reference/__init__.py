"""The reference implementation: code in the shape of the kernel's, written apart from the specification's steps.

`exit`, `exit_mmap`, `oom_kill`, `oom_reaper`, `early`, `mrelease`, `faults`, `fork` hold the kernel's functions,
`objects` what they work on, `machine` how they are stopped between any two atomic sections, and `releases` which
form of each function an era has. It shares names with the specification, and no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from oom_conformance.interface import Capabilities, Value
from oom_conformance.reference.booting import boot, names_of, values_of
from oom_conformance.reference.kernel import Release
from oom_conformance.reference.machine import Machine
from oom_conformance.reference.releases import RELEASES


class Reference:
    """Runs one action at a time."""

    def __init__(self, releases: Mapping[str, Release] | None = None) -> None:
        """``releases``: other forms of functions than the eras have, by the era's id."""
        self.releases = RELEASES if releases is None else releases
        self.machine: Machine | None = None

    def __del__(self) -> None:
        with suppress(Exception):  # of a thread that is gone, or of an interpreter that ends
            self.close()

    def close(self) -> None:
        """End the run, and free what it holds."""
        if self.machine is not None:
            self.machine.close()
            self.machine = None

    def capabilities(self) -> Capabilities:
        """Every era, scenario and observable."""
        return Capabilities("reference", eras=tuple(self.releases))

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """Boot a kernel in a world.

        Raises `LookupError` for an era that it does not have.
        """
        if era not in self.releases:
            raise LookupError(f"no release {era!r}; there are {', '.join(self.releases)}")
        self.close()
        self.machine = Machine()
        self.kernel, bodies = boot(self.machine, self.releases[era], world)
        for name, body in bodies:
            self.machine.spawn(name, body)
        return names_of(self.kernel)

    def runnable(self) -> Sequence[str]:
        """What each thread of control may do next."""
        return self._running.runnable()

    def run(self, action: str) -> None:
        """One atomic section of the thread that offers the action."""
        self._running.run(action)

    def observe(self) -> Sequence[Value]:
        """Every observable."""
        return values_of(self.kernel)

    def reports(self) -> Sequence[str]:
        """What the kernel's own checks have found since the last reset."""
        return tuple(self._running.reports)

    @property
    def _running(self) -> Machine:
        if self.machine is None:
            raise LookupError("there is no run: reset first")
        return self.machine


__all__ = ["Reference"]
