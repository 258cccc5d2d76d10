"""The specification as an implementation of itself: it runs the plain steps.

Of no use for finding faults in the specification. It shows what an implementation must do at the least,
and with a step left out or exchanged it is a faulty implementation whose fault is known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oom_conformance.interface import Capabilities, Value
from oom_conformance.observables import observer
from oom_spec.eras import find_era
from oom_spec.generating import generate
from oom_spec.instances import Instance
from oom_spec.scenarios import find_scenario


class Itself:
    """Knows the scenario by its id; nothing in the world's description is looked at beside it."""

    def __init__(self, behaves_as: str | None = None) -> None:
        """``behaves_as``: the era whose steps it takes, whatever era it is asked for."""
        self.behaves_as = behaves_as
        self._made: dict[tuple[str, str], Any] = {}
        self._state = 0

    def capabilities(self) -> Capabilities:
        """Everything."""
        return Capabilities("the specification itself")

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """The cold start of the scenario."""
        key = (self.behaves_as or era, str(world["id"]))
        if key not in self._made:
            instance = Instance(find_era(key[0]), find_scenario(key[1]))
            generated = generate(instance)
            self._made[key] = instance, generated, *observer(instance, generated.packing)
        self._instance, self._generated, names, self._observe = self._made[key]
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
