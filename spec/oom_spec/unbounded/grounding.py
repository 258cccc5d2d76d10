"""Ground obligations: the finitely many facts that an inductive step needs, for worlds of any size.

Objects of an obligation are those that the step is run for, one fresh object for each that the lemma
speaks of, one witness for each "some" that is known to hold, and all that fixed attributes and
references of these lead to. Two of them may be the same: the solver decides. What is known of all
objects is assumed for these only, which can but weaken the assumptions: an obligation that holds so
holds in a world of any size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.objects import Object
from oom_spec.language.terms import BOOL, Kind, Op, Sort, Term, Value
from oom_spec.lifting import Path
from oom_spec.unbounded.opening import SINGLE, class_of, object_of

ROUNDS = 4
"""How often witnesses that are found late are looked at again; what is then left out only weakens the assumptions."""


class Universe:
    """The objects of an obligation, by class, in the order in which they came up."""

    def __init__(self, absent: Collection[str] = ()) -> None:
        """``absent`` has the classes of which there are no objects."""
        self.absent = absent
        self.objects: dict[str, dict[str, Term]] = {}
        self.count = 0
        for kind, name in SINGLE.items():
            self.add(object_of(kind, name))

    def add(self, found: Term) -> None:
        """An object, and all that it leads to."""
        kind, name = found.sort.name, str(found.payload)
        known = self.objects.setdefault(kind, {})
        if name in known:
            return
        known[name] = found
        self.count += 1
        declared = Object.classes[kind]
        for attribute in declared.statics.values():
            if attribute.sort.kind is Kind.OBJECT:
                self.add(object_of(attribute.sort.name, f"{name}.{attribute.name}"))
        for each in declared.fields.values():
            if each.target is not None and each.index is None:
                self.add(object_of(each.target, f"{name}->{each.name}"))

    def of(self, kind: str) -> list[Term]:
        """All objects of a class."""
        return list(self.objects.get(kind, {}).values())


class Frozen(Universe):
    """The objects of another universe as they are now; those that are added are only remembered."""

    def __init__(self, other: Universe) -> None:
        self.met: list[Term] = []
        self.absent = other.absent
        self.objects = {kind: dict(known) for kind, known in other.objects.items()}
        self.count = other.count

    def add(self, found: Term) -> None:
        """Remember an object."""
        self.met.append(found)


def absent_classes(era: Era) -> frozenset[str]:
    """The classes of which an era has no objects: none of its steps is about one."""
    present = {kind.__name__ for declared in era.steps for _, kind in declared.parameters}
    present |= {kind for kind in Object.classes if kind in {"World", "Mm", "Process", "Task"}}
    return frozenset(Object.classes) - present


def add_objects_of(term: Term, universe: Universe) -> None:
    """All objects that a term names."""
    for leaf in terms.leaves(term, Op.NAMED):
        universe.add(leaf)


def objects_of_step(path: Path, absent: Collection[str] = ()) -> Universe:
    """The objects that a step reads in its guards or assigns."""
    universe = Universe(absent)
    for term in (*path.site, *path.condition):
        add_objects_of(term, universe)
    for _, owners in path.updates:
        for owner in owners:
            universe.add(object_of(class_of(owner), owner))
    return universe


class Grounding:
    """One obligation under construction: its universe and the witnesses made so far."""

    def __init__(self, universe: Universe, first: int = 1) -> None:
        """Witnesses are numbered from ``first`` on."""
        self.universe = universe
        self.witnesses: dict[tuple[int, tuple[str, ...]], Term] = {}
        self.first = first
        self.numbers: dict[str, int] = {}
        self.free: set[Value] = set()

    def witness(self, key: tuple[int, tuple[str, ...]], sort: Sort, *, joins: bool) -> Term:
        """The object that a "some" is true of; unless it ``joins`` the universe, nothing else is assumed of it."""
        found = self.witnesses.get(key)
        if found is None:
            if sort.name in SINGLE:
                found = object_of(sort.name, "")
            else:
                number = self.numbers[sort.name] = self.numbers.get(sort.name, self.first - 1) + 1
                found = object_of(sort.name, f"{sort.name}!{number}")
            self.witnesses[key] = found
            if joins:
                self.universe.add(found)
        return found

    def ground(self, term: Term, positive: bool = True, bindings: Mapping[Value, Term] | None = None) -> Term:
        """What ``term`` (or its negation) says of the objects at hand, in negation normal form."""
        self.free = set(bindings or {})
        return self._ground(term, positive, bindings or {})

    def _ground(self, term: Term, positive: bool, bindings: Mapping[Value, Term]) -> Term:
        op = term.op
        if op is Op.NOT:
            return self._ground(term.args[0], not positive, bindings)
        if op is Op.AND or op is Op.OR:
            parts = (self._ground(arg, positive, bindings) for arg in term.args)
            return terms.conjoin(*parts) if (op is Op.AND) == positive else terms.disjoin(*parts)
        if op is Op.EVERY or op is Op.SOME:
            return self._quantified(term, positive, bindings)
        if op is Op.ITE:
            condition, yes, no = term.args
            return terms.disjoin(
                terms.conjoin(self._ground(condition, True, bindings), self._ground(yes, positive, bindings)),
                terms.conjoin(self._ground(condition, False, bindings), self._ground(no, positive, bindings)),
            )
        if op is Op.EQ and term.args[0].sort == BOOL and has_quantifier(term):
            left, right = term.args
            sides = (
                terms.conjoin(self._ground(left, True, bindings), self._ground(right, positive, bindings)),
                terms.conjoin(self._ground(left, False, bindings), self._ground(right, not positive, bindings)),
            )
            return terms.disjoin(*sides)
        if has_quantifier(term):
            raise SpecError(f"internal error: a quantifier inside a value: {term}")
        atom = substitute(term, bindings)
        return atom if positive else terms.negate(atom)

    def _quantified(self, term: Term, positive: bool, bindings: Mapping[Value, Term]) -> Term:
        variable, body = term.args
        if variable.sort.name in self.universe.absent:
            return terms.boolean((term.op is Op.EVERY) == positive)
        if (term.op is Op.EVERY) == positive:
            parts = (
                self._ground(body, positive, {**bindings, term.payload: each})
                for each in self.universe.of(variable.sort.name)
            )
            return terms.conjoin(*parts)
        key = (term.key, tuple(f"{level}={each.payload}" for level, each in sorted(bindings.items(), key=str)))
        witness = self.witness(key, variable.sort, joins=self.free.issuperset(bindings))
        self.free.add(term.payload)
        found = self._ground(body, positive, {**bindings, term.payload: witness})
        self.free.discard(term.payload)
        return found


_quantified: dict[int, bool] = {}


def has_quantifier(term: Term) -> bool:
    """Whether a term speaks of all or some objects."""
    found = _quantified.get(term.key)
    if found is None:
        found = term.op in (Op.EVERY, Op.SOME) or any(map(has_quantifier, term.args))
        _quantified[term.key] = found
    return found


_substituted: dict[tuple[object, ...], Term] = {}
MOST_SUBSTITUTED = 500_000
"""Results of `substitute` that are kept."""


def substitute(term: Term, bindings: Mapping[Value, Term]) -> Term:
    """``term`` with objects in place of bound ones; attributes of named objects are names again."""
    key = (term.key, *((level, each.key) for level, each in bindings.items()))
    found = _substituted.get(key)
    if found is None:
        if len(_substituted) >= MOST_SUBSTITUTED:
            _substituted.clear()
        found = _substituted[key] = _substitute(term, bindings)
    return found


def _substitute(term: Term, bindings: Mapping[Value, Term]) -> Term:

    def leaf(part: Term) -> Term | None:
        if part.op is Op.BOUND:
            return bindings.get(part.payload)
        if part.op is Op.STATIC:
            owner = terms.rebuild(part.args[0], leaf, {})
            if owner.op not in (Op.NAMED, Op.CONST):
                return terms.static(str(part.payload), part.sort, owner)
            if part.sort.kind is Kind.OBJECT:
                return object_of(part.sort.name, f"{owner.payload}.{str(part.payload).split('.')[1]}")
            return terms.static(str(part.payload), part.sort, owner)
        return None

    return terms.rebuild(term, leaf, {})


def after(term: Term, path: Path) -> Term:
    """What ``term`` says after the step, in terms of the state before it."""
    writes: dict[str, list[tuple[tuple[str, ...], Term]]] = {}
    for (name, targets), value in path.updates.items():
        writes.setdefault(name, []).append((targets, value))
    fills: dict[str, list[tuple[str, Term]]] = {}
    for declaration, owner, value in path.fills:
        fills.setdefault(declaration.qualified, []).append((owner, value))

    memo: dict[int, Term] = {}

    def leaf(part: Term) -> Term | None:
        if part.op is not Op.FIELD:
            return part if part.op is Op.STATIC else None
        name = str(part.payload)
        found = part
        for filled, value in fills.get(name, ()):
            same = terms.equals(part.args[0], object_of(part.args[0].sort.name, filled))
            found = terms.choose(same, value, found)
        for targets, value in writes.get(name, ()):
            same = terms.conjoin(
                *(
                    terms.equals(owner, object_of(owner.sort.name, target))
                    for owner, target in zip(part.args, targets, strict=True)
                )
            )
            found = terms.choose(same, value, found)
        return found

    return terms.rebuild(term, leaf, memo)


def fields_of(term: Term) -> frozenset[str]:
    """The fields that a term reads."""
    return frozenset(str(leaf.payload) for leaf in terms.leaves(term, Op.FIELD))


def written_by(path: Path) -> frozenset[str]:
    """The fields that a path assigns."""
    return frozenset([*(name for name, _ in path.updates), *(d.qualified for d, _, _ in path.fills)])


def prefix(lemma: Term) -> tuple[list[tuple[Value, str]], Term]:
    """The objects that a lemma about all of them speaks of, as (level, class), and its body."""
    variables: list[tuple[Value, str]] = []
    while lemma.op is Op.EVERY:
        variables.append((lemma.payload, lemma.args[0].sort.name))
        lemma = lemma.args[1]
    return variables, lemma


def opened(lemma: Term) -> tuple[Term, dict[Value, Term]]:
    """The body of a lemma about all objects, and a fresh object for each that it speaks of."""
    variables, body = prefix(lemma)
    bindings: dict[Value, Term] = {}
    numbers: dict[str, int] = {}
    for level, kind in variables:
        numbers[kind] = numbers.get(kind, 0) + 1
        bindings[level] = object_of(kind, f"{kind}${numbers[kind]}")
    return body, bindings
