"""What is left of a finding: the run as a diagram, and a pytest file that replays it on its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import attrs

from oom_conformance.lockstep import Divergence, Schedule
from oom_conformance.oracle import Oracle
from oom_conformance.shrinking import after_start
from oom_spec.diagrams import draw
from oom_spec.properties import find_properties
from oom_spec.traces import run_of


@attrs.frozen
class Violation:
    """A schedule whose last step violates a property in the specification itself, as a race of that era does."""

    era: str
    scenario: str
    schedule: Schedule
    """From where the scenario starts."""
    property: str


def diagram(oracle: Oracle, schedule: Sequence[str], violated: str | None = None) -> str:
    """The run of a schedule, from where the scenario starts, in the form of kernel commit messages.

    ``violated``: the id of the property that its last step violates. Raises `SpecError` for a schedule that the
    specification does not allow.
    """
    actions = oracle.actions
    (subject,) = find_properties(violated) if violated is not None else (None,)
    run = run_of(
        oracle.instance,
        [actions[name] for name in schedule],
        start=[actions[name] for name in oracle.prefix],
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
    oracle = oracle_of(find_era({era!r}), find_scenario({scenario!r}))
    replay(oracle, find_implementation(IMPLEMENTATION)(), SCHEDULE)
'''

_BROKEN = '''"""Replays a schedule of {era} in the scenario {scenario}, whose last step violates {property}.

It is a race of that era, and {implementation} conforms, so it has the race too.
"""

from oom_conformance.interface import find_implementation
from oom_conformance.lockstep import replay
from oom_conformance.oracle import oracle_of
from oom_spec.eras import find_era
from oom_spec.scenarios import find_scenario

IMPLEMENTATION = {name}
SCHEDULE = {schedule}


def test_{suffix}_has_a_race() -> None:
    oracle = oracle_of(find_era({era!r}), find_scenario({scenario!r}))
    pair = replay(oracle, find_implementation(IMPLEMENTATION)(), SCHEDULE)
    assert pair.broken.get({property!r}) == len(pair.schedule)
'''


def to_pytest(finding: Divergence | Violation, implementation: str, oracle: Oracle | None = None) -> str:
    """The file's text; ``implementation`` is a name that `find_implementation` knows.

    For a divergence, the test fails as long as the implementation parts from the specification on the way. For a
    violation, it passes as long as the implementation conforms and the property is violated at the last step.
    ``oracle`` is needed for a divergence in a scenario that starts in mid-protocol, whose way there is replayed anyway.
    """
    schedule = finding.schedule
    if isinstance(finding, Divergence) and oracle is not None:
        schedule = after_start(oracle, schedule)
    listed = "[\n" + "".join(f"    {json.dumps(action)},\n" for action in schedule) + "]" if schedule else "[]"
    names = {
        "era": finding.era,
        "scenario": finding.scenario,
        "implementation": _plain(implementation),
        "name": json.dumps(implementation),
        "schedule": listed,
    }
    if isinstance(finding, Violation):
        suffix = _identifier(finding.era, finding.scenario, finding.property)
        return _BROKEN.format(property=finding.property, suffix=suffix, **names)
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


__all__ = ["Violation", "diagram", "to_pytest"]
