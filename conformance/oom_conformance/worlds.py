"""A scenario as plain data: what an implementation is put into.

Everything that the scenario fixes, and every field that does not start at its default, by the names of
`oom_spec.protocol.state`. History of the specification (what only properties read) is left out.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from oom_spec.language import Scenario
from oom_spec.language.objects import Made

SCHEMA = 1
"""The version of this form."""


def describe(scenario: Scenario) -> dict[str, Any]:
    """``{"schema", "id", "bounds", "objects": [{"kind", "name", field: value, ...}, ...]}``.

    Values are truth values, numbers, names of objects and names of enum members; what is given per object
    (``eligible``) is a map from names. The order of the tasks is that of the task list.
    """
    return {
        "schema": SCHEMA,
        "id": scenario.id,
        "bounds": dict(scenario.bounds),
        "objects": [_described(made) for made in scenario.objects],
    }


def _described(made: Made) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": made.kind.__name__, "name": made.name}
    for name, value in made.values.items():
        declared = made.kind.fields.get(name)
        if (declared is not None and declared.history) or name == "listed_before":
            continue
        found[name] = value.name if isinstance(value, Enum) else dict(value) if isinstance(value, dict) else value
    return found


__all__ = ["SCHEMA", "describe"]
