"""The specification as an implementation of itself: it runs the plain steps.

Of no use for finding faults in the specification. It shows what an implementation must do at the least,
and with a step left out or exchanged it is a faulty implementation whose fault is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from oom_conformance.interface import Capabilities, Value
from oom_conformance.observables import Observation, observer
from oom_spec.eras import find_era
from oom_spec.generating import Generated, generate
from oom_spec.instances import Instance
from oom_spec.scenarios import find_scenario


@cache
def _made(era: str, scenario: str) -> tuple[Instance, Generated, tuple[str, ...], Callable[[int], Observation]]:
    """Once in a process: shrinking makes an implementation per try, and compiling takes longer than a try."""
    instance = Instance(find_era(era), find_scenario(scenario))
    generated = generate(instance)
    return instance, generated, *observer(instance, generated.packing)


class Itself:
    """Knows the scenario by its id; nothing in the world's description is looked at beside it."""

    def __init__(self, behaves_as: str | None = None) -> None:
        """``behaves_as``: the era whose steps it takes, whatever era it is asked for."""
        self.behaves_as = behaves_as
        self._state = 0

    def capabilities(self) -> Capabilities:
        """Everything."""
        return Capabilities("the specification itself")

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """The cold start of the scenario."""
        self._instance, self._generated, names, self._observe = _made(self.behaves_as or era, str(world["id"]))
        self._state = self._generated.packing.initial
        self._look()
        return tuple(names)

    def _look(self) -> None:
        paths = self._instance.paths
        self._targets = {paths[number].action.id: target for target, number in self._generated.successors(self._state)}

    def runnable(self) -> Sequence[str]:
        """The successors."""
        return tuple(self._targets)

    def run(self, action: str) -> None:
        """One of them."""
        self._state = self._targets[action]
        self._look()

    def observe(self) -> Sequence[Value]:
        """What the specification sees."""
        return tuple(self._observe(self._state))
