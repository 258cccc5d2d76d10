"""Health: what every well-formed model satisfies, checked like any property."""

from __future__ import annotations

from oom_spec.language import Halt, Property, Role

COUNT_RANGE = Property(
    id="count-range",
    name="counts-stay-in-range",
    statement="No count leaves its declared range.",
    source="the specification language",
    then=lambda world: world.halted != Halt.COUNT_RANGE,
    violation="A count is dropped below 0 or raised above its bound.",
    not_covered="Counts whose bound the scenario chose: the bound is a limit of the verdict.",
    role=Role.HEALTH,
)

LIST_INTACT = Property(
    id="list-intact",
    name="reaper-list-intact",
    statement="No push links a task onto oom_reaper_list that is on it already.",
    source='9bcdeb51bd7d "oom, oom_reaper: do not enqueue same task twice"',
    then=lambda world: world.halted != Halt.LIST_CORRUPTED,
    violation="oom_reaper_list becomes a cycle.",
    not_covered="A list longer than the scenario has tasks.",
    role=Role.HEALTH,
)

DEADLOCK = Property(
    id="deadlock",
    name="no-actor-is-stuck",
    statement=(
        "No actor that has work left can reach a state from which it never acts again, whatever everybody else does: "
        "in particular none is in a wait-for cycle."
    ),
    source="the specification: panic, all exited and the scenario's own end are the proper ends",
    then=lambda world: True,
    violation="Two actors wait for each other's lock.",
    not_covered="An actor that waits for the environment, such as for I/O: the environment may answer.",
    role=Role.HEALTH,
    graph=True,
)

HEALTH = (COUNT_RANGE, LIST_INTACT, DEADLOCK)
