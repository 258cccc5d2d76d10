"""Runs in JSON or ITF, as `oomspec explain --as json` and `--as itf` write them, read back as diagrams."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import find_scenario
from oom_spec.traces import SCHEMA, from_json, heading_of

HEADING = re.compile(r"era (\S+), scenario (\S+)")


def as_diagram(text: str) -> str:
    """The diagram of a run in JSON or ITF; any other text as it is.

    Raises `SpecError` for JSON that is no run of ours.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = None
    if isinstance(data, dict) and "#meta" in data:
        text = json.dumps(_run_of_itf(data))
    era, scenario = heading_of(text)
    return draw(from_json(text, Instance(find_era(era), find_scenario(scenario)), PROPERTIES))


def _run_of_itf(data: Mapping[str, Any]) -> dict[str, object]:
    """The JSON form of an ITF trace that names the action before each of its states."""
    try:
        heading = HEADING.search(data["#meta"]["description"])
        actions = [state["#meta"]["action"] for state in data["states"]][1:]
    except (KeyError, TypeError):
        heading, actions = None, []
    if heading is None:
        raise SpecError(
            "this ITF trace names no era, scenario and actions: `replay` reads those of `oomspec explain --as itf`"
        )
    era, scenario = heading.groups()
    violated = data["#meta"].get("violated")
    exploration = Exploration(Instance(find_era(era), find_scenario(scenario)), most=0)
    start = [action.id for action in exploration.prefix_run]
    if actions[: len(start)] != start:
        raise SpecError(f"this ITF trace does not begin as scenario {scenario} does: write it again")
    wrapped = [{"action": action} for action in actions]
    loop = data.get("loop", len(actions) + 1)
    if type(loop) is not int or not len(start) < loop <= len(actions) + 1:
        raise SpecError(f"`loop` is {loop!r}, which is no state of this ITF trace after its start: write it again")
    steps = wrapped[len(start) : loop - 1]
    return {
        "schema": SCHEMA,
        "era": era,
        "scenario": scenario,
        "start": wrapped[: len(start)],
        "steps": steps,
        "cycle": wrapped[loop - 1 :],
        "property": violated,
        "depth": None if violated is None else len(steps),
    }
