"""Where a world of any size starts: every object with the values that some scenario starts it with.

So what is proved of all these starts holds in every scenario, and in worlds that mix their objects.
Counts that some scenario starts above 0 may start at any number.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

from oom_spec.language import terms
from oom_spec.language.objects import Field, Object, fields_declared
from oom_spec.language.terms import Kind, Op, Sort, Term, Value
from oom_spec.scenarios import SCENARIOS
from oom_spec.stepping import layout
from oom_spec.unbounded.grounding import Universe
from oom_spec.unbounded.opening import object_of

FRESH = "Task$"
"""How the tasks are called that a lemma speaks of: of these alone it is said that their groups have a leader."""


def starting_values() -> dict[str, tuple[Value, ...]]:
    """For each field the values that it starts with in some scenario, as terms hold them."""
    return _starting_values(fields_declared())


@cache
def _starting_values(fields: int) -> dict[str, tuple[Value, ...]]:
    """``fields``: how many are declared."""
    found: dict[str, dict[Value, None]] = {}
    for scenario in SCENARIOS:
        if scenario.starts_after is not None:
            continue
        for variable in layout(scenario):
            value = variable.values[variable.initial]
            assert value is None or isinstance(value, (Enum, bool, int, str))
            plain = value.name if isinstance(value, Enum) else value
            found.setdefault(variable.declaration.qualified, {})[plain] = None
    return {name: tuple(values) for name, values in found.items()}


def starts(universe: Universe) -> list[Term]:
    """What holds of the objects of ``universe`` at the start; quantifiers are left in it."""
    found = []
    for kind in list(universe.objects):
        for subject in universe.of(kind):
            for declared in Object.classes[kind].fields.values():
                owners: list[tuple[Term, ...]] = [(subject,)]
                if declared.index is not None:
                    owners = [(subject, other) for other in universe.of(declared.index)]
                found += [_starts(declared, owner) for owner in owners]
            if kind == "Mm":
                found += _memory(subject)
    found += _one_place(universe)
    found += _fresh_children(universe)
    found += _lasting_init(universe)
    found += [_led(each) for each in universe.of("Task") if str(each.payload).startswith(FRESH)]
    return [each for each in found if each is not terms.TRUE]


def field_term(declared: Field[object], owners: tuple[Term, ...]) -> Term:
    """The value of a field, as open steps read it."""
    upto = declared.upto if isinstance(declared.upto, int) else None
    return terms.field(declared.qualified, declared.sort, owners, upto)


def _starts(declared: Field[object], owners: tuple[Term, ...]) -> Term:
    values = starting_values()[declared.qualified]
    term = field_term(declared, owners)
    if declared.sort.kind is Kind.COUNT:
        return terms.negate(terms.at_least(term, 1)) if values == (0,) else terms.TRUE
    return terms.disjoin(*(terms.equals(term, terms.const(declared.sort, value)) for value in values))


def _memory(mm: Term) -> list[Term]:
    """Nothing to unmap means no pages; no VMAs mean nothing to unmap, unless a fork is to build them.

    Mlocked pages start in a locked VMA.
    """
    fields = Object.classes["Mm"].fields

    def none_of(name: str) -> Term:
        return terms.negate(terms.at_least(field_term(fields[name], (mm,)), 1))

    def children() -> Term:
        forker = terms.bound(Sort(Kind.OBJECT, "Fork"), 0)
        child = terms.static("Fork.child", mm.sort, forker)
        return terms.quantify(Op.SOME, forker.sort, 0, terms.equals(child, mm))

    has_none = terms.equals(field_term(fields["vmas"], (mm,)), terms.const(fields["vmas"].sort, "NEVER"))
    empty = terms.conjoin(*(none_of(name) for name in ("reapable", "mlocked", "unreapable")))
    return [
        terms.disjoin(terms.negate(field_term(fields["unmapped"], (mm,))), empty),
        terms.disjoin(terms.negate(has_none), field_term(fields["unmapped"], (mm,)), children()),
        terms.disjoin(field_term(fields["vm_locked"], (mm,)), none_of("mlocked")),
    ]


def _one_place(universe: Universe) -> list[Term]:
    """A thread allocates in one context at a time."""
    attribute = Object.classes["Killer"].statics["current"]
    nobody = terms.const(attribute.sort, None)
    killers = universe.of("Killer")
    found = []
    for number, one in enumerate(killers):
        for other in killers[:number]:
            mine, others = (object_of(attribute.sort.name, f"{each.payload}.current") for each in (one, other))
            same = terms.conjoin(terms.equals(mine, others), terms.negate(terms.equals(mine, nobody)))
            found.append(terms.disjoin(terms.negate(same), terms.equals(one, other)))
    return found


def _lasting_init(universe: Universe) -> list[Term]:
    """Global init neither exits nor is killed: the kernel panics instead."""
    declared = Object.classes["Process"]
    found = []
    for owner in universe.of("Process"):
        is_init, may_exit = (
            terms.static(f"Process.{name}", declared.statics[name].sort, owner) for name in ("global_init", "may_exit")
        )
        goes = terms.disjoin(may_exit, field_term(declared.fields["sigkill"], (owner,)))
        found.append(terms.negate(terms.conjoin(is_init, goes)))
    return found


def _led(task: Term) -> Term:
    """Each thread group has its leader on the task list."""
    declared = Object.classes["Task"]
    leader = terms.bound(task.sort, 0)
    same = terms.equals(_process(leader), _process(task))
    leads = terms.static("Task.leader", declared.statics["leader"].sort, leader)
    listed = field_term(declared.fields["hashed"], (leader,))
    return terms.quantify(Op.SOME, task.sort, 0, terms.conjoin(same, leads, listed))


def _process(task: Term) -> Term:
    attribute = Object.classes["Task"].statics["process"]
    return terms.static("Task.process", attribute.sort, task)


def _fresh_children(universe: Universe) -> list[Term]:
    """The mm that a fork builds has no VMA, user or scanner yet; nobody is to fault on it, nor is it any other's."""
    fields = Object.classes["Mm"].fields
    forks = universe.of("Fork")
    found = []
    for number, fork in enumerate(forks):
        child = object_of("Mm", f"{fork.payload}.child")
        found += [
            terms.equals(field_term(fields[name], (child,)), terms.const(fields[name].sort, value))
            for name, value in (("vmas", "NEVER"), ("scanner", "ABSENT"))
        ]
        found.append(terms.negate(terms.at_least(field_term(fields["foreign_users"], (child,)), 1)))
        found += [
            terms.negate(terms.equals(object_of("Mm", f"{other.payload}.mm"), child))
            for kind in ("Process", "Fault")
            for other in universe.of(kind)
        ]
        for other in forks[:number]:
            same = terms.equals(object_of("Mm", f"{other.payload}.child"), child)
            found.append(terms.disjoin(terms.negate(same), terms.equals(fork, other)))
    return found
