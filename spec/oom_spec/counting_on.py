"""Whom a property of progress counts on: whoever is meant acts in the end, if it can act again and again.

The two functions say who is meant, for a step and for an action; `Counted` answers the same for a packed graph.
"""

from __future__ import annotations

from collections.abc import Mapping

from oom_spec.exploring import Exploration
from oom_spec.generating import Judge, judge
from oom_spec.instances import Action
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step, World


def counts_on(subject: Property, step: Step) -> bool:
    """Whether ``subject`` counts on such a step at all; for `Property.counts_on`, in some states."""
    return not step.environment and step.actor in {*subject.actors, *subject.counts_on}


def who(action: Action) -> str:
    """Who acts: the actor's name; each timer is one of its own, named by its function and the objects armed for."""
    if action.step.actor is not World:
        return action.actor
    about = (action.arguments[name] for name, kind in action.step.parameters if kind is not World)
    return f"{action.step.kernel_function}({', '.join(about)})"


class Counted:
    """Whose steps may be counted on in a graph: for each path the bit of its actor, 0 where nobody may count on it."""

    def __init__(self, exploration: Exploration, subject: Property) -> None:
        instance = exploration.instance
        bits: dict[str, int] = {}
        self.owed: list[int] = []
        self.only_where: list[tuple[int, Judge]] = []
        for path in instance.paths:
            step, name = path.action.step, who(path.action)
            if not counts_on(subject, step):
                self.owed.append(0)
                continue
            if name not in bits:
                bits[name] = 1 << len(bits)
                if step.actor in subject.counts_on:
                    where = instance.formula(subject.counts_on[step.actor], (name,))
                    self.only_where.append((bits[name], judge(exploration.packing, [where])))
            self.owed.append(bits[name])
        self.names: Mapping[int, str] = {bit: name for name, bit in bits.items()}

    def at(self, state: int) -> int:
        """The bits of the actors that may be counted on in this state."""
        found = -1
        for bit, where in self.only_where:
            if where(state) is None:
                found &= ~bit
        return found

    def named(self, bits: int) -> frozenset[str]:
        """The actors behind some bits."""
        return frozenset(name for bit, name in self.names.items() if bits & bit)


__all__ = ["Counted", "counts_on", "who"]
