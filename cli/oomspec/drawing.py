"""Runs given by the ids of their actions, as diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Action, Instance
from oom_spec.scenarios import find_scenario
from oom_spec.traces import run_of


def draw_actions(era: str, scenario: str, ids: Sequence[str], title: str) -> str:
    """The diagram of a run of ``era`` in ``scenario``; ``title`` says what it shows."""
    instance = Instance(find_era(era), find_scenario(scenario))
    named = {action.id: action for action in instance.actions}
    run: list[Action] = [named[each] for each in ids]
    start = Exploration(instance, most=0).prefix_run
    return f"    {title}:\n\n" + "".join(
        f"    {line}\n" for line in draw(run_of(instance, run, start=start)).splitlines()
    )
