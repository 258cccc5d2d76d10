"""What is left of a finding: the run as a diagram, and a pytest file that replays it on its own.

A file names the specification's era by its locator: an era in a file of the user's own is read from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor

import attrs

from oom_conformance.executors import Local
from oom_conformance.interface import find_implementation
from oom_conformance.lockstep import Divergence, Schedule, replay
from oom_conformance.oracle import Oracle, oracle_of
from oom_conformance.shards import OutOfTime, Watched, time_limit
from oom_conformance.shrinking import after_start
from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.traces import run_of


@attrs.frozen
class Violation:
    """A schedule whose last step violates a property in the specification itself, as a race of that era does."""

    era: str
    scenario: str
    schedule: Schedule
    """From where the scenario starts."""
    property: str


@attrs.frozen
class NoAnswer:
    """A schedule in which the implementation hung, or ended its process."""

    era: str
    scenario: str
    schedule: Schedule
    """From the cold start, as `Divergence.schedule`."""
    reason: str
    """What became of it, in a line."""
    limit: float
    """Seconds after which the implementation counts as hanging."""


def diagram(oracle: Oracle, schedule: Sequence[str], violated: str | None = None) -> str:
    """The run of a schedule, from where the scenario starts, in the form of kernel commit messages.

    ``violated``: the id of the property that its last step violates. Raises `SpecError` for a schedule that the
    specification does not allow.
    """
    return _drawn(oracle, schedule, oracle.prefix, violated)


def diagram_from_cold(oracle: Oracle, schedule: Sequence[str]) -> str:
    """The same for a schedule from the cold start, such as `Divergence.schedule`; all of it, if it ends on the way."""
    if len(schedule) < len(oracle.prefix):
        return _drawn(oracle, schedule, (), None)
    return diagram(oracle, after_start(oracle, schedule))


def _drawn(oracle: Oracle, schedule: Sequence[str], start: Sequence[str], violated: str | None) -> str:
    actions = oracle.actions
    (subject,) = find_properties(violated) if violated is not None else (None,)
    run = run_of(
        oracle.instance,
        [actions[name] for name in schedule],
        start=[actions[name] for name in start],
        violated=subject,
        depth=None if subject is None else len(schedule),
    )
    return draw(run)


_PARTED = '''"""Replays a schedule of {era} in the scenario {scenario}, after which {what}.

Fails as long as {implementation} does so. Then, in the specification's terms:
{lines}
"""

from oom_conformance.interface import find_implementation
from oom_conformance.lockstep import replay
from oom_conformance.oracle import oracle_of
from oom_spec.eras import find_era
from oom_spec.scenarios import find_scenario

IMPLEMENTATION = {name}
SCHEDULE = {schedule}


def test_conforms_to_{suffix}() -> None:
    oracle = oracle_of(find_era({locator!r}), find_scenario({scenario!r}))
    replay(oracle, find_implementation(IMPLEMENTATION)(), SCHEDULE)
'''

_BROKEN = '''"""Replays a schedule of {era} in the scenario {scenario}, whose last step violates {property}.

The specification itself does so there, and {implementation} conforms, so it has the race too.
"""

from oom_conformance.interface import find_implementation
from oom_conformance.lockstep import replay
from oom_conformance.oracle import oracle_of
from oom_spec.eras import find_era
from oom_spec.scenarios import find_scenario

IMPLEMENTATION = {name}
SCHEDULE = {schedule}


def test_{suffix}_has_a_race() -> None:
    oracle = oracle_of(find_era({locator!r}), find_scenario({scenario!r}))
    pair = replay(oracle, find_implementation(IMPLEMENTATION)(), SCHEDULE)
    assert pair.broken.get({property!r}) == len(pair.schedule)
'''

_SILENT = '''"""Replays a schedule of {era} in the scenario {scenario}, in which {implementation} gave no answer.

{reason}
The schedule is replayed in a process of its own, so that this test fails where that hangs or dies. It passes where the
implementation was merely slow, or needs what it ran before.
"""

from oom_conformance.emitting import replay_apart

IMPLEMENTATION = {name}
LIMIT = {limit!r}
"""Seconds."""
SCHEDULE = {schedule}


def test_answers_in_{suffix}() -> None:
    wrong = replay_apart({locator!r}, {scenario!r}, IMPLEMENTATION, SCHEDULE, LIMIT)
    assert not wrong, wrong
'''


def replay_apart(locator: str, scenario: str, implementation: str, schedule: Sequence[str], limit: float) -> str:
    """Replay a schedule, from where the scenario starts, in another process: what went wrong, or nothing.

    ``locator`` and ``implementation`` as `find_era` and `find_implementation` take them. A process that gives no answer
    for ``limit`` seconds, and `GRACE` where it cannot be interrupted, is ended.

    Raises `SpecError` for an action that the specification does not allow where it comes.
    """
    workers = Local(1)
    try:
        return workers.submit(_replayed, locator, scenario, implementation, tuple(schedule), limit).result()
    except BrokenExecutor:
        return "the implementation ended its process, or hung and could not be interrupted"
    finally:
        workers.close(abandon=True)


def _replayed(locator: str, scenario: str, implementation: str, schedule: Schedule, limit: float) -> str:
    oracle = oracle_of(find_era(locator), find_scenario(scenario))
    watched: Watched | None = None
    try:
        with time_limit(limit, may_end_worker=True):
            watched = Watched(find_implementation(implementation)())
            replay(oracle, watched, schedule)
    except OutOfTime:
        where = (watched.call or f"step {len(watched.schedule)}, {watched.schedule[-1]}") if watched else "the start"
        return f"no answer from the implementation within {limit:g} s, in {where}"
    except Divergence as divergence:
        return str(divergence)
    finally:
        if watched is not None:
            watched.close()
    return ""


def to_pytest(finding: Divergence | Violation | NoAnswer, implementation: str, oracle: Oracle | None = None) -> str:
    """The file's text; ``implementation`` is a name that `find_implementation` knows.

    For a divergence, the test fails as long as the implementation parts from the specification on the way. For a
    violation, it passes as long as the implementation conforms and the property is violated at the last step. For no
    answer, it fails as long as there is none. ``oracle`` is needed in a scenario that starts in mid-protocol, whose way
    there is replayed anyway, and for an era in a file.
    """
    schedule = finding.schedule
    if not isinstance(finding, Violation) and oracle is not None:
        schedule = after_start(oracle, schedule)
    listed = "[\n" + "".join(f"    {json.dumps(action)},\n" for action in schedule) + "]" if schedule else "[]"
    names = {
        "era": finding.era,
        "locator": finding.era if oracle is None else oracle.era.locator,
        "scenario": finding.scenario,
        "implementation": _plain(implementation),
        "name": json.dumps(implementation),
        "schedule": listed,
    }
    if isinstance(finding, Violation):
        suffix = _identifier(finding.era, finding.scenario, finding.property)
        return _BROKEN.format(property=finding.property, suffix=suffix, **names)
    if isinstance(finding, NoAnswer):
        suffix = _identifier(finding.era, finding.scenario)
        reason = _plain(finding.reason[:1].upper() + finding.reason[1:])
        return _SILENT.format(reason=f"{reason}.", limit=finding.limit, suffix=suffix, **names)
    told = [line.strip() for line in finding.lines()[1 : -1 - len(finding.schedule)]]
    return _PARTED.format(
        what="the implementation and the specification part",
        lines="\n".join(_plain(line) for line in (finding.kind.value, *told)),
        suffix=_identifier(finding.era, finding.scenario),
        **names,
    )


def _identifier(*parts: str) -> str:
    return re.sub(r"\W+", "_", "_".join(parts)).strip("_").lower()


def _plain(text: str) -> str:
    """Text that ends no docstring and escapes nothing."""
    return text.replace("\\", "/").replace('"""', "'''").rstrip('"')


__all__ = ["NoAnswer", "Violation", "diagram", "diagram_from_cold", "replay_apart", "to_pytest"]
