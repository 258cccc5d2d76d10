"""How long work reports where it is: to a progress bar, a log, or nobody."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Told how much is done, of how much, and what is at hand."""


def silent(done: int, total: int, text: str) -> None:
    """Report to nobody."""


__all__ = ["Progress", "silent"]
