"""The whole matrix: cold, and again with nothing changed. The cold run takes minutes, so it is made once."""

from __future__ import annotations

import tempfile
from statistics import median

from bench.commands import run
from bench.measuring import Row, seconds


def rows(rounds: int) -> list[Row]:
    """Both times, and how much the cache saves."""
    with tempfile.TemporaryDirectory() as cache:
        cold = seconds(lambda: run("matrix", cache=cache), 1)
        again = seconds(lambda: run("matrix", cache=cache), rounds)
    return [
        Row("oomspec matrix, cold (once)", cold, "s", 300.0),
        Row("oomspec matrix, nothing changed", again, "s", 10.0),
        Row("the second as a part of the first", tuple(each / median(cold) for each in again), "x"),
    ]
