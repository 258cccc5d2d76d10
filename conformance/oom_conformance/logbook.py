"""What an implementation was asked for last, kept where the death of its process does not reach: a mapped file.

A store to a shared mapping is the kernel's as soon as it is made, whatever becomes of the process (a loss of power
aside). A step costs one store of eight bytes: the number of its action, and of the run that it belongs to, so that
what is left of longer runs needs no clearing. The names of the actions stand behind, each written once, before its
number is used.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Self

import attrs

SLOTS = 1 << 13
"""One for the number of the run, and one for each of its steps: runs of campaigns have some 300."""
WORD = 8
"""Bytes of a slot."""
NAMES = 1 << 17
"""Bytes for the names of the actions that were taken: a world has some 300, of 50 bytes."""
BITS = 16
"""Of a slot, for the number of the action; the others are for that of the run."""
UNNAMED = 0
"""The number of all actions for whose names there was no room."""


@attrs.frozen
class Noted:
    """What a logbook says."""

    schedule: tuple[str, ...] = ()
    """Since the last reset, from the cold start."""
    whole: bool = True
    """There was room for all of it."""


class Logbook:
    """The file as its only writer has it, in one thread."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises `OSError` where that cannot be done, or there is no room for all of it."""
        size = SLOTS * WORD + NAMES
        with path.open("w+b", buffering=0) as file:
            # Written, not only made so long: a page that finds no room later would end the process.
            if file.write(bytes(size)) != size:
                raise OSError(f"{path}: no room")
            self._map = mmap.mmap(file.fileno(), size)
        whole = memoryview(self._map)
        self._slots = slots = whole[: SLOTS * WORD].cast("Q")
        self._names = whole[SLOTS * WORD :]
        self._numbers = numbers = _Numbers(self._names)
        run, mark, end = 0, 0, 1

        def begin() -> None:
            nonlocal run, mark, end
            run += 1
            mark, end = run << BITS, 1
            slots[0] = run

        def note(action: str) -> None:
            nonlocal end
            try:
                slots[end] = mark | numbers[action]
                end += 1
            except IndexError:  # there is no room: that the last slot is taken says so
                pass

        self.begin = begin
        """The implementation is reset: an empty schedule."""
        self.note = note
        """It is about to take this action. A sixth of a microsecond."""

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._slots.release()
        self._names.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Numbers(dict[str, int]):
    """The numbers of actions, in the order in which they were first taken."""

    def __init__(self, names: memoryview) -> None:
        super().__init__()
        self._names = names
        self._end = 0

    def __missing__(self, action: str) -> int:
        entry = action.encode("utf-8", "replace") + b"\0"
        following = self._end + len(entry)
        if following > NAMES or len(self) >= (1 << BITS) - 1:
            return UNNAMED
        self._names[self._end : following] = entry
        self._end = following
        number = self[action] = len(self) + 1
        return number


def read(path: Path) -> Noted:
    """What the file says, whatever has become of its writer; nothing where it is missing or is no logbook."""
    try:
        found = path.read_bytes()
    except OSError:
        return Noted()
    if len(found) != SLOTS * WORD + NAMES:
        return Noted()
    run, *steps = struct.unpack_from(f"={SLOTS}Q", found)
    if not run:
        return Noted()
    names = [name.decode("utf-8", "replace") for name in found[SLOTS * WORD :].split(b"\0")]
    numbers = list(_of_run(run, steps))
    known = list(takewhile(lambda number: number != UNNAMED, numbers))
    return Noted(tuple(names[number - 1] for number in known), whole=len(known) == len(numbers) < SLOTS - 1)


def _of_run(run: int, steps: list[int]) -> Iterator[int]:
    """The actions of its steps: what follows was left by longer runs before it."""
    for step in steps:
        if step >> BITS != run:
            return
        yield step & ((1 << BITS) - 1)


__all__ = ["NAMES", "SLOTS", "Logbook", "Noted", "read"]
