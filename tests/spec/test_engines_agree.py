"""The generated explorer and plain stepping find the same graph, and the same shortest violations."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import product

import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration, plain_graph, replay
from oom_spec.generating import generate
from oom_spec.instances import Instance
from oom_spec.language import Property
from oom_spec.language.errors import Disabled
from oom_spec.packing import Packing
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.stepping import State, layout

from .toy import HOUSE, NEVER_CROWDED, ROOM_FOR_TWO, TWO_GUESTS

MOST = 10_000
"""States up to which plain stepping is worth its time."""

QUICK = frozenset(
    {
        ("E4", "single"),
        ("E4", "init-shares"),
        ("E4b", "init-shares"),
        ("E5", "memory-kinds"),
        ("E5", "empty-mm"),
        ("E5", "init-shares"),
        ("rientjes-2017-06-14", "empty-mm"),
        ("tetsuo-2017-06-16", "memcg"),
        ("hocko-2017-07-24", "empty-mm"),
        ("strawman-lock-before-unmap", "empty-mm"),
        ("arcangeli-first", "init-shares"),
        ("arcangeli-first-no-oom-lock", "init-shares"),
        ("fault-leave-retry", "init-shares"),
        ("fault-retake-lock", "init-shares"),
        *((era.id, "core-dump") for era in all_eras()),
    }
)
"""What the default run compares; the rest is marked slow."""


COMBINATIONS = [
    pytest.param(
        era.id,
        scenario.id,
        marks=() if (era.id, scenario.id) in QUICK else (pytest.mark.slow,),
        id=f"{era.id}-{scenario.id}",
    )
    for era, scenario in product(all_eras(), SCENARIOS)
]


def generated_graph(instance: Instance, start: int) -> dict[State, set[tuple[str, State]]]:
    """The graph of the generated successor function, unpacked."""
    generated = generate(instance)
    packing = generated.packing
    graph: dict[State, set[tuple[str, State]]] = {}
    pending = [start]
    seen = {start}
    while pending:
        packed = pending.pop()
        edges = generated.successors(packed)
        labelled = {(instance.paths[number].action.id, packing.unpack(target)) for target, number in edges}
        assert len(labelled) == len(edges), "an action has two targets in one state"
        graph[packing.unpack(packed)] = labelled
        for target, _ in edges:
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return graph


@pytest.mark.parametrize(("era", "scenario"), COMBINATIONS)
def test_generated_and_plain_graph_are_equal(era: str, scenario: str) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    states = Exploration(instance, most=MOST).states
    if states > MOST:
        pytest.skip(f"more than {MOST} states")
    plain = plain_graph(instance, MOST)
    assert plain is not None
    generated = generated_graph(instance, Packing(instance).initial)
    assert generated.keys() == plain.keys()
    for state, edges in plain.items():
        assert generated[state] == set(edges.items())


def test_the_representative_subset_exists() -> None:
    ids = {(era.id, scenario.id) for era, scenario in product(all_eras(), SCENARIOS)}
    assert ids >= QUICK
    assert {era for era, _ in QUICK} == {era.id for era in all_eras()}


def test_nothing_is_explored_beyond_the_end_of_a_scenario() -> None:
    instance = Instance(find_era("v4.14"), find_scenario("empty-mm"))
    assert instance.scenario.ends is not None
    plain = plain_graph(instance, MOST)
    assert plain is not None
    ends = [state for state in plain if instance.holds(instance.scenario.ends, (), state)]
    successors = generate(instance).successors
    packing = Packing(instance)
    assert ends
    assert all(successors(packing.pack(state)) == [] for state in ends)
    assert all(plain[state] == {} for state in ends)
    # The end is what stops the run there: without it, some of these states have successors.
    store = instance.concrete
    goes_on = 0
    for state in ends:
        for action in instance.actions:
            try:
                store.run(action.step, action.arguments, state)
            except Disabled:
                continue
            goes_on += 1
    assert goes_on


@pytest.mark.parametrize("scenario", [TWO_GUESTS, ROOM_FOR_TWO], ids=lambda scenario: scenario.id)
def test_the_toy_has_one_graph(scenario: object) -> None:
    instance = Instance(HOUSE, scenario)  # type: ignore[arg-type]
    plain = plain_graph(instance)
    assert plain is not None
    generated = generated_graph(instance, Packing(instance).initial)
    assert generated == {state: set(edges.items()) for state, edges in plain.items()}


def test_packing_round_trip() -> None:
    draw = random.Random(414)
    for era in ("v4.12", "v4.14"):
        for scenario in ("ten-retries", "threads", "two-domains", "dying-allocates"):
            instance = Instance(find_era(era), find_scenario(scenario))
            packing = Packing(instance)
            assert packing.unpack(packing.initial) == instance.concrete.initial
            for _ in range(50):
                state = instance.state_of({v.slot: draw.randrange(len(v.values)) for v in instance.live})
                packed = packing.pack(state)
                assert packed.bit_length() <= packing.bits
                assert packing.unpack(packed) == state


def test_each_field_has_one_variable() -> None:
    for scenario in SCENARIOS:
        variables = layout(scenario)
        assert len({variable.slot for variable in variables}) == len(variables)


def test_packed_states_differ_wherever_plain_states_do() -> None:
    instance = Instance(find_era("v4.14"), find_scenario("notifiers"))
    packing = Packing(instance)
    initial = instance.concrete.initial
    packed = {packing.initial}
    expected = 1
    for position, variable in enumerate(instance.variables):
        if variable.slot in instance.constants:
            continue
        for code in range(len(variable.values)):
            if code != initial[position]:
                state = (*initial[:position], code, *initial[position + 1 :])
                packed.add(packing.pack(state))
                expected += 1
    assert len(packed) == expected


# -- shortest violations, by the most naive search there is ---------------------------------------


def naive_depths(instance: Instance, properties: Iterable[Property], start: State) -> dict[tuple[str, str], int]:
    """(property, kind of hit) to the least depth, by breadth-first search with plain steps."""
    store = instance.concrete
    subjects = [subject for subject in properties if not subject.graph]
    found: dict[tuple[str, str], int] = {}

    def judge(subject: Property, arguments: tuple[object, ...], state: State, depth: int) -> None:
        if not instance.holds(subject.when, arguments, state):
            return
        found.setdefault((subject.id, "reached"), depth)
        if instance.holds(subject.then, arguments, state):
            return
        found.setdefault((subject.id, "violated_strictly"), depth)
        if subject.excuse is None or not instance.holds(subject.excuse, arguments, state):
            found.setdefault((subject.id, "violated"), depth)

    level = [start]
    seen = {start}
    depth = 0
    while level:
        following: list[State] = []
        for state in level:
            for subject in subjects:
                if subject.event is None:
                    groups = [instance.structure.objects.get(kind.__name__, ()) for kind in subject.over]
                    for names in product(*groups):
                        judge(subject, names, state, depth)
            if instance.scenario.ends is not None and instance.holds(instance.scenario.ends, (), state):
                continue
            for action in instance.actions:
                try:
                    target = store.run(action.step, action.arguments, state)
                except Disabled:
                    continue
                events = list(store.events)
                for event in events:
                    for subject in subjects:
                        if subject.event is event.event:
                            judge(subject, event.arguments, state, depth + 1)
                if target not in seen:
                    seen.add(target)
                    following.append(target)
        level = following
        depth += 1
    return found


def explored_depths(exploration: Exploration) -> dict[tuple[str, str], int]:
    """The same from the explorer's findings."""
    found: dict[tuple[str, str], int] = {}
    for name, finding in exploration.findings.items():
        for kind in ("reached", "violated_strictly", "violated"):
            hit = getattr(finding, kind)
            if hit is not None:
                found[name, kind] = hit.depth
    return found


@pytest.mark.parametrize(
    ("era", "scenario"),
    [("v4.12", "single"), ("v4.14", "memory-kinds"), ("tetsuo-2017-06-16", "marked"), ("v4.14", "init-shares")],
)
def test_depths_are_those_of_a_naive_search(era: str, scenario: str) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    exploration = Exploration(instance, PROPERTIES)
    start = replay(instance, exploration.prefix_run)[-1]
    naive = naive_depths(instance, PROPERTIES, start)
    assert explored_depths(exploration) == naive
    assert naive


def test_toy_depths() -> None:
    crowded = Exploration(Instance(HOUSE, ROOM_FOR_TWO), [NEVER_CROWDED])
    finding = crowded.findings["T1"]
    assert finding.violated is not None
    assert finding.violated.depth == 2
    assert [action.id for action in crowded.run_to(finding.violated)] in (
        ["guest.visit.enter(ann)", "guest.visit.enter(bob)"],
        ["guest.visit.enter(bob)", "guest.visit.enter(ann)"],
    )
    (count_range,) = find_properties("count-range")
    full = Exploration(Instance(HOUSE, TWO_GUESTS), [NEVER_CROWDED, count_range])
    assert full.findings["T1"].violated is None
    fault = full.findings["count-range"].violated
    assert fault is not None
    assert fault.depth == 2
