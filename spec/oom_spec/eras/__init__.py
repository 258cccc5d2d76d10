"""The eras: one module per era and per proposal; every module's `ERAS` is discovered."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from oom_spec.language import Era, UnknownNameError


@cache
def all_eras() -> tuple[Era, ...]:
    """Every era, in the order of the module names."""
    found: list[Era] = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.extend(module.ERAS)
    return tuple(found)


def find_era(name: str) -> Era:
    """The era with this id or alias.

    Raises `UnknownNameError`, suggesting the nearest name, where there is none.
    """
    names: dict[str, Era] = {}
    for era in all_eras():
        for each in (era.id, *era.aliases):
            names[each.lower()] = era
    found = names.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
        spelled = {each.lower(): each for era in all_eras() for each in (era.id, *era.aliases)}
        hint = f"; did you mean {spelled[near[0]]!r}?" if near else ";"
        raise UnknownNameError(f"unknown era {name!r}{hint} `oomspec eras` lists them all")
    return found
