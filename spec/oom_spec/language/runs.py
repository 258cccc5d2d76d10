"""Runs that are written down beside the eras: what can happen there, in this order, and what cannot.

A run is a list of what happens::

    impossible("E5", "single", "the reaper walks after the fence",
               [fence_up_write, reaper.set_unstable],
               why="MMF_OOM_SKIP is set before the fence, and the reaper tests it under the lock.",
               source="212925802454")

An item is a step (or its id): it is taken; or a condition: it holds in some state. Other steps may
come between two items, unless `then` says that nothing does, or `never` that these do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, unique
from itertools import pairwise

import attrs

from oom_spec.language.errors import MisuseError
from oom_spec.language.steps import Step


@unique
class Expectation(Enum):
    """What is said of a list of happenings."""

    POSSIBLE = "possible"
    IMPOSSIBLE = "impossible"


@attrs.frozen
class Happens:
    """One of some steps is taken."""

    steps: tuple[str, ...]
    """Ids; the era's own steps of these ids are meant, replaced or not."""
    about: tuple[str, ...] = ()
    """Names of objects that take part in it."""
    directly: bool = False
    """Nothing happens between the item before and this one."""

    @property
    def text(self) -> str:
        """As a reader of a list wants it."""
        objects = f" ({', '.join(self.about)})" if self.about else ""
        return ("directly " if self.directly else "") + " or ".join(self.steps) + objects


@attrs.frozen(eq=False)
class Holds:
    """A condition holds, in the state after the item before or later."""

    says: str
    formula: Callable[..., bool]
    """Over the world, then the objects of `about`."""
    about: tuple[str, ...] = ()
    directly: bool = False
    """It holds at once after the item before."""

    @property
    def text(self) -> str:
        """As a reader of a list wants it."""
        return ("directly: " if self.directly else "") + self.says


@attrs.frozen
class Never:
    """Between the item before (or the start) and the next one, none of some steps is taken."""

    steps: tuple[str, ...]
    about: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As a reader of a list wants it."""
        objects = f" ({', '.join(self.about)})" if self.about else ""
        return "meanwhile never " + " or ".join(self.steps) + objects


Item = Happens | Holds | Never
Written = Step | str | Happens | Holds | Never
"""How an item may be written: a step stands for its id."""


@attrs.frozen
class Stage:
    """One thing that must come about, and what must not happen on the way to it."""

    item: Happens | Holds
    meanwhile: tuple[Never, ...]


@attrs.frozen(eq=False)
class ExpectedRun:
    """A list of happenings, and whether some run of a scenario contains them in this order."""

    expected: Expectation
    eras: tuple[str, ...]
    """Ids: the same is said of each."""
    scenario: str
    name: str
    items: tuple[Item, ...]
    why: str
    """One sentence: what it shows of the era."""
    source: str
    """Commit, mail or kernel function behind it."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The items that must come about, each with the `never` items before it."""
        found: list[Stage] = []
        meanwhile: list[Never] = []
        for item in self.items:
            if isinstance(item, Never):
                meanwhile.append(item)
            else:
                found.append(Stage(item, tuple(meanwhile)))
                meanwhile = []
        return tuple(found)


def _id(step: Step | str) -> str:
    return step.id if isinstance(step, Step) else step


def _names(about: str | Sequence[str]) -> tuple[str, ...]:
    return (about,) if isinstance(about, str) else tuple(about)


def happens(*steps: Step | str, about: str | Sequence[str] = ()) -> Happens:
    """One of ``steps`` is taken; with ``about``, these objects take part in it.

    Raises `MisuseError` without a step.
    """
    if not steps:
        raise MisuseError("happens() names no step: name at least one")
    return Happens(tuple(_id(step) for step in steps), _names(about))


def holds(says: str, formula: Callable[..., bool], about: str | Sequence[str] = ()) -> Holds:
    """``formula`` holds, over the world and then the objects of ``about``; ``says`` puts it in words."""
    return Holds(says, formula, _names(about))


def never(*steps: Step | str, about: str | Sequence[str] = ()) -> Never:
    """Between the item before and the next one, none of ``steps`` is taken.

    Raises `MisuseError` without a step.
    """
    if not steps:
        raise MisuseError("never() names no step: name at least one")
    return Never(tuple(_id(step) for step in steps), _names(about))


def then(item: Step | str | Happens | Holds) -> Happens | Holds:
    """``item`` with nothing between the item before and it.

    Raises `MisuseError` for a `never`, which is about what lies between.
    """
    if isinstance(item, Never):
        raise MisuseError("then(never(...)) says nothing: nothing lies between; leave the `then` out")
    if isinstance(item, Step | str):
        return Happens((_id(item),), directly=True)
    return attrs.evolve(item, directly=True)


def possible(
    eras: str | Sequence[str], scenario: str, name: str, items: Sequence[Written], *, why: str, source: str
) -> ExpectedRun:
    """Some run of ``scenario`` in each of ``eras`` (ids) contains ``items`` in this order.

    Raises `MisuseError` for a list that cannot be meant.
    """
    return _declared(Expectation.POSSIBLE, eras, scenario, name, items, why, source)


def impossible(
    eras: str | Sequence[str], scenario: str, name: str, items: Sequence[Written], *, why: str, source: str
) -> ExpectedRun:
    """No run of ``scenario`` in any of ``eras`` (ids) contains ``items`` in this order.

    So that this is not said of what nobody would expect anyway, the list without its last item must be
    possible, and so must its last item alone.

    Raises `MisuseError` for a list that cannot be meant.
    """
    declared = _declared(Expectation.IMPOSSIBLE, eras, scenario, name, items, why, source)
    if len(declared.stages) < 2:
        raise MisuseError(f"run {name!r}: an impossible run needs two items that are possible one by one")
    return declared


def _declared(
    expected: Expectation,
    eras: str | Sequence[str],
    scenario: str,
    name: str,
    items: Sequence[Written],
    why: str,
    source: str,
) -> ExpectedRun:
    read = tuple(Happens((_id(item),)) if isinstance(item, Step | str) else item for item in items)
    if not read or all(isinstance(item, Never) for item in read):
        raise MisuseError(f"run {name!r}: nothing happens in it: name a step or a condition")
    if isinstance(read[-1], Never):
        raise MisuseError(f"run {name!r}: it ends with `never`, which speaks of the time until the next item: add one")
    for before, item in pairwise(read):
        if isinstance(before, Never) and not isinstance(item, Never) and item.directly:
            raise MisuseError(f"run {name!r}: `then` right after `never`: nothing lies between; keep one of the two")
    for field, value in (("name", name), ("why", why), ("source", source), ("eras", eras)):
        if not value:
            raise MisuseError(f"run {name!r}: `{field}` is empty: fill it in")
    return ExpectedRun(expected, _names(eras), scenario, name, read, why, source)
