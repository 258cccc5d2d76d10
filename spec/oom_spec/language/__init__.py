"""What a specification is written in: typed state, steps, guards, properties, eras, scenarios."""

from oom_spec.language.eras import Era, Standing
from oom_spec.language.errors import MisuseError, SpecError, UnknownNameError
from oom_spec.language.objects import (
    Object,
    choice,
    count,
    fixed,
    fixed_flag,
    flag,
    make,
    per,
    program_counter,
    reference,
)
from oom_spec.language.properties import Graph, Property, Role
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import (
    Halt,
    Step,
    Verified,
    World,
    begin,
    every,
    full,
    requires,
    some,
    step,
    steps_of,
)
from oom_spec.language.symbolic import both, either, implies, negate, when

__all__ = [
    "Era",
    "Graph",
    "Halt",
    "MisuseError",
    "Object",
    "Property",
    "Role",
    "Scenario",
    "SpecError",
    "Standing",
    "Step",
    "UnknownNameError",
    "Verified",
    "World",
    "begin",
    "both",
    "choice",
    "count",
    "either",
    "every",
    "fixed",
    "fixed_flag",
    "flag",
    "full",
    "implies",
    "make",
    "negate",
    "per",
    "program_counter",
    "reference",
    "requires",
    "some",
    "step",
    "steps_of",
    "when",
]
