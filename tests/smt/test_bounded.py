"""Z3 on its own: the encoding means what the successor function means, and depths agree."""

from __future__ import annotations

import random

import pytest

from oom_smt import z3_api as z3
from oom_smt.bounded import Search, Unrolling, confirm, goal_of
from oom_smt.encoding import Encoding
from oom_smt.z3_api import Answer, Solver
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.instances import Instance
from oom_spec.language import terms
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario

RACES = [
    ("E4", "marked", "N1s"),
    ("E4", "marked", "N2r"),
    ("E4", "kthread-fault", "S4"),
    ("E5", "memory-kinds", "S2"),
    ("E4", "dying-threads", "S6m"),
    ("E4", "dying-threads", "S6t"),
    ("tetsuo-2017-06-16", "marked", "N1v"),
    ("strawman-lock-before-unmap", "marked", "N2q"),
    ("arcangeli-first-no-oom-lock", "marked", "N1s"),
]


def _start(exploration: Exploration) -> int:
    return next(iter(exploration.parents))


@pytest.mark.parametrize(("era", "scenario", "name"), RACES)
def test_z3_finds_the_race_at_the_explorers_depth_and_none_below(era: str, scenario: str, name: str) -> None:
    (subject,) = find_properties(name)
    instance = Instance(find_era(era), find_scenario(scenario))
    exploration = Exploration(instance, [subject], first_only=True)
    hit = exploration.findings[subject.id].violated
    assert hit is not None
    goal = goal_of(instance, subject)
    found = Search(Encoding(instance), _start(exploration)).advance([goal], hit.depth, 120.0)
    assert (found.answer, found.depth, found.complete_to) == (Answer.SAT, hit.depth, hit.depth - 1)
    replay(instance, [*exploration.prefix_run, *found.run])


@pytest.mark.parametrize(("era", "scenario"), [("E4", "single"), ("E5", "foreign-writer"), ("E4", "sharer-outside")])
def test_transition_relation_is_the_successor_function(era: str, scenario: str) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    exploration = Exploration(instance, ())
    encoding = Encoding(instance)
    states = random.Random(7).sample(sorted(exploration.parents), 25)
    for state in states:
        solver = Solver()
        solver.add(encoding.initial(state), encoding.transition)
        expected = dict(exploration.generated.successors(state))
        seen: dict[int, int] = {}
        while solver.check() is Answer.SAT:
            (number,) = solver.numbers([encoding.choice])
            target = 0
            for slot in encoding.slots:
                variable = encoding.next[slot]
                if slot in encoding.booleans:
                    variable = z3.choose(variable, z3.vector_value(1, 1), z3.vector_value(0, 1))
                (value,) = solver.numbers([variable])
                target |= value << encoding.packing.offsets[slot]
            seen[target] = number
            solver.add(z3.negate(encoding.takes(instance.paths[number])))
        assert seen == expected


def test_a_shot_one_step_short_is_unsat() -> None:
    (subject,) = find_properties("N2r")
    instance = Instance(find_era("E4"), find_scenario("marked"))
    exploration = Exploration(instance, [subject], first_only=True)
    hit = exploration.findings["N2r"].violated
    assert hit is not None
    encoding, goal = Encoding(instance), goal_of(instance, subject)
    assert confirm(encoding, _start(exploration), goal, hit.depth - 1).answer is Answer.UNSAT
    assert confirm(encoding, _start(exploration), goal, hit.depth).answer is Answer.SAT


def test_a_given_schedule_must_be_possible() -> None:
    (subject,) = find_properties("N2r")
    instance = Instance(find_era("E4"), find_scenario("marked"))
    exploration = Exploration(instance, [subject], first_only=True)
    hit = exploration.findings["N2r"].violated
    assert hit is not None
    encoding, goal = Encoding(instance), goal_of(instance, subject)
    schedule = exploration.path_numbers(hit)
    search = Search(encoding, _start(exploration))
    given = search.follow(goal, schedule)
    assert given.answer is Answer.SAT
    assert given.guided
    swapped = [schedule[1], schedule[0], *schedule[2:]]
    assert search.follow(goal, swapped).answer is Answer.UNSAT
    assert search.follow(goal, schedule[:-1]).answer is Answer.UNSAT


def test_the_strict_goal_counts_what_only_an_excuse_covers() -> None:
    (subject,) = find_properties("N2r")
    instance = Instance(find_era("hocko-2017-07-24"), find_scenario("foreign-writer"))
    exploration = Exploration(instance, [subject])
    finding = exploration.findings["N2r"]
    assert finding.violated is None
    assert finding.violated_strictly is not None
    depth = finding.violated_strictly.depth
    encoding = Encoding(instance)
    assert confirm(encoding, _start(exploration), goal_of(instance, subject), depth).answer is Answer.UNSAT
    strict = goal_of(instance, subject, strict=True)
    assert confirm(encoding, _start(exploration), strict, depth).answer is Answer.SAT


def test_time_running_out_is_unknown_and_keeps_the_depth_reached() -> None:
    (subject,) = find_properties("N1s")
    instance = Instance(find_era("E5"), find_scenario("single"))
    search = Search(Encoding(instance), Exploration(instance, ()).packing.initial)
    found = search.advance([goal_of(instance, subject)], 10_000, 0.3)
    assert found.answer is Answer.UNKNOWN
    assert found.depth is None
    assert search.complete_to == found.complete_to < 100


def test_counts_wider_than_their_vector_do_not_wrap_in_comparisons() -> None:
    instance = Instance(find_era("E4"), find_scenario("foreign-writer"))
    encoding = Encoding(instance)
    variable = next(v for v in instance.live if v.declaration.qualified == "Reaper.attempts")
    owner = terms.const(terms.Sort(terms.Kind.OBJECT, "Reaper"), "reaper")
    attempts = terms.field("Reaper.attempts", terms.COUNT, (owner,), len(variable.values) - 1)
    for bound in range(1, len(variable.values)):
        for value in range(len(variable.values)):
            solver = Solver()
            solver.add(encoding.truth(terms.equals(attempts, terms.integer(value))))
            solver.add(encoding.truth(terms.at_least(terms.add(attempts, 1), bound)))
            assert (solver.check() is Answer.SAT) is (value + 1 >= bound)


def test_frames_are_implied() -> None:
    instance = Instance(find_era("E4"), find_scenario("single"))
    unrolling = Unrolling(Encoding(instance), Exploration(instance, ()).packing.initial)
    unrolling.extend()
    slot = ("Mm.reapable", ("mm0",))
    changed = z3.negate(z3.equals(unrolling.states[0][slot], unrolling.states[1][slot]))
    unrolling.solver.add(changed)
    assert unrolling.solver.check() is Answer.UNSAT
