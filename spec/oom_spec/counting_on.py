"""Whom a property of progress counts on: whoever is meant acts in the end, if it can act again and again.

The two functions say who is meant, for a step and for an action; `Counted` answers the same for a packed graph.
"""

from __future__ import annotations

from collections.abc import Mapping

from oom_spec.exploring import Exploration
from oom_spec.generating import Judge, judge
from oom_spec.instances import Action, Instance
from oom_spec.language import terms
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step, World
from oom_spec.language.terms import Term


def counts_on(subject: Property, step: Step) -> bool:
    """Whether ``subject`` counts on such a step at all; for `Property.counts_on`, in some states."""
    return not step.environment and step.actor in {*subject.actors, *subject.counts_on}


def who(action: Action) -> str:
    """Who acts: the actor's name; each timer is one of its own, named by its function and the objects armed for."""
    if action.step.actor is not World:
        return action.actor
    about = (action.arguments[name] for name, kind in action.step.parameters if kind is not World)
    return f"{action.step.kernel_function}({', '.join(about)})"


def counted_where(instance: Instance, subject: Property, action: Action) -> Term:
    """In which states ``subject`` counts on whoever acts: nowhere, everywhere, or where `Property.counts_on` says."""
    if not counts_on(subject, action.step):
        return terms.FALSE
    formula = subject.counts_on.get(action.step.actor)
    return terms.TRUE if formula is None else instance.formula(formula, (who(action),))


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
                where = counted_where(instance, subject, path.action)
                bits[name] = 0 if where is terms.FALSE else 1 << len(bits)
                if where is not terms.FALSE and where is not terms.TRUE:
                    self.only_where.append((bits[name], judge(exploration.packing, [where])))
            self.owed.append(bits[name])
        self.names: Mapping[int, str] = {bit: name for name, bit in bits.items() if bit}

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


__all__ = ["Counted", "counted_where", "counts_on", "who"]
