"""Steps lifted for objects of any world: the same paths that every scenario has."""

from __future__ import annotations

import random
from functools import cache

import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.generating import judge
from oom_spec.instances import Instance
from oom_spec.language import World, terms
from oom_spec.language.eras import Era
from oom_spec.language.objects import Object
from oom_spec.language.terms import Kind, Op, Sort, Term
from oom_spec.lifting import lift_step
from oom_spec.protocol.state import Mm, Task
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.opening import (
    class_of,
    object_of,
    open_condition,
    open_formula,
    open_step,
    owner_of,
    parameters_of,
)

SAMPLED = 40


@pytest.mark.parametrize("era", all_eras(), ids=lambda era: era.id)
def test_every_step_can_be_opened(era: Era) -> None:
    for declared in era.steps:
        assert open_step(declared)


def closed(term: Term, instance: Instance, names: dict[str, str]) -> Term:
    """``term`` with objects of a scenario in place of names."""
    statics = instance.structure.statics

    def resolve(name: str, kind: str) -> Term:
        if name in names:
            return terms.const(Sort(Kind.OBJECT, kind), names[name])
        owner, attribute = owner_of(object_of(kind, name))
        assert owner is not None
        found = statics[attribute, str(resolve(str(owner.payload), owner.sort.name).payload)]
        return terms.const(Sort(Kind.OBJECT, kind), found)

    def leaf(part: Term) -> Term | None:
        if part.op is Op.NAMED:
            return resolve(str(part.payload), part.sort.name)
        if part.op is Op.STATIC and str(part.payload).startswith("limit."):
            return terms.integer(instance.concrete.bounds[str(part.payload).removeprefix("limit.")])
        if part.op is Op.STATIC:
            return terms.static(str(part.payload), part.sort, terms.rebuild(part.args[0], leaf, {}))
        return None

    return instance.simplify(terms.rebuild(term, leaf, {}))


@cache
def explored(era: str, scenario: str) -> Exploration:
    return Exploration(Instance(find_era(era), find_scenario(scenario)))


@pytest.mark.parametrize(
    ("era", "scenario"),
    [
        ("v4.9", "threads"),
        ("v4.14", "exiting-sharer"),
        ("v4.17", "memory-kinds"),
        ("v6.1", "mrelease"),
        ("v6.8", "failed-fork"),
    ],
)
def test_an_open_path_is_what_a_scenario_lifts(era: str, scenario: str) -> None:
    exploration = explored(era, scenario)
    instance = exploration.instance
    states = random.Random(1).sample(sorted(exploration.parents), min(SAMPLED, exploration.states))
    compared = 0
    for action in instance.actions:
        names = {each: action.arguments[name] for name, each in parameters_of(action.step).items()}
        names |= {"world": "world", "reaper": "reaper"}
        lifted = [
            path
            for path in lift_step(action.step, action.arguments, instance.store)
            if ("World.halted", ("world",)) not in path.updates
        ]
        wanted = terms.disjoin(*(instance.simplify(terms.conjoin(*p.site, *p.condition)) for p in lifted))
        opened = terms.disjoin(
            *(closed(terms.conjoin(*p.site, *p.condition), instance, names) for p in open_step(action.step))
        )
        holds, holds_openly = judge(exploration.packing, [wanted]), judge(exploration.packing, [opened])
        for state in states:
            assert holds(state) == holds_openly(state), action.id
        compared += wanted is not terms.FALSE
    assert compared > 20


def test_names_lead_from_their_owners() -> None:
    assert owner_of(object_of("Mm", "Task1.process.mm")) == (object_of("Process", "Task1.process"), "Process.mm")
    assert owner_of(object_of("Task", "reaper->job")) == (object_of("Reaper", "reaper"), "Reaper.job->")
    assert owner_of(object_of("Task", "Task$1")) == (None, "Task$1")
    assert class_of("Killer1->victim.process.mm") == "Mm"
    assert class_of("Task!12") == "Task"


def test_two_names_are_not_told_apart() -> None:
    left, right = object_of("Task", "Task1"), object_of("Task", "Task2")
    assert terms.equals(left, right).op is Op.EQ
    assert terms.equals(left, left) is terms.TRUE
    assert object_of("Reaper", "whatever") is object_of("Reaper", "")


def test_a_formula_over_all_objects_is_closed() -> None:
    formula = open_formula(lambda world, mm, task: task.process.mm == mm, (Mm, Task))
    assert str(formula) == "(every ?mm0: (every ?task1: (= ?mm0 ?task1.process.mm)))"


def test_a_condition_names_its_objects() -> None:
    def condition(world: World, mm: Mm) -> bool:
        return mm.oom_skip

    assert str(open_condition(condition, (object_of("Mm", "Mm1"),))) == "Mm1.oom_skip"


def test_every_class_of_object_is_known_by_its_names() -> None:
    for kind in Object.classes:
        if kind in {"World", "Reaper"} or not kind.isalpha():
            continue
        assert class_of(f"{kind}1") == kind
