"""Deciding the mail's claims: verdicts, witnesses, and what stays possible."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from oom_smt.deciding import InternalError, Options, decide
from oom_smt.pool import Died, Pool
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.generating import judge
from oom_spec.graphs import always_possible, environment_paths, path_to
from oom_spec.instances import Instance
from oom_spec.language.properties import Property
from oom_spec.properties import find_properties
from oom_spec.properties.claims import CLAIMS, Claim, Kind, Part, find_part
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios import find_scenario


@attrs.frozen(eq=False)
class Outcome:
    """What was computed for one part of a claim."""

    part: str
    text: str
    """``proved-instance``, ``violated at 33``, ``witness at 41``, ``always possible``, ``lost at 34`` ..."""
    run: Sequence[str]
    """Ids of the actions of the run that shows it, if there is one."""
    checked_by: Sequence[str]
    seconds: float


def decide_part(name: str, z3_seconds: float = 2.0) -> Outcome:
    """Decide one part, named by its id."""
    part = find_part(name)
    started = time.monotonic()
    if part.kind is Kind.VERDICT:
        text, run, checked = _verdict(part, z3_seconds)
    elif part.kind is Kind.WITNESS:
        text, run, checked = _witness(part)
    else:
        text, run, checked = _possible(part)
    return Outcome(part.id, text, run, checked, time.monotonic() - started)


Decided = tuple[str, Sequence[str], Sequence[str]]


def _verdict(part: Part, z3_seconds: float) -> Decided:
    subject = part.property if isinstance(part.property, Property) else find_properties(str(part.property))[0]
    era = find_era(part.era).without(part.avoid) if part.avoid else find_era(part.era)
    options = Options(bounded=z3_seconds > 0, z3_seconds=z3_seconds)
    (verdict,) = decide(era, find_scenario(part.scenario), [subject], options)
    text = verdict.text if verdict.touched else "vacuous"
    return text, verdict.run, verdict.checked_by


def _witness(part: Part) -> Decided:
    assert part.goal is not None
    subject = Property(
        id=part.id,
        name=part.id,
        statement=part.says,
        source="the mail",
        event=part.event,
        then=_never(part.goal),
        violation="",
        not_covered="",
    )
    instance = Instance(find_era(part.era), find_scenario(part.scenario))
    exploration = Exploration(instance, [subject])
    hit = exploration.findings[part.id].violated
    checked = [f"explorer: {exploration.states} states"]
    if hit is None:
        return ("unknown" if exploration.truncated else "none"), (), checked
    run = exploration.run_to(hit)
    replay(instance, [*exploration.prefix_run, *run])
    return f"witness at {hit.depth}", [action.id for action in run], [*checked, "plain replay"]


def _never(goal: Callable[..., bool]) -> Callable[..., bool]:
    from oom_spec.language import negate

    def formula(*arguments: object) -> bool:
        return negate(goal(*arguments))

    return formula


def _possible(part: Part) -> Decided:
    assert part.goal is not None
    instance = Instance(find_era(part.era), find_scenario(part.scenario))
    exploration = Exploration(instance, (), keep_edges=True)
    checked = [f"explorer: {exploration.states} states"]
    if exploration.truncated:
        return "unknown", (), checked
    outside = environment_paths(exploration)
    goal = instance.formula(part.goal, ())
    if judge(exploration.packing, [goal])(next(iter(exploration.parents))) is None:
        raise InternalError(f"internal error: {part.id} starts in a state in which its goal does not hold")
    lost = always_possible(exploration, goal, without=lambda number: outside[number])
    if lost is None:
        return "always possible", (), checked
    run = path_to(exploration, lost)
    replay(instance, run)
    return f"lost at {len(run)}", [action.id for action in run], [*checked, "plain replay"]


@attrs.frozen
class Ask:
    """One part to be decided by a worker."""

    part: str
    z3_seconds: float

    def decide(self) -> Outcome:
        """Do it."""
        return decide_part(self.part, self.z3_seconds)


class WorkerDied(Exception):  # noqa: N818 - an event, not a mistake
    """A worker process was lost, and with it the part named."""


def decide_claims(
    claims: Sequence[Claim] = CLAIMS,
    *,
    jobs: int = 0,
    z3_seconds: float = 2.0,
    progress: Progress = silent,
) -> Mapping[str, Outcome]:
    """The outcome of every part, by its id, computed in parallel.

    Raises `WorkerDied` where a worker process is lost.
    """
    tasks = [Ask(part.id, z3_seconds) for claim in claims for part in claim.parts]
    found: dict[str, Outcome] = {}
    with Pool(jobs or os.cpu_count() or 1, Ask.decide) as pool:
        for done, (task, outcome) in enumerate(pool.run({task.part: [task] for task in tasks}), 1):
            if isinstance(outcome, Died):
                raise WorkerDied(task.part)
            found[task.part] = outcome
            progress(done, len(tasks), f"claim {task.part}")
    return {task.part: found[task.part] for task in tasks}
