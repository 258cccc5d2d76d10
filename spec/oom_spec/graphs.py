"""Questions that need the whole graph of reachable states: who is stuck, what stays possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from oom_spec.exploring import Exploration, Hit
from oom_spec.generating import judge
from oom_spec.instances import Action
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Op, Term
from oom_spec.lifting import HALTED
from oom_spec.stepping import Variable


@attrs.frozen(eq=False)
class Stuck:
    """An actor with work left that never acts again, in the first such state."""

    actor: str
    state: int
    depth: int


def _edges(exploration: Exploration) -> dict[int, list[tuple[int, int]]]:
    if exploration.truncated or exploration.edges is None:
        raise SpecError("this question needs the whole graph: explore with keep_edges, and to the end")
    return exploration.edges


def _counters(exploration: Exploration) -> list[Variable]:
    return [v for v in exploration.instance.live if v.declaration.program_counter]


def find_stuck(exploration: Exploration) -> Stuck | None:
    """The nearest state in which some actor, not at rest, can never act again.

    Panic, and the scenario's own end, are proper ends for everybody, but they must not hide what goes
    wrong beside them: a state is excused only if whoever brings the end about (a killer that is bound
    to pick the bystander, or to panic) cannot come to rest again without it.
    """
    edges = _edges(exploration)
    packing = exploration.packing
    counters = _counters(exploration)
    width = len(counters)
    bits = {variable.slot[1][0]: 1 << number for number, variable in enumerate(counters)}
    everybody = (1 << width) - 1
    acting = [bits.get(path.action.actor, 0) for path in exploration.instance.paths]
    final = _final(exploration)
    resting = [
        (
            packing.offsets[v.slot],
            packing.mask(v.slot),
            frozenset(code for code, value in enumerate(v.values) if value in v.declaration.rest),
            1 << number,
        )
        for number, v in enumerate(counters)
    ]
    points = max((offset + mask.bit_length() for offset, mask, _, _ in resting), default=0)
    known: dict[int, int] = {}

    def rests(state: int) -> int:
        at = state & ((1 << points) - 1)  # program counters sit lowest
        if at not in known:
            known[at] = sum(bit for offset, mask, codes, bit in resting if at >> offset & mask in codes)
        return known[at]

    # for each state, from here on: who can act or rests, who comes to rest, who brings about an end
    future: dict[int, int] = {}
    onward: dict[int, list[int]] = {}
    ends = {state for state in exploration.parents if final(state) is not None}
    for state in exploration.parents:
        if state in ends:
            future[state] = 0
            continue
        at_rest = rests(state)
        able, enders = at_rest, 0
        going_on = []
        for target, number in edges[state]:
            able |= acting[number]
            if target in ends:
                enders |= acting[number]
            else:
                going_on.append(target)
        future[state] = able | at_rest << width | enders << 2 * width
        onward[state] = going_on
    _spread(exploration, onward, future)
    depths = _depths(exploration)
    for state in exploration.parents:
        missing = everybody & ~future[state]
        bound_to_end = (future[state] >> 2 * width) & ~(future[state] >> width)
        if missing and state not in ends and not bound_to_end:
            name = next(v.slot[1][0] for n, v in enumerate(counters) if missing >> n & 1)
            return Stuck(name, state, depths[state])
    return None


def _spread(exploration: Exploration, onward: dict[int, list[int]], marks: dict[int, int]) -> None:
    """Let every state know the marks of all states that it can reach."""
    order = list(exploration.parents)[::-1]
    changed = True
    while changed:
        changed = False
        for state in order:
            mark = marks[state]
            new = mark
            for target in onward.get(state, ()):
                new |= marks[target]
            if new != mark:
                marks[state] = new
                changed = True


def _final(exploration: Exploration) -> Callable[[int], object]:
    instance = exploration.instance
    ends: list[Term] = [instance.ends]
    if HALTED not in instance.constants:
        halted = next(v for v in instance.variables if v.slot == HALTED)
        world = terms.const(terms.Sort(terms.Kind.OBJECT, "World"), "world")
        field = terms.field(HALTED[0], halted.declaration.sort, (world,))
        ends.append(terms.negate(terms.equals(field, instance.initial_term(halted))))
    return judge(exploration.packing, [end for end in ends if end.op is not Op.CONST])


def _depths(exploration: Exploration) -> dict[int, int]:
    depths: dict[int, int] = {}
    for state, parent in exploration.parents.items():
        depths[state] = 0 if parent is None else depths[parent[0]] + 1
    return depths


def always_possible(
    exploration: Exploration, goal: Term, *, without: Callable[[int], bool] | None = None
) -> int | None:
    """The first state from which no continuation reaches ``goal``; None if it always stays possible.

    ``without`` names paths (by number) that nobody may count on, such as steps of the environment.
    Final states (panic, the scenario's end) are not held to it.
    """
    edges = _edges(exploration)
    reached = judge(exploration.packing, [goal])
    final = _final(exploration)
    marks: dict[int, int] = {}
    onward: dict[int, list[int]] = {}
    for state in exploration.parents:
        marks[state] = int(reached(state) is not None or final(state) is not None)
        onward[state] = [t for t, n in edges.get(state, ()) if without is None or not without(n)]
    _spread(exploration, onward, marks)
    return next((state for state, mark in marks.items() if not mark), None)


def path_to(exploration: Exploration, state: int) -> list[Action]:
    """The shortest run to a state."""
    return exploration.run_to(Hit(0, state, None, None))


def environment_paths(exploration: Exploration) -> Sequence[bool]:
    """For each path, whether it is a step that nobody may count on."""
    return [path.action.step.environment for path in exploration.instance.paths]
