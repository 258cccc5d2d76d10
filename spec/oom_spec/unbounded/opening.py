"""Open lifting: a step's paths for any objects of a world of any size.

The objects of a step are names: ``Task1`` for its first thread, ``Task1.process.mm`` for what that
thread's fixed attributes lead to, ``Reaper->job`` for what a reference leads to. Two names may stand
for one object, so nothing is decided by comparing them. A world has one `World` and one `Reaper`.
Counts have no upper bound but the limits that steps ask for (`full`), which are some numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from oom_spec.language import terms
from oom_spec.language.errors import CountRange, MisuseError
from oom_spec.language.objects import Field, Object, Static
from oom_spec.language.steps import Step, World
from oom_spec.language.symbolic import Symbol, to_term
from oom_spec.language.terms import Kind, Op, Sort, Structure, Term
from oom_spec.lifting import Path, SymbolicStore, lift_formula, lift_step

SINGLE: Mapping[str, str] = {"World": "world", "Reaper": "reaper"}
"""Classes with one object in every world, and its name."""

OPTIONAL = frozenset({"Killer.current"})
"""Fixed attributes that may lead nowhere."""


class OpenStore(SymbolicStore):
    """The store behind handles of objects of a world of any size."""

    def __init__(self) -> None:
        super().__init__(Structure({}, {}), {})

    def given(self, kind: str, name: str) -> Term:
        """A named object; the one object of its class, where there is only one."""
        return object_of(kind, name)

    def upto(self, declaration: Field[Any]) -> int | None:
        """Counts that the scenario bounds have no bound here."""
        return declaration.upto if isinstance(declaration.upto, int) else None

    def full(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """Whether the count is at the limit of its name, a number that is the same everywhere."""
        limit = terms.static(f"limit.{declaration.upto}", terms.COUNT, object_of("World", "world"))
        count = to_term(self.read(declaration, owners), terms.COUNT)
        return Symbol(terms.equals(count, limit), self)

    def static(self, declaration: Static[Any], owner: Term) -> object:
        """A fixed attribute, by name."""
        if declaration.sort.kind is not Kind.OBJECT:
            return Symbol(terms.static(declaration.qualified, declaration.sort, owner), self)
        kind = Object.classes[declaration.sort.name]
        if owner.op in (Op.NAMED, Op.CONST):
            return self.handle(kind, object_of(declaration.sort.name, f"{owner.payload}.{declaration.name}"))
        return self.handle(kind, terms.static(declaration.qualified, declaration.sort, owner))

    def _in_range(self, declaration: Field[Any], value: object) -> Term:
        term = to_term(value, declaration.sort)
        if declaration.upto is not None and not self.decide(terms.at_least(term, 0)):
            raise CountRange(declaration.qualified)
        return super()._in_range(declaration, value)


def object_of(kind: str, name: str) -> Term:
    """The term of an object, by the name of its class and its own."""
    sort = Sort(Kind.OBJECT, kind)
    if kind in SINGLE:
        return terms.const(sort, SINGLE[kind])
    return terms.named(sort, name)


def owner_of(term: Term) -> tuple[Term | None, str]:
    """What a name leads from, and by what: (``Task1``, ``Task.process``), (``reaper``, ``Reaper.job->``).

    A name that leads from nothing has no owner, and stands for itself.
    """
    name = str(term.payload)
    dot, arrow = name.rfind("."), name.rfind("->")
    if max(dot, arrow) < 0:
        return None, name
    owner, attribute = (name[:dot], name[dot + 1 :]) if dot > arrow else (name[:arrow], name[arrow + 2 :] + "->")
    kind = class_of(owner)
    return object_of(kind, owner), f"{kind}.{attribute}"


def class_of(name: str) -> str:
    """The class of the object with this name."""
    dot, arrow = name.rfind("."), name.rfind("->")
    if max(dot, arrow) < 0:
        single = {given: kind for kind, given in SINGLE.items()}
        return single.get(name) or re.split(r"[\d!$]", name, maxsplit=1)[0]
    if dot > arrow:
        return Object.classes[class_of(name[:dot])].statics[name[dot + 1 :]].sort.name
    return str(Object.classes[class_of(name[:arrow])].fields[name[arrow + 2 :]].target)


def parameters_of(declared: Step) -> dict[str, str]:
    """The canonical name of the object for each parameter: ``Task1``, ``Task2``, ``Mm1``."""
    used: dict[str, int] = {}
    found = {}
    for name, kind in declared.parameters:
        used[kind.__name__] = used.get(kind.__name__, 0) + 1
        found[name] = f"{kind.__name__}{used[kind.__name__]}"
    return found


@cache
def open_step(declared: Step) -> tuple[Path, ...]:
    """The paths of a step for any objects. Raises `MisuseError` where the step depends on the size of its world."""
    return lift_step(declared, parameters_of(declared), OpenStore())


def open_formula(formula: Callable[..., bool], over: tuple[type[Object], ...]) -> Term:
    """``formula`` of the world and of all objects of the classes ``over``: one closed term."""
    store = OpenStore()
    sorts = [Sort(Kind.OBJECT, kind.__name__) for kind in over]
    store.levels = len(over)
    subjects = [
        store.handle(kind, terms.bound(sort, level)) for level, (kind, sort) in enumerate(zip(over, sorts, strict=True))
    ]
    term = lift_formula(formula, (store.handle(World, object_of("World", "world")), *subjects), store)
    for level in reversed(range(len(over))):
        term = terms.quantify(Op.EVERY, sorts[level], level, term)
    return term


def open_condition(formula: Callable[..., bool], arguments: tuple[object, ...]) -> Term:
    """``formula`` of the world and of given arguments: names of objects as terms, enum members, constants."""
    store = OpenStore()
    given: list[object] = []
    for argument in arguments:
        if isinstance(argument, Term):
            given.append(store.handle(Object.classes[argument.sort.name], argument))
        else:
            given.append(argument)
    return lift_formula(formula, (store.handle(World, object_of("World", "world")), *given), store)


def never_all(literals: Iterable[Term]) -> Term:
    """That no objects, for the names in ``literals``, make all of them true: one closed term.

    A literal that speaks of what an optional attribute leads to is true only where it leads somewhere; one that says
    whether it does is taken at its word.
    """
    said = list(literals)
    given = {leaf.key: leaf for each in said for leaf in terms.leaves(each, Op.STATIC) if leaf.payload in OPTIONAL}
    nowhere = (terms.equals(leaf, terms.const(leaf.sort, None)) for leaf in given.values())
    there = (terms.negate(each) for each in nowhere if each not in said)
    body = terms.negate(terms.conjoin(*there, *said))
    names: dict[str, Term] = {}
    for leaf in terms.leaves(body, Op.NAMED):
        names.setdefault(str(leaf.payload), leaf)
    level = {name: number for number, name in enumerate(names)}

    def lift(part: Term) -> Term | None:
        if part.op is Op.NAMED:
            return terms.bound(part.sort, level[str(part.payload)])
        if part.op in (Op.BOUND, Op.EVERY, Op.SOME):
            assert isinstance(part.payload, int)
            inner = part.payload + len(names)
            if part.op is Op.BOUND:
                return terms.bound(part.sort, inner)
            return terms.quantify(part.op, part.args[0].sort, inner, terms.rebuild(part.args[1], lift, {}))
        return None

    closed = terms.rebuild(body, lift, {})
    for number, leaf in reversed(list(enumerate(names.values()))):
        closed = terms.quantify(Op.EVERY, leaf.sort, number, closed)
    return closed


__all__ = ["MisuseError", "OpenStore", "never_all", "open_condition", "open_formula", "open_step", "parameters_of"]
