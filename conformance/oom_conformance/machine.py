"""Hypothesis drives an implementation and the specification in lockstep.

One rule draws a chunk of bytes and takes a step for each: a draw costs Hypothesis more than a hundred steps
cost here. At the end of a run everything that can still happen happens, so that what a fault leaves behind
is compared too. Runs are guided towards pairs of steps that were rare so far.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import attrs
from hypothesis import Phase, settings, target
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from oom_conformance.emitting import diagram_from_cold
from oom_conformance.interface import Implementation
from oom_conformance.lockstep import Divergence, Lockstep, Schedule
from oom_conformance.oracle import Node, Oracle
from oom_conformance.scheduling import HEADER, POLICIES, Policy
from oom_conformance.shrinking import Replayer, shrink_divergence
from oom_spec.language import SpecError

CHUNK = 32
"""Bytes that one rule draws, at most; each is a step."""

CHUNKS = 32
"""Rules of one example, at most: several runs, one after the other, share what an example costs Hypothesis."""

SETTLING = 400
"""Steps in which a run must come to rest at its end."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)
"""All but ``explain``, which tells nothing about bytes."""


class Nonconforming(AssertionError):  # noqa: N818 - a result, as `Divergence` is
    """An implementation parts from the specification; each fault, by `Divergence.key`, has a class of its own.

    Hypothesis tells faults apart by class, and shrinks each without slipping to another.
    """

    def __init__(self, divergence: Divergence, text: str = "") -> None:
        super().__init__(text or str(divergence))
        self.divergence = divergence


@cache
def _kind_of(key: tuple[str, ...]) -> type[Nonconforming]:
    return type("Nonconforming", (Nonconforming,), {"__doc__": Nonconforming.__doc__, "key": key})


@attrs.define
class Coverage:
    """What the runs of a machine met, all its examples together."""

    runs: int = 0
    steps: int = 0
    """With those that lead to the scenario's start, and those in which runs come to rest."""
    unsettled: int = 0
    """Runs that were not at rest after `SETTLING` further steps."""
    taken: Counter[str] = attrs.field(factory=Counter)
    """How often each action was taken."""
    pairs: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """How often each action of one actor was taken after one of another."""
    _weights: dict[tuple[str, str], float] = attrs.field(factory=dict)
    """How late each pair was first met. Unlike how often it was met it never changes, so that a run keeps its score."""
    broken: dict[str, Schedule] = attrs.field(factory=dict)
    """For each property that a run violated in the specification itself, the shortest schedule from the cold start."""

    def count(self, oracle: Oracle, pair: Lockstep) -> float:
        """Count a run that has ended; how rare its pairs are, added up."""
        schedule = pair.schedule
        self.runs += 1
        self.steps += len(schedule)
        self.taken.update(schedule)
        for name, depth in pair.broken.items():
            if name not in self.broken or depth < len(self.broken[name]):
                self.broken[name] = tuple(schedule[:depth])
        actors = {name: action.actor for name, action in oracle.actions.items()}
        pairs = [each for each in pairwise(schedule[len(oracle.prefix) :]) if actors[each[0]] != actors[each[1]]]
        self.pairs.update(pairs)
        late = math.log2(1 + self.runs)
        return sum(self._weights.setdefault(each, late) for each in set(pairs))


def state_machine(
    oracle: Oracle,
    make_implementation: Callable[[], Implementation],
    *,
    policy: str | Policy = "mixed",
    coverage: Coverage | None = None,
    chunk: int = CHUNK,
    chunks: int = CHUNKS,
    hint: str = "to keep it as a test: --emit-test FILE",
) -> type[RuleBasedStateMachine]:
    """The state machine of an era and a scenario with an implementation, to be run as `machine.TestCase`.

    ``chunk``: bytes that a rule draws, at most; ``chunks``: rules of an example, at most.
    ``policy``: a name of `POLICIES`, or what makes a chooser without memory. ``coverage`` is added to. ``hint`` is
    the last line of a report. A failing example raises `Nonconforming` with the divergence, the run as a diagram and
    the shortest schedule with the same fault. Raises `SpecError` for an unknown policy.
    """
    if isinstance(policy, str):
        if policy not in POLICIES:
            raise SpecError(f"there is no policy {policy!r}: take one of {', '.join(sorted(POLICIES))}")
        policy = POLICIES[policy]
    chooser = policy(oracle)
    replayer = Replayer(oracle, make_implementation)
    met = Coverage() if coverage is None else coverage

    class Machine(RuleBasedStateMachine):
        """See `state_machine`."""

        node: Node | None = None
        """Where the run is; None before the first one and after a failure."""
        rarity = 0.0
        """How rare the pairs of steps of the runs were, added up."""

        @initialize(header=st.binary(min_size=HEADER, max_size=HEADER))
        def begin(self, header: bytes) -> None:
            """Reset both, and decide what holds for the whole run."""
            self.node = None
            chooser.begin(header)
            with _reported():
                self.node = replayer.pair().start()

        @rule(chunk=st.binary(min_size=chunk // 2, max_size=chunk))
        def go_on(self, chunk: bytes) -> None:
            """Take a step for each byte; where a run ends, the bytes that are left are the header of another."""
            node, self.node = self.node, None
            if node is None:
                return
            step, choose = replayer.pair().step, chooser.choose
            with _reported():
                for number, byte in enumerate(chunk):
                    if not node.names:
                        self._count()
                        self.begin(chunk[number:].ljust(HEADER, b"\0")[:HEADER])
                        return
                    node = step(choose(node, byte))
            self.node = node

        def teardown(self) -> None:
            """Come to rest, and tell Hypothesis how rare it all was."""
            if self.node is None:
                return
            pair = replayer.pair()
            with _reported():
                met.unsettled += not settle(oracle, pair.node, pair.step)
            self._count()
            target(self.rarity, label="rare pairs of steps")

        def _count(self) -> None:
            self.rarity += met.count(oracle, replayer.pair())

    class _reported:  # noqa: N801 - reads as a statement
        """Turns a divergence into what Hypothesis and pytest show."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
            if not isinstance(problem, Divergence):
                return
            replayer.parted(problem)
            if not current_build_context().is_final:
                raise _kind_of(problem.key)(problem) from None
            shortest = shrink_divergence(oracle, make_implementation, problem)
            raise _kind_of(problem.key)(shortest, report(oracle, shortest, hint)) from None

    Machine.__name__ = Machine.__qualname__ = "Lockstep_" + re.sub(r"\W", "_", f"{oracle.era.id}_{oracle.scenario.id}")
    Machine.TestCase.settings = settings(
        Machine.TestCase.settings, stateful_step_count=chunks + 1, phases=PHASES, print_blob=True
    )
    return Machine


def settle(oracle: Oracle, node: Node, step: Callable[[str], Node]) -> bool:
    """Let every actor act in turn, each by what it did least often, until nobody has anything to do.

    Nobody may count on the steps of the environment: they are left out. Whoever waits then, waits in the
    specification too. False where that takes more than `SETTLING` steps.

    Raises `Divergence`.
    """
    actions = oracle.actions
    taken: Counter[str] = Counter()
    for _ in range(SETTLING):
        free = [name for _, names in node.by_actor for name in names if not actions[name].step.environment]
        if not free:
            return True
        action = min(free, key=lambda name: (taken[actions[name].actor], taken[name], name))
        taken[action] += 1
        taken[actions[action].actor] += 1
        node = step(action)
    return not node.names


def report(oracle: Oracle, divergence: Divergence, hint: str = "") -> str:
    """What a failing run ends with: the lines of the divergence, the run as a diagram, and ``hint``."""
    drawn = diagram_from_cold(oracle, divergence.schedule)
    return "\n".join([*divergence.lines(), "", drawn, hint]).rstrip()


__all__ = ["CHUNK", "CHUNKS", "Coverage", "Nonconforming", "report", "settle", "state_machine"]
