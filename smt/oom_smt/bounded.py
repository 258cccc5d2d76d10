"""Bounded checking: is there a run of exactly d steps whose end violates a property?

`confirm` asks at one depth, in one shot. `search` asks at every depth from 0 up, incrementally, and
names the depth up to which every answer was unsat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from oom_smt import z3_api as z3
from oom_smt.encoding import Encoding
from oom_smt.z3_api import Answer, Expr, Solver
from oom_spec.instances import Action, Check, Instance
from oom_spec.language.properties import Property


@attrs.frozen(eq=False)
class Goal:
    """What counts as a violation: a bad state, or a bad step."""

    states: Sequence[Check]
    steps: Mapping[int, tuple[Check, ...]]
    strict: bool = False


def goal_of(instance: Instance, subject: Property, *, strict: bool = False) -> Goal:
    """The violations of ``subject`` in ``instance``."""
    if subject.event is None:
        return Goal(instance.invariants(subject), {}, strict)
    return Goal((), instance.obligations(subject), strict)


@attrs.frozen(eq=False)
class Bounded:
    """What Z3 said."""

    answer: Answer
    complete_to: int
    """Every run of at most so many steps was shown to be free of violations; -1: none."""
    depth: int | None
    """The depth of the violation found."""
    run: tuple[Action, ...]
    seconds: float
    reason: str = ""
    guided: bool = False
    """The schedule was given: Z3 only agreed that this run exists and violates the goal."""


class Unrolling:
    """The frames of one solver: state k and the choice of step k, each with its own variables."""

    def __init__(self, encoding: Encoding, start: int, logic: str | None = "QF_BV") -> None:
        self.encoding = encoding
        self.solver = Solver(logic)
        self.states = [encoding.variables("0")]
        self.choices: list[Expr] = []
        self.asked: tuple[tuple[Goal, ...], Expr, Expr] | None = None
        """The goals asked for last, and their violations."""
        self.solver.add(self._at(encoding.initial(start), 0))

    def _at(self, value: Expr, frame: int, *, step: bool = False) -> Expr:
        encoding = self.encoding
        pairs = [(encoding.now[slot], self.states[frame][slot]) for slot in encoding.slots]
        if step:
            pairs.append((encoding.choice, self.choices[frame]))
            if len(self.states) > frame + 1:
                pairs += [(encoding.next[slot], self.states[frame + 1][slot]) for slot in encoding.slots]
        return z3.substitute(value, pairs)

    def extend(self) -> None:
        """Add one step."""
        frame = len(self.choices)
        self.choices.append(self.encoding.choice_at(str(frame)))
        self.states.append(self.encoding.variables(str(frame + 1)))
        self.solver.add(self._at(self.encoding.transition, frame, step=True))

    def violated_at(self, goals: Sequence[Goal], depth: int) -> Expr:
        """The run of ``depth`` steps ends with a violation of one of the ``goals``."""
        in_state, at_step = self._bad(tuple(goals))
        found = self._at(in_state, depth)
        return z3.disjoin((found, self._at(at_step, depth - 1, step=True))) if depth else found

    def _bad(self, goals: tuple[Goal, ...]) -> tuple[Expr, Expr]:
        """The violations of the goals in the state ``now``, and at the step from it: built once, renamed per frame."""
        if self.asked is None or self.asked[0] != goals:
            encoding = self.encoding
            in_state = z3.disjoin(encoding.bad_state(goal.states, strict=goal.strict) for goal in goals)
            at_step = z3.disjoin(encoding.bad_step(dict(goal.steps), strict=goal.strict) for goal in goals)
            self.asked = (goals, in_state, at_step)
        return self.asked[1:]

    def run(self, depth: int) -> tuple[Action, ...]:
        """The actions of the model."""
        numbers = self.solver.numbers(self.choices[:depth])
        return tuple(self.encoding.instance.paths[number].action for number in numbers)


def confirm(
    encoding: Encoding,
    start: int,
    goal: Goal,
    depth: int,
    seconds: float | None = None,
) -> Bounded:
    """One question: a violation after exactly ``depth`` steps?"""
    started = time.monotonic()
    unrolling = Unrolling(encoding, start)
    for _ in range(depth):
        unrolling.extend()
    unrolling.solver.add(unrolling.violated_at((goal,), depth))
    answer = unrolling.solver.check(seconds)
    run = unrolling.run(depth) if answer is Answer.SAT else ()
    reason = unrolling.solver.reason() if answer is Answer.UNKNOWN else ""
    found = depth if answer is Answer.SAT else None
    return Bounded(answer, -1, found, run, time.monotonic() - started, reason)


class Search:
    """An incremental search: one question per depth, continued where it stopped."""

    def __init__(self, encoding: Encoding, start: int, logic: str | None = "QF_BV") -> None:
        self.start = start
        self.unrolling = Unrolling(encoding, start, logic)
        self.complete_to = -1
        """Every question up to this depth was answered unsat, for the goals asked then."""

    def follow(self, goal: Goal, schedule: Sequence[int]) -> Bounded:
        """Does the run of this ``schedule`` (path numbers) exist, and does it end with a violation of ``goal``?

        Frames beyond its end would ask that it goes on; so where there are such, it is asked afresh.
        """
        started = time.monotonic()
        depth = len(schedule)
        longer = len(self.unrolling.choices) > depth
        unrolling = Unrolling(self.unrolling.encoding, self.start) if longer else self.unrolling
        while len(unrolling.choices) < depth:
            unrolling.extend()
        unrolling.solver.push()
        try:
            for choice, number in zip(unrolling.choices, schedule, strict=False):
                unrolling.solver.add(z3.equals(choice, z3.vector_value(number, unrolling.encoding.width)))
            unrolling.solver.add(unrolling.violated_at((goal,), depth))
            answer = unrolling.solver.check(None)
            run = unrolling.run(depth) if answer is Answer.SAT else ()
        finally:
            unrolling.solver.pop()
        found = depth if answer is Answer.SAT else None
        return Bounded(answer, -1, found, run, time.monotonic() - started, guided=True)

    def advance(
        self,
        goals: Sequence[Goal],
        bound: int,
        seconds: float,
        *,
        progress: Callable[[int], None] = lambda depth: None,
    ) -> Bounded:
        """Go on up to ``bound``, within ``seconds``; stops at the first violation of any goal.

        After a violation the same depth is asked again by the next call, for the goals that are left.
        """
        started = time.monotonic()
        unrolling = self.unrolling

        def said(answer: Answer, depth: int | None = None, run: tuple[Action, ...] = (), reason: str = "") -> Bounded:
            return Bounded(answer, self.complete_to, depth, run, time.monotonic() - started, reason)

        for depth in range(self.complete_to + 1, bound + 1):
            left = seconds - (time.monotonic() - started)
            if left <= 0:
                return said(Answer.UNKNOWN, reason="time ran out")
            while len(unrolling.choices) < depth:
                unrolling.extend()
            unrolling.solver.push()
            try:
                unrolling.solver.add(unrolling.violated_at(goals, depth))
                answer = unrolling.solver.check(left)
                if answer is Answer.SAT:
                    return said(answer, depth, unrolling.run(depth))
                if answer is Answer.UNKNOWN:
                    return said(answer, reason=unrolling.solver.reason())
            finally:
                unrolling.solver.pop()
            self.complete_to = depth
            progress(depth)
        return said(Answer.UNSAT)


__all__ = ["Bounded", "Goal", "Unrolling", "Search", "confirm", "goal_of"]
