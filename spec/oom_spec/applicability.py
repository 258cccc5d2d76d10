"""Whether a property makes sense in an era: decided from its steps, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache

import attrs

from oom_spec.instances import Instance
from oom_spec.language.eras import Era
from oom_spec.language.objects import Object
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.terms import Op
from oom_spec.scenarios import SCENARIOS
from oom_spec.scenarios.gallery import GALLERY


@attrs.frozen(eq=False)
class Effects:
    """What the steps of an era can do at all."""

    events: frozenset[Enum]
    assigned: frozenset[tuple[str, object]]
    """(field, constant) for every constant that some step may assign."""


@cache
def effects(era: Era) -> Effects:
    """Lift every step of ``era`` for a world that has an object of every class."""
    instance = Instance(era, GALLERY)
    events: set[Enum] = set()
    assigned: set[tuple[str, object]] = set()
    for _, path in instance.lifted:
        events |= {announced.event for announced in path.events}
        for (name, _), term in path.updates.items():
            constants: Mapping[object, None] = dict.fromkeys([term.payload] if term.op is Op.CONST else [True, False])
            assigned |= {(name, value) for value in constants}
    return Effects(frozenset(events), frozenset(assigned))


def why_not(era: Era, subject: Property) -> str:
    """Why ``subject`` does not apply to ``era``; empty where it does."""
    found = effects(era)
    if subject.event is not None and subject.event not in found.events:
        return subject.absent or f"no step of {era.id} announces {subject.event.name}"
    for declared, value in subject.needs:
        plain = value.name if isinstance(value, Enum) else value
        if (declared.qualified, plain) not in found.assigned:
            return subject.absent or f"no step of {era.id} sets {declared.qualified} to {plain}"
    return ""


@cache
def _acting(era: Era) -> frozenset[type[Object]]:
    return frozenset(each.actor for each in era.steps)


def irrelevant(era: Era, scenario: Scenario) -> str:
    """Why ``scenario`` says nothing new of ``era``, so that it is not run there; empty where it does."""
    if not scenario.about:
        return ""
    missing = [kind.__name__ for kind in scenario.about if kind not in _acting(era)]
    return f"no step of {era.id} acts for {' or '.join(missing)}" if missing else ""


def small_worlds(era: Era) -> list[Scenario]:
    """The scenarios that are looked at: cold starts that say something of ``era``, those with few objects first."""
    found = [s for s in SCENARIOS if not s.slow and s.starts_after is None and not irrelevant(era, s)]
    return sorted(found, key=lambda scenario: len(scenario.objects))
