"""Progress on the whole graph of reachable states: who may be kept from acting, what may go on for ever.

Fairness is strong, and only for actors that a property may count on: whoever can act again and again
acts in the end. Steps of the environment (I/O, foreign holders, allocators), and those of actors that
the property does not name as fair, may be left untaken for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from oom_spec.counting_on import Counted
from oom_spec.exploring import Exploration
from oom_spec.fairness import Rank, fair_parts
from oom_spec.generating import judge
from oom_spec.graphs import edges_of, final_states, find_stuck
from oom_spec.instances import HALTED, Check, Halt, Instance
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Graph, Property
from oom_spec.language.terms import Kind, Term
from oom_spec.lassos import Lasso
from oom_spec.ranking import NamedRank, Ranking, flaw
from oom_spec.stepping import Variable


@attrs.frozen(eq=False)
class Blocked:
    """An actor at work that cannot act, in the first such state."""

    actor: str
    state: int


def look_at_graph(exploration: Exploration, subject: Property) -> tuple[int, str] | None:
    """The nearest state that breaks a property about the graph, and in what way; None where it holds.

    Raises `SpecError` where the graph is not whole.
    """
    if subject.graph is Graph.STUCK:
        stuck = find_stuck(exploration)
        return None if stuck is None else (stuck.state, f"{stuck.actor} can never act again")
    if subject.graph is Graph.ALWAYS_ABLE:
        blocked = find_blocked(exploration, subject)
        return None if blocked is None else (blocked.state, f"{blocked.actor} is at work and cannot act")
    lasso = find_lasso(exploration, subject)
    if lasso is None:
        return None
    if not lasso.cycle:
        return lasso.state, "from there on nobody who may be counted on acts any more"
    return lasso.state, "from there on for ever: " + "; ".join(action.id for action in lasso.cycle)


def find_blocked(exploration: Exploration, subject: Property) -> Blocked | None:
    """The nearest state in which an actor of ``subject.actors``, not at rest, can take no step, against ``then``."""
    edges = edges_of(exploration)
    instance = exploration.instance
    final = final_states(exploration)
    acting = [path.action.actor for path in instance.paths]
    names = {kind.__name__ for kind in subject.actors}
    for variable in instance.variables:
        if not variable.declaration.program_counter or variable.declaration.owner not in names:
            continue
        actor = variable.slot[1][0]
        works = _at_work(exploration, variable)
        excused = judge(exploration.packing, [_holds_for(instance, subject, actor)])
        own = [each == actor for each in acting]
        for state in exploration.parents:
            if not works(state):
                continue
            for _, number in edges[state]:
                if own[number]:
                    break
            else:
                if excused(state) is None and final(state) is None:
                    return Blocked(actor, state)
    return None


def _holds_for(instance: Instance, subject: Property, actor: str) -> Term:
    found = [
        terms.disjoin(terms.negate(check.when), check.holds)
        for check in instance.invariants(subject)
        if not check.arguments or actor in check.arguments
    ]
    return terms.conjoin(*found)


def find_lasso(exploration: Exploration, subject: Property) -> Lasso | None:
    """A fair run that stays for ever where ``subject`` is not satisfied for some objects; None if there is none.

    The nearest such state is taken. Panic and the scenario's own end are no such runs. The cycle goes through a step
    of everybody who is counted on and can act on it; it is short, but need not be the shortest.
    """
    found = _search(exploration, subject, ranked=False)
    return found if isinstance(found, Lasso) else None


@attrs.frozen(eq=False)
class Ranked:
    """Why there is no fair run that waits for ever: for each of ``checks`` a ranking (`oom_spec.ranking`)."""

    checks: tuple[tuple[Check, Ranking], ...]

    @property
    def states(self) -> int:
        """How many states wait, over all checks."""
        return sum(len(ranking) for _, ranking in self.checks)


def judge_progress(exploration: Exploration, subject: Property) -> Lasso | Ranked:
    """The nearest fair run that waits for ever, or a ranking that says why there is none, for each of the objects.

    Raises `SpecError` where the graph is not whole, and where the ranking does not stand its test.
    """
    found = _search(exploration, subject, ranked=True)
    for check, ranking in () if isinstance(found, Lasso) else found.checks:
        wrong = flaw(exploration, check, ranking)
        if wrong is not None:
            raise SpecError(
                f"internal error: no fair run breaks {subject.id} in {exploration.instance.era.id}, scenario "
                f"{exploration.instance.scenario.id}, but its ranking is wrong: {wrong}; please report it"
            )
    return found


def _search(exploration: Exploration, subject: Property, *, ranked: bool) -> Lasso | Ranked:
    """The nearest lasso, or nothing but the rankings, where they are asked for."""
    edges_of(exploration)  # refuses a graph that is not whole
    counted = Counted(exploration, subject)
    lassos: list[tuple[int, _Waiting, list[int]]] = []
    rankings: list[tuple[Check, Ranking]] = []
    order: dict[int, int] = {}
    for check in exploration.instance.invariants(subject):
        waiting = _Waiting(exploration, counted, check)
        if not waiting.graph:
            continue
        ranks: dict[int, Rank] = {}
        parts = list(fair_parts(waiting.graph, waiting.able, ranks if ranked else None))
        if parts:
            order = order or {state: number for number, state in enumerate(exploration.parents)}
            nearest = min(parts, key=lambda part: min(order[s] for s in part))
            lassos.append((min(order[s] for s in nearest), waiting, nearest))
        elif ranked:
            rankings.append((check, _with_names(ranks, counted)))
    if not lassos:
        return Ranked(tuple(rankings))
    number, waiting, part = min(lassos, key=lambda each: each[0])
    return _lasso(exploration, counted, waiting, next(s for s in part if order[s] == number), set(part))


class _Waiting:
    """The part of a graph in which a property waits, for given objects."""

    def __init__(self, exploration: Exploration, counted: Counted, check: Check) -> None:
        edges = edges_of(exploration)
        final = final_states(exploration)
        self.pending = pending = judge(exploration.packing, [check.violated(strict=True)])
        # only a state without steps can be a proper end
        waiting = {s for s in exploration.parents if pending(s) is not None and (edges.get(s) or final(s) is None)}
        owed = counted.owed
        self.check = check
        self.graph: dict[int, list[tuple[int, int]]] = {}
        """For each state the steps that go on waiting: (target, bit of who is counted on)."""
        self.able: dict[int, int] = {}
        """For each state, who is counted on and can act."""
        for state in waiting:
            bits = 0
            for _, number in edges[state]:
                bits |= owed[number]
            self.graph[state] = [(target, owed[number]) for target, number in edges[state] if target in waiting]
            self.able[state] = bits & counted.at(state)


def _with_names(ranks: Mapping[int, Rank], counted: Counted) -> Ranking:
    known: dict[Rank, NamedRank] = {}
    named: dict[int, NamedRank] = {}
    for state, rank in ranks.items():
        if rank not in known:
            known[rank] = tuple((level, counted.named(bits)) for level, bits in rank)
        named[state] = known[rank]
    return named


def _lasso(exploration: Exploration, counted: Counted, waiting: _Waiting, first: int, members: set[int]) -> Lasso:
    """The lasso round the fair part ``members``, and the way out of it."""
    edges = edges_of(exploration)
    wanted = 0
    for state in members:
        wanted |= waiting.able[state]
    inside = {state: [step for step in edges[state] if step[0] in members] for state in members}
    walk: list[tuple[int, int]] = []  # (target, path)
    at = first
    while wanted:
        acting = {number for number, bit in enumerate(counted.owed) if bit & wanted}
        walk += _way([at], inside, lambda step, acting=acting: step[1] in acting)[1]  # type: ignore[misc]
        for _, number in walk:
            wanted &= ~counted.owed[number]
        at = walk[-1][0]
    if at != first or not walk:
        walk += _way([at], inside, lambda step: step[0] == first)[1]
    around = [first, *(target for target, _ in walk[:-1])]
    leaves, out = _way(around, edges, lambda step: waiting.pending(step[0]) is None)
    if not out:  # but perhaps to a proper end
        leaves, out = _way(around, edges, lambda step: step[0] not in waiting.graph)
    paths = exploration.instance.paths
    return Lasso(
        first,
        tuple(paths[number].action for _, number in walk),
        tuple(number for _, number in walk),
        waiting.check.arguments,
        around.index(leaves),
        tuple(paths[number].action for _, number in out),
    )


def _way(
    sources: Sequence[int],
    edges: Mapping[int, Sequence[tuple[int, int]]],
    wanted: Callable[[tuple[int, int]], bool],
) -> tuple[int, list[tuple[int, int]]]:
    """A shortest way from one of ``sources`` that ends with a ``wanted`` step, and where it begins; empty if none."""
    parents: dict[int, tuple[int, tuple[int, int]] | None] = dict.fromkeys(sources)
    level = list(parents)
    while level:
        following = []
        for state in level:
            for step in edges[state]:
                if wanted(step):
                    way, source = [step], state
                    while (before := parents[source]) is not None:
                        source, back = before
                        way.append(back)
                    return source, way[::-1]
                if step[0] not in parents:
                    parents[step[0]] = (state, step)
                    following.append(step[0])
        level = following
    return sources[0], []


def cut_open(exploration: Exploration) -> bool:
    """Whether a count leaves its range in some reachable state: what would come after it is not in the graph.

    A counter that only grows keeps a loop from closing, and must not be taken for progress.
    """
    instance = exploration.instance
    if HALTED in instance.constants:
        return False
    halted = next(v for v in instance.variables if v.slot == HALTED)
    field = terms.field(HALTED[0], halted.declaration.sort, (terms.const(terms.Sort(Kind.OBJECT, "World"), "world"),))
    value = instance.constant_term(halted, halted.values.index(Halt.COUNT_RANGE))
    out_of_range = judge(exploration.packing, [terms.equals(field, value)])
    return any(out_of_range(state) is not None for state in exploration.parents)


def something_happens(exploration: Exploration, subject: Property) -> bool:
    """Whether what a property about the graph speaks of happens in some reachable state.

    For one about actors: some of them is not at rest somewhere, and holds ``when``.
    """
    instance = exploration.instance
    when = judge(exploration.packing, [terms.disjoin(*(check.when for check in instance.invariants(subject)))])
    if subject.graph is Graph.FAIR:
        return any(when(state) is not None for state in exploration.parents)
    names = {kind.__name__ for kind in subject.actors}
    at_work = [
        _at_work(exploration, variable)
        for variable in instance.variables
        if variable.declaration.program_counter and (not names or variable.declaration.owner in names)
    ]
    return any(when(state) is not None and any(works(state) for works in at_work) for state in exploration.parents)


def _at_work(exploration: Exploration, counter: Variable) -> Callable[[int], bool]:
    """Tells whether the actor with this program counter is at work, not at rest, in a state."""
    rest = {code for code, value in enumerate(counter.values) if value in counter.declaration.rest}
    if counter.slot in exploration.instance.constants:
        always = counter.initial not in rest
        return lambda state: always
    offset, mask = exploration.packing.offsets[counter.slot], exploration.packing.mask(counter.slot)
    return lambda state: (state >> offset & mask) not in rest
