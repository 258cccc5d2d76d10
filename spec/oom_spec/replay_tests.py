"""A run as a self-contained pytest file: it replays the steps and expects the violation."""

from __future__ import annotations

import json
from collections.abc import Sequence

from oom_spec.traces import Run, Taken

_TEMPLATE = '''"""Replays a run of {era} in the scenario {scenario}{what}."""

from oom_spec.eras import find_era
from oom_spec.exploring import replay
from oom_spec.instances import Instance
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario

RUN = {run}


def test_run_is_allowed{suffix}() -> None:
    instance = Instance(find_era("{era}"), find_scenario("{scenario}"))
    named = {{action.id: action for action in instance.actions}}
    states = replay(instance, [named[each] for each in RUN])
    assert len(states) == len(RUN) + 1
{judged}'''

_JUDGED = """    (subject,) = find_properties("{property}")
    last = named[RUN[-1]]
    instance.concrete.run(last.step, last.arguments, states[-2])
    events = [each.arguments for each in instance.concrete.events if each.event is subject.event]
    given = [(each, states[-2]) for each in events] if subject.event else [
        (each, states[-1]) for each in instance.tuples(subject.over)
    ]
    assert any(
        instance.holds(subject.when, each, state) and not instance.holds(subject.then, each, state)
        for each, state in given
    )
"""


_CLOSES = """    cycle = {cycle}
    assert replay(instance, [named[each] for each in cycle], states[-1])[-1] == states[-1]
"""


def _listed(steps: Sequence[Taken], indent: int) -> str:
    return json.dumps([step.action for step in steps], indent=indent).replace("\n]", ",\n]")


def to_pytest(run: Run) -> str:
    """The file's text."""
    judged = "" if run.property is None else _JUDGED.format(property=run.property)
    if run.cycle:
        judged += _CLOSES.format(cycle=_listed(run.cycle, 8).replace("\n]", "\n    ]"))
    return _TEMPLATE.format(
        era=run.era,
        scenario=run.scenario,
        what="" if run.property is None else f", which violates {run.property}",
        run=_listed((*run.start, *run.steps), 4),
        suffix="" if run.property is None else "_and_violates_" + run.property.lower().replace("-", "_"),
        judged=judged,
    )
