"""Health: what every well-formed model satisfies, checked like any property."""

from __future__ import annotations

from oom_spec.language import Graph, Halt, Property, Role

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
    graph=Graph.STUCK,
)

HEALTH = (COUNT_RANGE, DEADLOCK)
