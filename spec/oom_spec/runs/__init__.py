"""Runs written beside the eras: one module per group of eras; every module's `RUNS` is discovered."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cache

from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language import MisuseError, UnknownNameError
from oom_spec.language.runs import ExpectedRun
from oom_spec.possible import Decider, Outcome
from oom_spec.scenarios import find_scenario

NO_RUNS = ("unreached",)
"""Modules of this package that hold something else."""


@cache
def all_runs() -> tuple[ExpectedRun, ...]:
    """Every run, in the order of the module names.

    Raises `MisuseError` where two runs of one era share a name.
    """
    found: list[ExpectedRun] = []
    for info in pkgutil.iter_modules(__path__):
        if info.name not in NO_RUNS:
            found.extend(importlib.import_module(f"{__name__}.{info.name}").RUNS)
    seen: set[tuple[str, str]] = set()
    for run in found:
        for era in run.eras:
            if (era, run.name) in seen:
                raise MisuseError(f"era {era} has two runs named {run.name!r}: rename one")
            seen.add((era, run.name))
    return tuple(found)


def runs_of(era: str) -> tuple[ExpectedRun, ...]:
    """The runs of the era with this id."""
    return tuple(run for run in all_runs() if era in run.eras)


def find_run(era: str, name: str) -> ExpectedRun:
    """The run of the era whose name contains ``name``, whatever its case.

    Raises `UnknownNameError` where there is none, or more than one.
    """
    runs = runs_of(era)
    for run in runs:
        if run.name == name:
            return run
    found = [run for run in runs if name.lower() in run.name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownNameError(f"{name!r} may mean {' or '.join(repr(run.name) for run in found)}: write more of it")
    near = difflib.get_close_matches(name, [run.name for run in runs], n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise UnknownNameError(f"era {era} has no run named {name!r}{hint} `oomspec runs {era}` lists them")


def decide_runs(runs: Sequence[tuple[ExpectedRun, str]]) -> Iterator[Outcome]:
    """The outcomes of (run, era id) pairs, in their order; neighbours in one instance share its graph.

    Raises `SpecError` where a run names a step that the era lacks, or an unknown era, scenario or object.
    """
    decider: Decider | None = None
    for run, era in runs:
        here = None if decider is None else (decider.instance.era.id, decider.instance.scenario.id)
        if decider is None or here != (era, run.scenario):
            decider = Decider(Instance(find_era(era), find_scenario(run.scenario)))
        yield decider.decide(run)
