"""Whether a small world reaches a state that an inductive proof is stuck at, and by what run."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from oom_spec.exploring import Exploration, Hit
from oom_spec.instances import Action, Instance
from oom_spec.language.terms import Term
from oom_spec.unbounded.small_worlds import SmallWorld, SmallWorlds


@attrs.frozen(eq=False)
class Reached:
    """A state of a small world in which all conditions are true."""

    scenario: str
    objects: dict[str, str]
    """Which object of the scenario each name stands for."""
    state: int
    """Packed."""
    instance: Instance
    run: tuple[Action, ...] | None
    """A shortest one; None where the world was not explored in full, so that nobody knows one."""

    @property
    def data(self) -> dict[str, object]:
        """For ``--json``."""
        run = None if self.run is None else [action.id for action in self.run]
        return {"scenario": self.scenario, "objects": self.objects, "run": run}


def explorer_reaches(literals: Sequence[Term], worlds: SmallWorlds) -> Reached | None:
    """A state in which all of ``literals`` are true of some objects for the names in them, if a world reaches one.

    Small worlds that were explored in full come first, and give the run to the first such state.
    """
    first: dict[int, tuple[int, SmallWorld, dict[str, str]]] = {}
    for world, binding, states in worlds.hits(literals):
        place = world.all.bit_length() - states.bit_length()
        known = first.get(id(world))
        if known is None or place < known[0]:
            first[id(world)] = place, world, {str(name): each for name, each in binding.items()}
    found = sorted(first.values(), key=lambda each: len(each[1].states))
    reached = None
    for place, world, objects in found:
        state = world.states[place]
        run = _shortest(world, state)
        if run is not None or reached is None:
            reached = Reached(world.instance.scenario.id, objects, state, world.instance, run)
        if run is not None:
            break
    return reached


def _shortest(world: SmallWorld, state: int) -> tuple[Action, ...] | None:
    """The run to a state, if all that the world reaches is known."""
    exploration = Exploration(world.instance, most=len(world.states) + 1)
    if exploration.truncated or exploration.states != len(world.states):
        return None
    return tuple(exploration.run_to(Hit(0, state, None, None)))


__all__ = ["Reached", "explorer_reaches"]
