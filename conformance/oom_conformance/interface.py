"""What an implementation of the protocol is, for the suite: five methods over plain values.

The suite puts an implementation into a world (`reset`), and from then on decides which action runs next.
An action is named like the step of the specification that it is an instance of, with the objects that it
is about: ``reaper.oom_reap_task.put_task_struct(reaper, P1.t0)``. What an implementation sees of itself
are values with names of their own (`oom_conformance.observables`), such as ``mm0.mm_users``.

Nothing here is Python's alone: `oom_conformance.programs` speaks the same protocol with a program in any
language, over its standard input and output.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, cast, runtime_checkable

import attrs

from oom_spec.language import SpecError

VERSION = 1
"""The version of the protocol: raised when an old implementation would not understand a new suite."""

VARIABLE = "OOMSPEC_IMPLEMENTATION"
"""The environment variable that names an implementation, where no option does."""

GROUP = "oomspec.implementations"
"""The entry-point group in which a package may name its implementations."""

REFERENCE = "reference"
"""The name of the suite's own implementation."""

Value = bool | int | str
"""What can be observed: a truth value, a number, or a name."""


@attrs.frozen
class Capabilities:
    """What an implementation can do. What it does not claim is not asked of it; what it claims, it must do."""

    name: str
    version: int = VERSION
    """The protocol's version that it speaks."""
    eras: tuple[str, ...] | None = None
    """Ids of the eras that it implements; None: every one."""
    scenarios: tuple[str, ...] | None = None
    """Ids of the scenarios that it can be put into; None: every one."""
    observes: tuple[str, ...] | None = None
    """Ids of the observables that it reports, such as ``Mm.mm_users``; None: every one."""


@runtime_checkable
class Implementation(Protocol):
    """One simulated machine. An object of this kind is used by one thread, for one run after the other.

    It may have a method ``reports() -> Sequence[str]`` too: what its own checks have found since the last reset, such
    as a use after free. That is a fault wherever the specification knows of none.
    """

    def capabilities(self) -> Capabilities:
        """What it can do; asked once, before anything else."""

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """Forget the run so far and start in ``world`` (see `oom_conformance.worlds`), with the code of ``era``.

        Gives the names of what `observe` will report in this world, in that order.
        """

    def runnable(self) -> Sequence[str]:
        """Every action that can be taken now, in any order."""

    def run(self, action: str) -> None:
        """Take one of them."""

    def observe(self) -> Sequence[Value]:
        """The values of what `reset` named, in that order."""


class ImplementationError(Exception):
    """The implementation broke the protocol, crashed or hung: the message says what it did, and on what.

    Raised by adapters; anything else that an implementation raises counts as a crash.
    """


def find_implementation(name: str | None = None) -> Callable[[], Implementation]:
    """How to make the implementation of that name: ``package.module:Class``, an entry point, or `REFERENCE`.

    Without a name, the one that the environment variable `OOMSPEC_IMPLEMENTATION` names, or the reference. A name that
    begins with ``!`` is a command to run, whose program speaks the protocol over its standard input and output.

    Raises `SpecError` where there is none.
    """
    chosen = name or os.environ.get(VARIABLE) or REFERENCE
    if chosen.startswith("!"):
        from oom_conformance.programs import Program

        return lambda: Program(chosen[1:])
    if chosen == REFERENCE:
        chosen = "oom_conformance.reference:Reference"
    elif ":" not in chosen:
        points = {point.name: point for point in entry_points(group=GROUP)}
        if chosen not in points:
            known = ", ".join([REFERENCE, *sorted(points)])
            raise SpecError(
                f"unknown implementation {chosen!r}: name it as package.module:Class or '!command', "
                f"or take one of {known}"
            )
        chosen = points[chosen].value
    module, _, attribute = chosen.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as problem:
        raise SpecError(f"implementation {chosen!r} cannot be imported: {problem}") from problem
    if not callable(found):
        raise SpecError(f"implementation {chosen!r} is no class: name one that can be called without arguments")
    return cast(Callable[[], Implementation], found)


__all__ = [
    "GROUP",
    "REFERENCE",
    "VARIABLE",
    "VERSION",
    "Capabilities",
    "Implementation",
    "ImplementationError",
    "Value",
    "find_implementation",
]
