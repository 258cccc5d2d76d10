"""Questions that need the whole graph of reachable states: who is stuck, what stays possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from oom_spec.exploring import Exploration, Hit
from oom_spec.generating import judge
from oom_spec.instances import Action, Instance
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


def edges_of(exploration: Exploration) -> dict[int, list[tuple[int, int]]]:
    """The steps from each state. Raises `SpecError` where the graph is not whole."""
    if exploration.truncated or exploration.edges is None:
        raise SpecError("this question needs the whole graph: explore with keep_edges, and to the end")
    return exploration.edges


def _counters(exploration: Exploration) -> list[Variable]:
    return [v for v in exploration.instance.live if v.declaration.program_counter]


def _never_moves(instance: Instance) -> list[str]:
    """Actors that are at work from the start on and have no step at all."""
    acting = {path.action.actor for path in instance.paths}
    counters = (v for v in instance.variables if v.declaration.program_counter and v.slot in instance.constants)
    at_work = [v.slot[1][0] for v in counters if v.values[v.initial] not in v.declaration.rest]
    return [name for name in at_work if name not in acting]


def find_stuck(exploration: Exploration) -> Stuck | None:
    """The nearest state in which some actor, not at rest, can never act again.

    Panic, and the scenario's own end, are proper ends for everybody, but they must not hide what goes
    wrong beside them: a state is excused only if whoever brings the end about (a killer that is bound
    to pick the bystander, or to panic) cannot come to rest again without it.
    """
    edges = edges_of(exploration)
    packing = exploration.packing
    for actor in _never_moves(exploration.instance):
        return Stuck(actor, next(iter(exploration.parents)), 0)
    counters = _counters(exploration)
    width = len(counters)
    bits = {variable.slot[1][0]: 1 << number for number, variable in enumerate(counters)}
    everybody = (1 << width) - 1
    acting = [bits.get(path.action.actor, 0) for path in exploration.instance.paths]
    final = final_states(exploration)
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

    def rests(at: int) -> int:
        found = known[at] = sum(bit for offset, mask, codes, bit in resting if at >> offset & mask in codes)
        return found

    lowest = (1 << points) - 1  # program counters sit lowest
    # nobody acts in an end
    ends = {state for state, steps in edges.items() if not steps and final(state) is not None}

    def at_rest(state: int) -> int:
        at = state & lowest
        return known[at] if at in known else rests(at)

    if _everybody_goes_on(edges, acting, everybody, at_rest, ends):
        return None
    # for each state, from here on: who can act or rests, who comes to rest, who brings about an end
    future: dict[int, int] = {}
    for state in reversed(exploration.parents):
        if state in ends:
            future[state] = 0
            continue
        resting_now = at_rest(state)
        mark = resting_now | resting_now << width
        for target, number in edges[state]:
            mark |= acting[number]
            if target in ends:
                mark |= acting[number] << 2 * width
            elif target in future:  # a first sweep: most steps lead to deeper states
                mark |= future[target]
        future[state] = mark
    rest = _below_all(reversed(exploration.parents), future)
    _spread(rest, {state: [target for target, _ in edges[state]] for state in rest}, future)
    wrong = {mark for mark in set(future.values()) if everybody & ~mark and not (mark >> 2 * width) & ~(mark >> width)}
    for state in exploration.parents:
        if future[state] in wrong and state not in ends:
            missing = everybody & ~future[state]
            name = next(v.slot[1][0] for n, v in enumerate(counters) if missing >> n & 1)
            return Stuck(name, state, len(exploration.path_numbers(Hit(0, state, None, None))))
    return None


def _everybody_goes_on(
    edges: dict[int, list[tuple[int, int]]],
    acting: Sequence[int],
    everybody: int,
    at_rest: Callable[[int], int],
    ends: set[int],
) -> bool:
    """Whether from every state on each actor acts or rests some time: the usual case, and quickly seen.

    ``edges`` has the states in the order of their depth; most steps lead to deeper states.
    """
    future: dict[int, int] = {}
    left = []
    for state, steps in reversed(edges.items()):
        if state in ends:
            future[state] = 0
            continue
        mark = 0
        for target, number in steps:
            mark |= acting[number] | future.get(target, 0)
            if mark == everybody:
                break
        else:
            mark |= at_rest(state)
        future[state] = mark
        if mark != everybody:
            left.append(state)
    changed = True
    while left and changed:
        changed = False
        below = []
        for state in left:
            mark = future[state]
            for target, _ in edges[state]:
                mark |= future[target]
            if mark != future[state]:
                future[state] = mark
                changed = True
            if mark != everybody:
                below.append(state)
        left = below
    return not left


def _below_all(order: Iterable[int], marks: Mapping[int, int]) -> list[int]:
    """The states of ``order`` that lack a mark which some state has."""
    everything = 0
    for mark in set(marks.values()):
        everything |= mark
    return [state for state in order if marks[state] != everything]


def _spread(order: Iterable[int], onward: Mapping[int, Sequence[int]], marks: dict[int, int]) -> None:
    """Let every state know the marks of all states that it can reach; ``order`` has the deepest first."""
    waiting = _below_all(order, marks)
    changed = True
    while changed:
        changed = False
        for state in waiting:
            mark = marks[state]
            new = mark
            for target in onward.get(state, ()):
                new |= marks[target]
            if new != mark:
                marks[state] = new
                changed = True
        waiting = _below_all(waiting, marks) if changed else []


def final_states(exploration: Exploration) -> Callable[[int], object]:
    """Tells whether a state is a proper end: panic, another halt, or the scenario's own end."""
    return judge(exploration.packing, [end for end in ends_of(exploration.instance) if end.op is not Op.CONST])


def ends_of(instance: Instance) -> list[Term]:
    """The proper ends of all runs, as formulas: panic, another halt, and the scenario's own end."""
    ends: list[Term] = [instance.ends]
    if HALTED not in instance.constants:
        halted = next(v for v in instance.variables if v.slot == HALTED)
        world = terms.const(terms.Sort(terms.Kind.OBJECT, "World"), "world")
        field = terms.field(HALTED[0], halted.declaration.sort, (world,))
        ends.append(terms.negate(terms.equals(field, instance.initial_term(halted))))
    return ends


def always_possible(
    exploration: Exploration, goal: Term, *, without: Callable[[int], bool] | None = None
) -> int | None:
    """The first state from which no continuation reaches ``goal``; None if it always stays possible.

    ``without`` names paths (by number) that nobody may count on, such as steps of the environment.
    Final states (panic, the scenario's end) are not held to it.
    """
    edges = edges_of(exploration)
    reached = judge(exploration.packing, [goal])
    final = final_states(exploration)
    marks: dict[int, int] = {}
    onward: dict[int, list[int]] = {}
    for state in exploration.parents:
        marks[state] = int(reached(state) is not None or final(state) is not None)
        onward[state] = [t for t, n in edges.get(state, ()) if without is None or not without(n)]
    _spread(reversed(exploration.parents), onward, marks)
    return next((state for state, mark in marks.items() if not mark), None)


def path_to(exploration: Exploration, state: int) -> list[Action]:
    """The shortest run to a state."""
    return exploration.run_to(Hit(0, state, None, None))


def environment_paths(exploration: Exploration) -> Sequence[bool]:
    """For each path, whether it is a step that nobody may count on."""
    return [path.action.step.environment for path in exploration.instance.paths]
