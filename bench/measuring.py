"""What a benchmark measures, and how: medians of several rounds, ratios between rounds of one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, unique
from statistics import median

import attrs


@unique
class Better(Enum):
    """Which side of the target is good."""

    LESS = "<="
    MORE = ">="


@attrs.frozen
class Row:
    """One measured figure beside its target."""

    name: str
    """What was measured, with era and scenario."""
    samples: tuple[float, ...]
    """One figure per round, in the order of measurement."""
    unit: str
    """``s``, ``states/s`` or ``x`` (a ratio)."""
    target: float | None = None
    """In `unit`; None where a figure is only recorded."""
    better: Better = Better.LESS

    @property
    def figure(self) -> float:
        """The median of the samples."""
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the median is on the good side of the target; None without a target."""
        if self.target is None:
            return None
        return self.figure <= self.target if self.better is Better.LESS else self.figure >= self.target


def seconds(job: Callable[[], object], rounds: int) -> tuple[float, ...]:
    """Wall-clock seconds of each of ``rounds`` runs of ``job``."""
    samples = []
    for _ in range(rounds):
        started = time.perf_counter()
        job()
        samples.append(time.perf_counter() - started)
    return tuple(samples)
