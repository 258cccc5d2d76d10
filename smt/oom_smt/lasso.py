"""Lassos by bounded checking: is there a fair run without end, with a prefix of p steps and a cycle of c?

One question, in one shot: a run of p + c steps whose last state is the one after p; from there on the property waits
for the same objects everywhere, and everybody whom it counts on acts there or cannot act anywhere there. The
explorer's lasso gives the two numbers and nothing else, unless a schedule is given. A run that stops is a cycle of no
steps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from oom_smt import z3_api as z3
from oom_smt.bounded import Unrolling
from oom_smt.encoding import Encoding
from oom_smt.z3_api import Answer, Expr
from oom_spec.counting_on import counted_where, counts_on, who
from oom_spec.graphs import ends_of
from oom_spec.instances import Action, GroundPath
from oom_spec.language import terms
from oom_spec.language.properties import Property


@attrs.frozen(eq=False)
class Found:
    """What Z3 said."""

    answer: Answer
    prefix: tuple[Action, ...]
    cycle: tuple[Action, ...]
    objects: tuple[object, ...]
    """The objects that the property waits for on the cycle."""
    seconds: float
    guided: bool = False
    """The schedule was given: Z3 only agreed that this lasso exists and is fair."""


class _Frames(Unrolling):
    """An unrolling in which formulas over single states and steps can be asked for."""

    def holds(self, formula: Expr, frame: int) -> Expr:
        """A formula over the state of a frame."""
        return self._at(formula, frame)

    def taken(self, formula: Expr, frame: int) -> Expr:
        """A formula over the choice of the step from a frame."""
        return self._at(formula, frame, step=True)

    def same(self, frame: int, other: int) -> Expr:
        """Two frames have the same state."""
        here, there = self.states[frame], self.states[other]
        return z3.conjoin(z3.equals(here[slot], there[slot]) for slot in self.encoding.slots)


def find_lasso(
    encoding: Encoding,
    start: int,
    subject: Property,
    prefix: int,
    cycle: int,
    seconds: float | None = None,
    schedule: Sequence[int] | None = None,
) -> Found:
    """Ask for a fair run without end that breaks ``subject`` from ``start``: ``prefix`` steps, then ``cycle`` for ever.

    ``seconds``: the time for the answer; None: without limit. ``schedule``: the path numbers that the steps must take.
    """
    started = time.monotonic()
    frames = _Frames(encoding, start)
    solver = frames.solver
    for _ in range(prefix + cycle):
        frames.extend()
    around = range(prefix, prefix + max(cycle, 1))
    if cycle:
        solver.add(frames.same(prefix, prefix + cycle))
    else:  # it stops, and not because it ends properly
        solver.add(*(z3.negate(frames.holds(encoding.truth(end), prefix)) for end in ends_of(encoding.instance)))
    checks = encoding.instance.invariants(subject)
    waits = [encoding.truth(check.violated(strict=True)) for check in checks]
    for_these = {str(k): z3.conjoin(frames.holds(each, frame) for frame in around) for k, each in enumerate(waits)}
    solver.add(z3.disjoin(for_these.values()))
    _be_fair(frames, subject, around, cycle)
    for choice, number in zip(frames.choices, schedule or (), strict=schedule is not None):
        solver.add(z3.equals(choice, z3.vector_value(number, encoding.width)))
    answer = solver.check(seconds)
    run: tuple[Action, ...] = ()
    objects: tuple[object, ...] = ()
    if answer is Answer.SAT:
        run = frames.run(prefix + cycle)
        objects = checks[int(solver.true_of(for_these)[0])].arguments
    return Found(answer, run[:prefix], run[prefix:], objects, time.monotonic() - started, schedule is not None)


def _be_fair(frames: _Frames, subject: Property, around: Sequence[int], cycle: int) -> None:
    """Everybody who is counted on acts on the cycle, or cannot act anywhere on it."""
    encoding = frames.encoding
    instance = encoding.instance
    own: dict[str, list[GroundPath]] = {}
    for path in instance.paths:
        if counts_on(subject, path.action.step):
            own.setdefault(who(path.action), []).append(path)
    goes_on = terms.negate(instance.ends)
    for paths in own.values():
        counted = counted_where(instance, subject, paths[0].action)
        able = encoding.truth(terms.conjoin(goes_on, counted, terms.disjoin(*(path.condition for path in paths))))
        takes = z3.disjoin(encoding.takes(path) for path in paths)
        acts = [frames.taken(takes, frame) for frame in around] if cycle else []
        rests = z3.conjoin(z3.negate(frames.holds(able, frame)) for frame in around)
        frames.solver.add(z3.disjoin([rests, *acts]))


__all__ = ["Found", "find_lasso"]
