"""The properties: what kernel developers required, in words and as formulas."""

from __future__ import annotations

import difflib

from oom_spec.language import Property, UnknownNameError
from oom_spec.properties.health import HEALTH
from oom_spec.properties.liveness import LIVENESS
from oom_spec.properties.release import RELEASE
from oom_spec.properties.safety import SAFETY
from oom_spec.properties.selection import SELECTION

PROPERTIES: tuple[Property, ...] = (*SELECTION, *SAFETY, *RELEASE, *LIVENESS, *HEALTH)


UNSAID = {
    "L3": (
        '"The sole purpose of the oom reaper is _reliability_" (Hocko, 2017-08-10) is a purpose, not a statement about '
        "runs: no formula over states and steps can fail it. What it rules out, a reaper that is quick but sometimes "
        "never, is L1 and L2s."
    )
}
"""What kernel developers said that the model cannot state, and why."""


def find_properties(name: str) -> tuple[Property, ...]:
    """The property with this id or name, the parts of a family (``N1``), or all (``all``).

    Raises `UnknownNameError`, suggesting the nearest name, where there is none.
    """
    wanted = name.lower()
    if wanted == "all":
        return PROPERTIES
    if wanted.upper() in UNSAID:
        raise UnknownNameError(f"{wanted.upper()} cannot be stated as a formula: {UNSAID[wanted.upper()]}")
    exact = tuple(p for p in PROPERTIES if wanted in (p.id.lower(), p.name.lower()))
    if exact:
        return exact
    family = tuple(p for p in PROPERTIES if p.id[:-1].lower() == wanted and p.id[-1].isalpha())
    if family:
        return family
    names = [n for p in PROPERTIES for n in (p.id, p.name)]
    folded = {n.lower(): n for n in names}
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.4)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ";"
    raise UnknownNameError(f"unknown property {name!r}{hint} `oomspec properties` lists them all")


__all__ = ["PROPERTIES", "UNSAID", "find_properties"]
