"""An implementation in lockstep with the specification: steps per second, and how long shrinking takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from bench.measuring import Better, Row
from oom_conformance.interface import Implementation
from oom_conformance.itself import Itself
from oom_conformance.lockstep import Divergence, Lockstep
from oom_conformance.machine import CHUNK, CHUNKS, PHASES, Coverage, Nonconforming, state_machine
from oom_conformance.oracle import Node, Oracle
from oom_conformance.reference import Reference
from oom_conformance.scheduling import HEADER, Policy, Uniform
from oom_conformance.shrinking import switches
from oom_conformance.trying import run, try_schedules
from oom_spec.eras import find_era
from oom_spec.language.errors import SpecError
from oom_spec.scenarios import find_scenario

ERA, LATER, SCENARIO = "v4.15", "v4.16", "single"
SECONDS = 2.0
"""Of one sample of a rate."""
EXAMPLES = 150


class ByPosition:
    """The other encoding: a byte is a place among what is enabled now, the running actor first."""

    def __init__(self, oracle: Oracle) -> None:
        self._current = ""

    def begin(self, header: bytes) -> None:
        """Nothing is decided ahead."""
        self._current = ""

    def choose(self, node: Node, byte: int) -> str:
        """Zero carries on."""
        groups = sorted(node.by_actor, key=lambda group: group[0] != self._current)
        actions = [(actor, action) for actor, names in groups for action in names]
        self._current, found = actions[byte % len(actions)]
        return found


class Counter(RuleBasedStateMachine):
    """Bare Hypothesis on a trivial machine: one draw, one step."""

    steps = 0

    @rule(byte=st.integers(0, 255))
    def go_on(self, byte: int) -> None:
        """Count."""
        Counter.steps += 1


def rows(rounds: int) -> list[Row]:
    """Rates of the plain loop and of the state machine, their ratio to bare Hypothesis, shrinking."""
    oracle = Oracle(find_era(ERA), find_scenario(SCENARIO))
    itself = tuple(_plain(oracle, Itself, seed) for seed in range(rounds))
    reference = tuple(_plain(oracle, Reference, seed) for seed in range(rounds))
    bare = tuple(_bare() for _ in range(rounds))
    machine = tuple(_machine(oracle, Itself) for _ in range(rounds))
    found = [
        Row(f"lockstep {ERA} `{SCENARIO}`, the specification itself", itself, "steps/s", 30_000, Better.MORE),
        Row(f"lockstep {ERA} `{SCENARIO}`, reference", reference, "steps/s", 30_000, Better.MORE),
        Row(f"Hypothesis machine {ERA} `{SCENARIO}`, the specification itself", machine, "steps/s"),
        Row("bare Hypothesis, a counter", bare, "steps/s"),
        Row("Hypothesis machine over bare", tuple(a / b for a, b in zip(machine, bare, strict=True)), "x"),
        Row(f"find and shrink {LATER} as {ERA}", tuple(_found(oracle, seed) for seed in range(rounds)), "s", 5.0),
    ]
    encodings: tuple[tuple[str, Policy], ...] = (("by actor", Uniform), ("by position", ByPosition))
    for name, policy in encodings:
        shrunk = [_shrunk(oracle, policy, seed) for seed in range(rounds)]
        found += [
            Row(f"Hypothesis shrinks bytes {name}", tuple(each[0] for each in shrunk), "s"),
            Row(f"steps left, bytes {name}", tuple(each[1] for each in shrunk), "steps"),
            Row(f"switches left, bytes {name}", tuple(each[2] for each in shrunk), "switches"),
        ]
    return found


def _plain(oracle: Oracle, make: Callable[[], Implementation], seed: int) -> float:
    trial = try_schedules(oracle, make, seed=seed, seconds=SECONDS)
    if trial.divergence is not None:
        raise SpecError(f"{ERA} in {SCENARIO} diverges: {trial.divergence.kind.value}")
    return trial.steps / trial.seconds


def _machine(oracle: Oracle, make: Callable[[], Implementation]) -> float:
    coverage = Coverage()
    machine = state_machine(oracle, make, coverage=coverage)
    started = time.perf_counter()
    _run(machine, EXAMPLES, CHUNKS)
    return coverage.steps / (time.perf_counter() - started)


def _bare() -> float:
    Counter.steps = 0
    started = time.perf_counter()
    _run(Counter, EXAMPLES, 50)
    return Counter.steps / (time.perf_counter() - started)


def _run(machine: type[RuleBasedStateMachine], examples: int, rules: int) -> None:
    base = machine.TestCase.settings
    given = settings(base, max_examples=examples, stateful_step_count=rules, phases=PHASES, database=None)
    run_state_machine_as_test(machine, settings=given)


def _found(oracle: Oracle, seed: int) -> float:
    started = time.perf_counter()
    if try_schedules(oracle, lambda: Itself(LATER), seed=seed, examples=2000).divergence is None:
        raise SpecError(f"{LATER} was not told from {ERA}")
    return time.perf_counter() - started


def _shrunk(oracle: Oracle, policy: Policy, seed: int) -> tuple[float, float, float]:
    """Seconds, steps and switches of what Hypothesis makes of it by its bytes alone."""
    pair = Lockstep(oracle, Itself(LATER))
    chooser = policy(oracle)
    left: list[tuple[str, ...]] = []

    @hypothesis_seed(seed)
    @settings(max_examples=500, database=None, phases=PHASES, deadline=None, report_multiple_bugs=False)
    @given(st.lists(st.binary(min_size=CHUNK // 2, max_size=CHUNK), min_size=1, max_size=8))
    def check(chunks: list[bytes]) -> None:
        chooser.begin(bytes(HEADER))
        try:
            run(pair, chooser, b"".join(chunks))
        except Divergence as divergence:
            left.append(divergence.schedule)
            raise Nonconforming(divergence) from None

    started = time.perf_counter()
    try:
        check()
    except Nonconforming:
        return time.perf_counter() - started, float(len(left[-1])), float(switches(oracle, left[-1]))
    raise SpecError(f"{LATER} was not told from {ERA}")
