"""The outcomes of one kernel call are exclusive, and together possible wherever the call is reached."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from oom_smt.outcomes import Fault, faults_of
from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import Era, Step, terms
from oom_spec.lifting import Path
from oom_spec.properties.lemmas import SITE_LEMMAS
from oom_spec.scenarios import SCENARIOS
from oom_spec.scenarios.gallery import GALLERY


@pytest.mark.parametrize("era", all_eras(), ids=lambda era: era.id)
def test_outcomes_of_every_call_are_exclusive_and_together_possible(era: Era) -> None:
    assert [str(finding) for finding in faults_of(Instance(era, GALLERY))] == []


def _without(path: Path, guard: object) -> Path:
    dropped = {
        part.key
        for name, term in path.guards
        if name is guard
        for part in (term.args if term.op is terms.Op.AND else (term,))
    }
    kept = {
        part.key
        for name, term in path.guards
        if name is not guard
        for part in (term.args if term.op is terms.Op.AND else (term,))
    }
    return attrs.evolve(path, condition=tuple(p for p in path.condition if p.key not in dropped - kept))


def _decides_alone(step: Step, others: list[Step]) -> bool:
    """The step is one of several outcomes that only guards tell apart."""
    if step.at is None or step.waits or step.environment or step.optional or step.oracle:
        return False
    rivals = [o for o in others if o.at is step.at and o is not step and not o.environment and not o.optional]
    return bool(rivals) and not any(o.waits or o.oracle for o in rivals)


def _guarded(era: Era) -> Iterator[tuple[str, str]]:
    instance = Instance(era, GALLERY)
    steps = list(era.steps)
    seen: dict[tuple[str, str], None] = {}
    for action, path in instance.lifted:
        if _decides_alone(action.step, steps):
            for guard, _ in path.guards:
                seen[action.step.id, guard.name] = None
    yield from seen


CASES = [("E4", *case) for case in _guarded(find_era("E4"))]
CASES += [("E5", *case) for case in _guarded(find_era("E5")) if case not in set(_guarded(find_era("E4")))]


@pytest.fixture(scope="module")
def instances() -> dict[str, Instance]:
    return {name: Instance(find_era(name), GALLERY) for name in ("E4", "E5")}


@pytest.mark.parametrize(("era", "step", "guard"), CASES)
def test_dropping_a_guard_breaks_it(instances: dict[str, Instance], era: str, step: str, guard: str) -> None:
    instance = instances[era]
    whole = instance.lifted
    try:
        instance.lifted = [
            (action, _without(path, next(g for g, _ in path.guards if g.name == guard)))
            if action.step.id == step and any(g.name == guard for g, _ in path.guards)
            else (action, path)
            for action, path in whole
        ]
        found = faults_of(instance, only=step)
    finally:
        instance.lifted = whole
    assert any(finding.fault is Fault.OVERLAP for finding in found)


@pytest.mark.parametrize("name", ["single", "threads", "dying-threads", "foreign-user"])
@pytest.mark.parametrize("era", ["E4", "E5", "tetsuo-2017-06-16"])
def test_lemmas_that_the_outcomes_lean_on_hold_in_every_reachable_state(era: str, name: str) -> None:
    scenario = next(s for s in SCENARIOS if s.id == name)
    exploration = Exploration(Instance(find_era(era), scenario), SITE_LEMMAS)
    assert not exploration.truncated
    assert [f.property.id for f in exploration.findings.values() if f.violated is not None] == []
