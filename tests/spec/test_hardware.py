"""The exported circuit does what the steps do: in every reachable state, for every input, and on random runs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import attrs
import pytest

from oom_spec.aiger import Latch, as_binary, as_text
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.generating import judge
from oom_spec.hardware import WITHOUT_EXCUSE, _Builder, circuit_of, unfit
from oom_spec.instances import Instance
from oom_spec.language import Property, SpecError, terms
from oom_spec.language.errors import Disabled
from oom_spec.language.terms import TRUE
from oom_spec.packing import Packing
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.reachable_values import slot_of
from oom_spec.scenarios import find_scenario
from oom_spec.stepping import State

from .circuits import Netlist, columns, read, rows

OWNER = terms.Sort(terms.Kind.OBJECT, "Object")
TIGHT = attrs.evolve(
    find_scenario("foreign-user"),
    id="tight",
    bounds={**find_scenario("foreign-user").bounds, "foreign_readers": 0},
)
"""A count leaves its range when the foreign user takes mmap_sem: the machine halts."""
WHOLE = [
    ("v4.6", "marked"),
    ("v4.12", "exiting-sharer"),
    ("v4.12", "frozen"),
    ("v5.17-rc", "mrelease-unmarked"),
    ("v6.1", "mrelease-watched"),
]
"""Small enough to look at every reachable state; `marked` starts in mid-protocol."""
WALKED = [
    ("v4.15", "single"),
    ("v4.12", "marked"),
    ("v4.14", "foreign-domain"),
    ("v6.1", "mrelease"),
    ("v4.8", "two-victims"),
    ("v7.0", "memory-kinds"),
    ("hocko-2017-07-24", "marked"),
]


@attrs.frozen
class Exported:
    """An instance beside its circuit, with every property that has a bad state."""

    instance: Instance
    properties: tuple[Property, ...]
    netlist: Netlist

    @property
    def bad_names(self) -> list[str]:
        """Of each bad state."""
        return [self.netlist.names[f"b{number}"] for number in range(len(self.netlist.bad))]


@cache
def exported(era: str, scenario: str) -> Exported:
    instance = Instance(find_era(era), TIGHT if scenario == TIGHT.id else find_scenario(scenario))
    properties = tuple(subject for subject in PROPERTIES if not unfit(instance, subject))
    return Exported(instance, properties, read(as_binary(circuit_of(instance, properties))))


def violated(instance: Instance, subject: Property, arguments: tuple[object, ...], state: State, strict: bool) -> bool:
    """By the plain formulas."""
    if not instance.holds(subject.when, arguments, state) or instance.holds(subject.then, arguments, state):
        return False
    return strict or subject.excuse is None or not instance.holds(subject.excuse, arguments, state)


def forms(properties: Sequence[Property]) -> list[tuple[Property, bool]]:
    """Each bad state: a property, and whether excuses are refused."""
    return [(p, strict) for p in properties for strict in ((False, True) if p.excuse is not None else (False,))]


def bad_in(instance: Instance, subject: Property, strict: bool, state: State) -> bool:
    checks = instance.invariants(subject)
    return any(violated(instance, subject, check.arguments, state, strict) for check in checks)


def bad_events(instance: Instance, subject: Property, strict: bool, before: State) -> bool:
    """What was announced by the step that has just run."""
    told = [each.arguments for each in instance.concrete.events if each.event is subject.event]
    return any(violated(instance, subject, arguments, before, strict) for arguments in told)


# -- every reachable state -------------------------------------------------------------------


@attrs.frozen
class Expected:
    """What plain steps say, for all reachable states side by side."""

    now: list[int]
    lanes: int
    following: dict[int, list[int]]
    """By the number of a path: the next states."""
    bad: dict[int, list[int]]
    """By the number of a path: each bad state's lanes."""
    idle: list[int]
    """The bad states that depend on no input."""


@cache
def expected(era: str, scenario: str) -> Expected:
    found = exported(era, scenario)
    instance = found.instance
    exploration = Exploration(instance)
    states = list(exploration.parents)
    packing = exploration.packing
    targets: dict[int, list[int]] = {}
    bad: dict[int, list[int]] = {}
    wanted = forms(found.properties)
    plain = [packing.unpack(state) for state in states]
    idle = [
        sum(1 << lane for lane, state in enumerate(plain) if p.event is None and bad_in(instance, p, strict, state))
        for p, strict in wanted
    ]
    for lane, state in enumerate(states):
        for _, number in exploration.generated.successors(state):
            action = instance.paths[number].action
            target = instance.concrete.run(action.step, action.arguments, plain[lane])
            targets.setdefault(number, list(states))[lane] = packing.pack(target)
            events = list(instance.concrete.events)
            signals = bad.setdefault(number, list(idle))
            for place, (subject, strict) in enumerate(wanted):
                if any(each.event is subject.event for each in events):
                    instance.concrete.events = events
                    signals[place] |= bad_events(instance, subject, strict, plain[lane]) << lane
    width = packing.bits
    return Expected(
        columns(states, width),
        len(states),
        {number: columns(each, width) for number, each in targets.items()},
        bad,
        idle,
    )


def differing(netlist: Netlist, wanted: Expected) -> int | None:
    """The first choice for which the circuit does not do in all states what is expected; None where there is none."""
    ones = (1 << wanted.lanes) - 1
    for number in range(1 << len(netlist.inputs)):
        inputs = [ones * (number >> place & 1) for place in range(len(netlist.inputs))]
        following, bad = netlist.run(wanted.now, inputs, wanted.lanes)
        if following != wanted.following.get(number, wanted.now) or bad != wanted.bad.get(number, wanted.idle):
            return number
    return None


@pytest.mark.parametrize(("era", "scenario"), WHOLE)
def test_the_circuit_steps_as_the_era_in_every_reachable_state(era: str, scenario: str) -> None:
    found = exported(era, scenario)
    wanted = expected(era, scenario)
    assert differing(found.netlist, wanted) is None
    start = sum(reset << place for place, (_, _, reset) in enumerate(found.netlist.latches))
    assert start == next(iter(Exploration(found.instance, most=0).parents))


def test_every_bad_state_is_seen_high_and_low_somewhere() -> None:
    """Else the comparison would say nothing about it: a wire to false would do."""
    high = set()
    for era, scenario in WHOLE:
        wanted = expected(era, scenario)
        for signals in (wanted.idle, *wanted.bad.values()):
            high |= {name for name, lanes in zip(exported(era, scenario).bad_names, signals, strict=True) if lanes}
    assert {"N1s", "N1s-without-excuse", "N1v", "S1", "S5r", "S10", "L5", "L6"} <= high


def test_a_wrong_gate_is_noticed() -> None:
    """But for gates that matter in no reachable state: every state and every input was compared."""
    found, wanted = exported("v5.17-rc", "mrelease-unmarked").netlist, expected("v5.17-rc", "mrelease-unmarked")
    chosen = range(0, len(found.gates), 7)
    noticed = 0
    for number in chosen:
        literal, left, right = found.gates[number]
        gates = (*found.gates[:number], (literal, left ^ 1, right), *found.gates[number + 1 :])
        noticed += differing(attrs.evolve(found, gates=gates), wanted) is not None
    assert noticed / len(chosen) > 0.8


def test_a_dropped_guard_is_noticed() -> None:
    found, wanted = exported("v5.17-rc", "mrelease-unmarked"), expected("v5.17-rc", "mrelease-unmarked")
    changed = Instance(found.instance.era, found.instance.scenario)
    taken = min(wanted.following)
    paths = tuple(attrs.evolve(p, condition=TRUE) if p.number == taken else p for p in changed.paths)
    changed.__dict__["_grounded"] = paths, changed.constants
    netlist = read(as_text(circuit_of(changed, found.properties)))
    assert differing(netlist, wanted) == taken


# -- random runs, by plain steps alone -------------------------------------------------------


@pytest.mark.parametrize(("era", "scenario"), WALKED)
def test_the_circuit_follows_random_runs_of_plain_steps(era: str, scenario: str) -> None:
    found = exported(era, scenario)
    instance, netlist = found.instance, found.netlist
    packing = Packing(instance)
    lanes = 1 << len(netlist.inputs)
    inputs = columns(range(lanes), len(netlist.inputs))
    lanes_of: dict[str, list[int]] = {}
    for path in instance.paths:
        lanes_of.setdefault(path.action.id, []).append(path.number)
    start = sum(reset << place for place, (_, _, reset) in enumerate(netlist.latches))
    choices = random.Random(f"{era} {scenario}")
    for _ in range(2):
        state = packing.unpack(start)
        for _ in range(25):
            packed = packing.pack(state)
            bits = [(packed >> place & 1) * ((1 << lanes) - 1) for place in range(packing.bits)]
            next_bits, bad = netlist.run(bits, inputs, lanes)
            following = rows(next_bits, lanes)
            over = instance.scenario.ends is not None and instance.holds(instance.scenario.ends, (), state)
            targets: list[State] = []
            moving: set[int] = set()
            for action in instance.actions:
                mine = lanes_of.get(action.id, [])
                told: list[bool] = []
                try:
                    target = instance.concrete.run(action.step, action.arguments, state)
                    events = list(instance.concrete.events)
                except Disabled:
                    target, events = state, []
                if over:
                    target, events = state, []
                moved = {following[lane] for lane in mine} - {packed}
                assert moved == {packing.pack(target)} - {packed}, action.id
                moving |= {lane for lane in mine if following[lane] != packed}
                if target != state:
                    targets.append(target)
                for subject, strict in forms(found.properties):
                    instance.concrete.events = events
                    told.append(bool(events) and bad_events(instance, subject, strict, state))
                for place, (subject, _) in enumerate(forms(found.properties)):
                    if subject.event is not None:
                        assert any(bad[place] >> lane & 1 for lane in mine) == told[place], (action.id, subject.id)
            assert moving == {lane for lane in range(lanes) if following[lane] != packed}
            for place, (subject, strict) in enumerate(forms(found.properties)):
                if subject.event is None:
                    assert bad[place] == bad_in(instance, subject, strict, state) * ((1 << lanes) - 1), subject.id
            if not targets:
                break
            state = choices.choice(targets)


def test_a_count_that_leaves_its_range_halts_the_circuit() -> None:
    found = exported("v4.15", "tight")
    exploration = Exploration(found.instance, find_properties("count-range"), first_only=True)
    hit = exploration.findings["count-range"].violated
    assert hit is not None
    numbers = exploration.path_numbers(hit)
    assert simulate(found.netlist, found.bad_names.index("count-range"), [*numbers, 0, 1]) == [0, 1, 1]
    lanes = 1 << len(found.netlist.inputs)
    halted = [bit * ((1 << lanes) - 1) for bit in columns([hit.state], exploration.packing.bits)]
    assert found.netlist.run(halted, columns(range(lanes), len(found.netlist.inputs)), lanes)[0] == halted


# -- the file --------------------------------------------------------------------------------


def test_both_forms_hold_the_same_circuit() -> None:
    instance = exported("v4.15", "single").instance
    circuit = circuit_of(instance, find_properties("N1"))
    assert read(as_text(circuit)) == read(as_binary(circuit))


def test_names_and_comments_say_what_everything_means() -> None:
    found = exported("v4.15", "single")
    netlist = found.netlist
    assert found.bad_names[:2] == ["N1s", "N1s" + WITHOUT_EXCUSE]
    assert [netlist.names[f"i{n}"] for n in range(len(netlist.inputs))] == [f"choice[{n}]" for n in range(7)]
    latches = [netlist.names[f"l{n}"] for n in range(len(netlist.latches))]
    assert len(set(latches)) == len(latches)
    assert {"mm0.oom_skip", "reaper.at[0]"} <= set(latches)
    assert netlist.comments[0].startswith("oomspec, era E6 (v4.15), scenario single: One victim")
    assert f"path 0: {found.instance.paths[0].action.id}" in netlist.comments
    assert "latches mm0.oom_skip: 0 false, 1 true" in netlist.comments
    assert "end: nothing is done any more where the bystander is picked" in netlist.comments
    marked = exported("v4.12", "marked").netlist
    assert "start: the victim is marked and queued, and oom_lock is free" in marked.comments


def test_the_file_is_the_same_in_every_process() -> None:
    def written(seed: str, before: str) -> bytes:
        code = (
            "import sys; from oom_spec.aiger import as_binary; from oom_spec.eras import find_era\n"
            "from oom_spec.hardware import circuit_of; from oom_spec.instances import Instance\n"
            "from oom_spec.properties import find_properties; from oom_spec.scenarios import find_scenario\n"
            f"{before}\n"
            "instance = Instance(find_era('v4.12'), find_scenario('marked'))\n"
            "sys.stdout.buffer.write(as_binary(circuit_of(instance, find_properties('N1'))))"
        )
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
        return done.stdout

    other = "Instance(find_era('v6.1'), find_scenario('mrelease')).paths"
    assert written("1", "") == written("2", other) != b""


def test_a_property_without_a_bad_state_is_refused() -> None:
    instance = exported("v4.15", "single").instance
    with pytest.raises(SpecError) as graph:
        circuit_of(instance, find_properties("L1"))
    assert str(graph.value) == (
        "L1 speaks of the whole graph of states, so no bad state expresses it: use `oomspec check`"
    )
    with pytest.raises(SpecError) as absent:
        circuit_of(instance, find_properties("M1"))
    assert str(absent.value) == "M1 does not apply to E6: there is no process_mrelease"


@pytest.mark.parametrize(("era", "scenario"), WHOLE)
def test_a_shortest_run_of_the_explorer_is_one_of_the_circuit(era: str, scenario: str) -> None:
    found = exported(era, scenario)
    exploration = Exploration(found.instance, found.properties)
    assert any(finding.violated for finding in exploration.findings.values())
    for name, finding in exploration.findings.items():
        if finding.violated is None:
            continue
        choices = exploration.path_numbers(finding.violated) + [0] * (finding.violated.path is None)
        signals = simulate(found.netlist, found.bad_names.index(name), choices)
        assert signals == [0] * (len(choices) - 1) + [1], name


def simulate(netlist: Netlist, place: int, choices: Sequence[int]) -> list[int]:
    """One bad signal in each moment of a run from the start."""
    state = [reset for _, _, reset in netlist.latches]
    signals = []
    for number in choices:
        state, bad = netlist.run(state, [number >> bit & 1 for bit in range(len(netlist.inputs))], 1)
        signals.append(bad[place])
    return signals


# -- terms that no era has -------------------------------------------------------------------


def test_every_kind_of_term_becomes_the_right_gates() -> None:
    """Counts beside each other, sums on both sides, choices between values: as the expressions that packing writes."""
    instance = exported("v4.8", "two-victims").instance
    builder = _Builder(instance)
    packing = builder.packing
    fields = [
        terms.field(v.slot[0], v.declaration.sort, tuple(terms.const(OWNER, n) for n in v.slot[1]), len(v.values) - 1)
        for v in instance.live
    ]
    counts = [each for each in fields if each.sort is terms.COUNT]
    flags = [each for each in fields if each.sort is terms.BOOL]
    points = [each for each in fields if slot_of(each)[0] == "Killer.at"]
    draw = random.Random("terms")

    def number() -> terms.Term:
        plain = terms.add(draw.choice(counts), draw.randint(-3, 5))
        return (
            plain
            if draw.random() < 0.6
            else terms.choose(draw.choice(flags), number(), terms.integer(draw.randint(0, 9)))
        )

    made = [terms.equals(number(), number()) for _ in range(60)]
    made += [terms.at_least(number(), draw.randint(-1, 6)) for _ in range(60)]
    made += [terms.choose(*draw.sample(flags, 3)) for _ in range(20)] + [terms.equals(*draw.sample(flags, 2))]
    made += [terms.equals(terms.choose(draw.choice(flags), *points[:2]), points[1]), terms.equals(*points[:2])]
    circuit = builder.gates.circuit(
        [""] * builder.width,
        [Latch("", literal, 0) for literal in builder.gates.latches],
        [("", builder.truth(term)) for term in made],
    )
    netlist = read(as_binary(circuit))
    states = [draw.getrandbits(packing.bits) for _ in range(500)]
    _, found = netlist.run(columns(states, packing.bits), [0] * builder.width, len(states))
    for term, lanes in zip(made, found, strict=True):
        wanted = judge(packing, [term])
        assert [lanes >> lane & 1 for lane in range(len(states))] == [int(bool(wanted(s))) for s in states], term
