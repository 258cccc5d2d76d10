"""The eras: one module per era and per proposal; every module's `ERAS` is discovered.

A user's patch is an era in a file elsewhere: `find_era` takes its path (see `oom_spec.user_eras`).
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from functools import cache
from pathlib import Path

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
    """The era with this id or alias; a name with a path separator, or that ends in ``.py``, is a user's file.

    Raises `UnknownNameError`, suggesting the nearest name, where there is none, and `UserEraError` for a
    file that is no era.
    """
    if os.sep in name or name.endswith(".py"):
        from oom_spec.user_eras import load  # needs the scenarios, which most callers of this module do not

        return load(name)
    names: dict[str, Era] = {}
    for era in all_eras():
        for each in (era.id, *era.aliases):
            names[each.lower()] = era
    found = names.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
        spelled = {each.lower(): each for era in all_eras() for each in (era.id, *era.aliases)}
        hint = f"; did you mean {spelled[near[0]]!r}?" if near else ";"
        files = [file for file in (name, f"{name}.py") if Path(file).is_file()]
        if files:
            hint = f"; did you mean the file {os.path.join(os.curdir, files[0])!r}?"  # noqa: PTH118 - keeps the `./`
        raise UnknownNameError(f"unknown era {name!r}{hint} `oomspec eras` lists them all")
    return found
