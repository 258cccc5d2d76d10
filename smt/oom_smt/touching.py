"""The guards that a proof of a property may rest on: those of the steps that its obligations speak of."""

from __future__ import annotations

from enum import Enum

from oom_smt.induction import obligations
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step


def guards_touched(era: Era, subject: Property) -> dict[Step, list[Enum]]:
    """Every guard of each step that can break ``subject``; a proof that knows its own needs fewer.

    Raises `SpecError` for a question about the whole graph.
    """
    found: dict[Step, dict[Enum, None]] = {}
    for declared, obligation in obligations(era, subject):
        found.setdefault(declared, {}).update(dict.fromkeys(guard for guard, _ in obligation.path.guards))
    return {declared: list(guards) for declared, guards in found.items()}


__all__ = ["guards_touched"]
