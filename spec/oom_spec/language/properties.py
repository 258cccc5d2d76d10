"""Properties: what must hold, who said so, and what it does not cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, unique
from typing import Any

import attrs

from oom_spec.language.objects import Field
from oom_spec.language.steps import anything
from oom_spec.language.symbolic import either, implies


@unique
class Role(Enum):
    """What a property is for."""

    GOAL = "a requirement that kernel developers stated or implied"
    LEMMA = "a fact about reachable states that other arguments lean on"
    HEALTH = "what every well-formed model satisfies"


@unique
class Graph(Enum):
    """Questions about the whole graph of reachable states."""

    STUCK = "no actor at work reaches a state from which it never acts again"
    ALWAYS_ABLE = "where `when` holds, each actor of `actors` that is at work can take a step, or `then` holds"
    FAIR = "no fair run stays for ever where `when` holds and `then` does not"


@attrs.frozen(eq=False)
class Property:
    """One requirement.

    With ``event``: whenever a step announces it, in the state just before that step, ``when``
    implies ``then``; both get the world and the event's arguments. Without: in every reachable
    state, for all objects of ``over``, ``when`` implies ``then``; both get the world and the objects.
    With ``graph``: a question about all reachable states and the steps between them.
    """

    id: str
    name: str
    statement: str
    """One sentence."""
    source: str
    """Who said it, and where."""
    then: Callable[..., bool]
    violation: str
    """What a violation looks like on a machine."""
    not_covered: str
    when: Callable[..., bool] = anything
    excuse: Callable[..., bool] | None = None
    """Where this holds, a failure of ``then`` is excused (N3)."""
    excuses: Callable[..., bool] | None = None
    """Whether one of `excuse_members`, given first, is the excuse that was needed."""
    excuse_members: tuple[Enum, ...] = ()
    event: Enum | None = None
    over: tuple[type[Any], ...] = ()
    needs: tuple[tuple[Field[Any], Enum | bool], ...] = ()
    """Some step of the era must be able to assign each of these, or the property does not apply."""
    absent: str = ""
    """Why it does not apply where it does not."""
    role: Role = Role.GOAL
    graph: Graph | None = None
    """Judged on the whole graph of reachable states, not on one state or step: in which way."""
    actors: tuple[type[Any], ...] = ()
    """For a question about the graph: the classes of the actors that it is about, or that it counts on."""
    counts_on: Mapping[type[Any], Callable[..., bool]] = {}
    """More actors that a fair run counts on, but only where the formula over (world, actor) holds."""
    fairness: tuple[str, ...] = ()
    """For a question about fair runs: what is assumed of whom, a sentence each."""

    def whole(self, *arguments: object) -> bool:
        """All of it: ``when`` implies ``then``, or the excuse."""
        holds = self.then(*arguments)
        if self.excuse is not None:
            holds = either(holds, self.excuse(*arguments))
        return implies(self.when(*arguments), holds)

    def strict(self) -> Property:
        """The same property without the excuses (N3) that it accepts."""
        return attrs.evolve(self, excuse=None, excuses=None, excuse_members=())
