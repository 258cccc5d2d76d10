"""Conditions looked up in all states of small worlds at once, against the explorer's own verdicts."""

from __future__ import annotations

import pytest

from oom_smt.induction import formula_of
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import World, both, negate, some, terms
from oom_spec.language.terms import Term
from oom_spec.properties import PROPERTIES
from oom_spec.protocol.state import Killer, Mm, Reaper, Task
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded import crowds
from oom_spec.unbounded.crowds import CROWDS, explored_worlds, sample
from oom_spec.unbounded.opening import object_of, open_condition
from oom_spec.unbounded.small_worlds import SmallWorlds

E6 = find_era("v4.15")


def worlds(*names: str) -> SmallWorlds:
    return explored_worlds(E6, scenarios=[find_scenario(name) for name in names])


SINGLE = worlds("single")


@pytest.mark.parametrize("name", ["single", "dying-allocates", "threads"])
def test_properties_fail_where_the_explorer_says_so(name: str) -> None:
    subjects = [p for p in PROPERTIES if p.graph is None and p.event is None]
    exploration = Exploration(Instance(E6, find_scenario(name)), subjects)
    found = worlds(name)
    for subject in subjects:
        violated = exploration.findings[subject.id].violated is not None
        assert found.reachable([terms.negate(formula_of(subject))]) == violated, subject.id


def named(kind: str) -> Term:
    return object_of(kind, f"{kind}1")


def condition(formula: object, *kinds: str) -> Term:
    return open_condition(formula, tuple(map(named, kinds)))  # type: ignore[arg-type]


def test_objects_may_be_any_and_conditions_go_together() -> None:
    def job(world: World, task: Task) -> bool:
        return some(world.all(Reaper), lambda reaper: reaper.job == task)

    def exiting(world: World, task: Task) -> bool:
        return task.exiting

    of_job, leaving = condition(job, "Task"), condition(exiting, "Task")
    assert SINGLE.reachable([of_job])
    assert SINGLE.reachable([leaving, of_job])
    assert not SINGLE.reachable([of_job, terms.negate(of_job)])


def test_values_beside_conditions() -> None:
    walked = condition(lambda world, mm: mm.walked_by_reaper, "Mm")
    tables = terms.leaves(condition(lambda world, mm: mm.page_tables == mm.vmas, "Mm"), terms.Op.FIELD)
    beside = {str(field.payload): SINGLE.values_beside([walked], field) for field in tables}
    assert beside == {"Mm.page_tables": {"PRESENT"}, "Mm.vmas": {"PRESENT"}}
    without = {str(field.payload): SINGLE.values_beside([], field) for field in tables}
    assert "FREED" in without["Mm.page_tables"]


def test_what_an_attribute_does_not_lead_to_makes_no_condition_true() -> None:
    """The killer of `single` is no modelled thread: its `current` leads nowhere."""
    holds = terms.field("Killer.holds_oom_lock", terms.BOOL, (named("Killer"),))
    current = terms.static("Killer.current", terms.Sort(terms.Kind.OBJECT, "Task"), named("Killer"))
    memdie = terms.field("Task.memdie", terms.BOOL, (current,))
    assert SINGLE.reachable([holds])
    assert not SINGLE.reachable([memdie])
    assert not SINGLE.reachable([terms.negate(memdie)])


def test_counts_are_compared_with_limits_and_with_each_other() -> None:
    def last_attempt(world: World, reaper: Reaper) -> bool:
        from oom_spec.language import full

        return full(reaper, Reaper.attempts)

    def queued_last(world: World, task: Task) -> bool:
        return both(task.queue_depth != 0, task.queue_depth == world.queue_top)

    assert SINGLE.reachable([open_condition(last_attempt, (object_of("Reaper", ""),))])
    assert SINGLE.reachable([condition(queued_last, "Task")])
    assert not SINGLE.reachable([condition(lambda world, task: task.queue_depth >= 2, "Task")])


def test_quantifiers_speak_of_all_objects_of_the_world() -> None:
    def nobody(world: World) -> bool:
        return negate(some(world.all(Killer), lambda killer: killer.holds_oom_lock))

    def marked(world: World, mm: Mm) -> bool:
        return some(world.all(Task), lambda task: both(task.process.mm == mm, task.memdie))

    assert SINGLE.reachable([condition(nobody)])
    assert SINGLE.reachable([condition(marked, "Mm"), condition(nobody)])


def test_random_runs_of_a_crowd_are_the_same_each_time() -> None:
    crowds._sample.cache_clear()
    first = sample(E6, CROWDS[0])[2]
    crowds._sample.cache_clear()
    assert sample(E6, CROWDS[0])[2] == first
    assert len(first) > 500
