"""A ranking: why no fair run of a graph waits for ever, in a form that can be checked step by step.

Each state in which a property still waits has a rank, pairs of a level and of actors that the property counts on (see
`oom_spec.fairness.Rank`). `flaw` looks at every state and every step of the graph again and knows nothing of strongly
connected parts:

1. some actor of a state's last pair can act there, and none of its earlier pairs can;
2. from the left, as far as the pairs have the same levels, a step is not one of the pair's actors, and they are the
   same actors; at the first difference the level falls.

Suppose a fair run waits for ever. Its first level never rises, so it is constant in the end, and the actors of the
first pair act no more. They are fair, so they are able only finitely often. From then on each state has a second pair,
of which the same holds, and so on; but ranks are of bounded length, and in each state an actor of the last pair can
act. So there is none. Nor does a run stop while it waits: in each state somebody who is counted on can act.
"""

from __future__ import annotations

from collections.abc import Mapping

from oom_spec.counting_on import counted_where, counts_on, who
from oom_spec.exploring import Exploration
from oom_spec.generating import judge
from oom_spec.graphs import edges_of, final_states
from oom_spec.instances import Check
from oom_spec.language import terms
from oom_spec.language.terms import Term

NamedRank = tuple[tuple[int, frozenset[str]], ...]
Ranking = Mapping[int, NamedRank]
"""For each state that waits: levels, each with the actors whose steps lower it."""


def flaw(exploration: Exploration, check: Check, ranking: Ranking) -> str | None:
    """What is wrong with ``ranking`` as a proof that no fair run waits for ever on ``check``; None: nothing."""
    instance, subject = exploration.instance, check.property
    edges = edges_of(exploration)
    final = final_states(exploration)
    waits = judge(exploration.packing, [check.violated(strict=True)])
    actors: list[str] = []
    where: dict[str, Term] = {}
    for path in instance.paths:
        name, counted = who(path.action), counts_on(subject, path.action.step)
        if counted and name not in where:
            where[name] = counted_where(instance, subject, path.action)
        actors.append(name if counted and where[name] is not terms.FALSE else "")
    not_always = {name: formula for name, formula in where.items() if formula is not terms.TRUE}
    only_where = {name: judge(exploration.packing, [formula]) for name, formula in not_always.items()}
    for state in exploration.parents:
        if waits(state) is None or (not edges[state] and final(state) is not None):
            continue
        rank = ranking.get(state)
        if not rank:
            return "a state that waits has no rank"
        able = {actors[number] for _, number in edges[state]}
        able -= {name for name in able if not name or (name in only_where and only_where[name](state) is None)}
        if able.isdisjoint(rank[-1][1]):
            return "nobody of a last pair can act"
        if any(not able.isdisjoint(names) for _, names in rank[:-1]):
            return "somebody of an earlier pair can act"
        for target, number in edges[state]:
            after = ranking.get(target)  # a state that has none and waits is found out on its own
            if after and after[0][0] >= rank[0][0] and (wrong := _compare(rank, after, actors[number])):
                return f"{wrong}, at {instance.paths[number].action.id}"
    return None


def _compare(before: NamedRank, after: NamedRank, actor: str) -> str:
    """What is wrong with a step of ``actor`` between states of these ranks; empty: nothing."""
    for (level, helpful), (then, others) in zip(before, after, strict=False):
        if then != level:
            return "" if then < level else "a level rises"
        if helpful != others:
            return "one level has two sets of actors"
        if actor in helpful:
            return f"{actor} acts and lowers no level"
    return ""


__all__ = ["NamedRank", "Ranking", "flaw"]
