"""Runs given by the ids of their actions, as diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Action, Instance
from oom_spec.language import Era
from oom_spec.lassos import FOR_EVER, NOBODY_ACTS, Judged
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.traces import run_of
from oom_spec.verdicts import Verdict


def draw_actions(era: str, scenario: str, ids: Sequence[str], title: str) -> str:
    """The diagram of a run of ``era`` in ``scenario``; ``title`` says what it shows."""
    instance = Instance(find_era(era), find_scenario(scenario))
    named = {action.id: action for action in instance.actions}
    run: list[Action] = [named[each] for each in ids]
    start = Exploration(instance, most=0).prefix_run
    return f"    {title}:\n\n" + _indented(draw(run_of(instance, run, start=start)))


def draw_lasso(era: Era, verdict: Verdict) -> str:
    """The run without end that breaks a property of progress, as a diagram of prefix and cycle."""
    instance = Instance(era, find_scenario(verdict.scenario))
    named = {action.id: action for action in instance.actions}
    (subject,) = find_properties(verdict.property)
    run = run_of(
        instance,
        [named[each] for each in verdict.run],
        start=Exploration(instance, most=0).prefix_run,
        violated=subject,
        depth=verdict.depth,
        ending=FOR_EVER if verdict.cycle else NOBODY_ACTS,
        cycle=[named[each] for each in verdict.cycle],
        judged=Judged(verdict.fair or {}, verdict.unfair),
    )
    return _indented(draw(run))


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
