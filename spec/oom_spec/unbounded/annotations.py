"""Annotations: candidates for lemmas, read off the reachable states of small worlds.

An annotation says what holds while a routine stands at given points, of its own object or of one that
it is linked to: "while the reaper stands at ZAP, its job's mm has MMF_UNSTABLE". What small worlds show
is only a guess about large ones: each annotation has to be proved there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

import attrs

from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import terms
from oom_spec.language.objects import Field, Object
from oom_spec.language.terms import Kind, Op, Sort, Term
from oom_spec.lifting import declaration_of
from oom_spec.packing import Packing
from oom_spec.stepping import Variable
from oom_spec.unbounded.opening import SINGLE, object_of
from oom_spec.unbounded.start import field_term

SOME, ZERO, SET, NOBODY = "some", "0", "set", "none"
"""Counts and references are told apart no further than this."""


@attrs.frozen
class Link:
    """How one leads from an object to another: by fixed attributes, after a reference if ``first`` names one."""

    source: str
    first: str = ""
    attributes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The class that it leads to."""
        kind = self.source
        if self.first:
            kind = str(Object.classes[kind].fields[self.first].target)
        for name in self.attributes:
            kind = Object.classes[kind].statics[name].sort.name
        return kind

    def __str__(self) -> str:
        return ".".join([self.source.lower(), *([self.first] if self.first else []), *self.attributes])


LINKS = (
    *(Link(kind) for kind in ("Mm", "Task", "Process", "Reaper", "Killer", "Mrelease", "Fault", "Walker", "Fork")),
    Link("Task", attributes=("process",)),
    Link("Task", attributes=("process", "mm")),
    *(
        Link(source, first, attributes)
        for source, first in (("Reaper", "job"), ("Killer", "victim"))
        for attributes in ((), ("process",), ("process", "mm"))
    ),
    Link("Mrelease", "found"),
    Link("Mrelease", attributes=("target",)),
    Link("Mrelease", attributes=("target", "mm")),
    Link("Fault", attributes=("mm",)),
    Link("Walker", attributes=("mm",)),
    Link("Fork", attributes=("child",)),
)
"""Between which objects annotations are looked for."""


@attrs.frozen
class Annotation:
    """While ``field`` has one of ``values``, ``other`` of the linked object has one of ``then``."""

    link: Link
    field: str
    values: tuple[str, ...]
    other: str
    then: tuple[str, ...]
    backwards: bool = False
    """``field`` belongs to the object that the link leads to, and ``other`` to the one that it starts from."""

    @property
    def statement(self) -> str:
        """One sentence."""
        here, there = (str(self.link), self.link.source.lower()) if self.backwards else (self.link.source.lower(), "")
        there = there or str(self.link)
        one, two = self.field.split(".")[1], self.other.split(".")[1]
        condition = f"While {here}.{one} is {_any_of(self.values)}, " if self.values else ""
        return f"{condition}{there}.{two} is {_any_of(self.then)}."

    @property
    def formula(self) -> Term:
        """One closed term about all objects."""
        quantified: list[Sort] = []

        def some_object(kind: str) -> Term:
            if kind in SINGLE:
                return object_of(kind, "")
            quantified.append(Sort(Kind.OBJECT, kind))
            return terms.bound(quantified[-1], len(quantified) - 1)

        start = current = some_object(self.link.source)
        linked = terms.TRUE
        if self.link.first:
            reference = Object.classes[self.link.source].fields[self.link.first]
            current = some_object(str(reference.target))
            linked = terms.equals(field_term(reference, (start,)), current)
        for name in self.link.attributes:
            attribute = Object.classes[current.sort.name].statics[name]
            current = terms.static(attribute.qualified, attribute.sort, current)
        here, there = (current, start) if self.backwards else (start, current)
        body = terms.disjoin(
            terms.negate(linked),
            terms.negate(_is_one_of(self.field, here, self.values)) if self.values else terms.FALSE,
            _is_one_of(self.other, there, self.then),
        )
        for level in reversed(range(len(quantified))):
            body = terms.quantify(Op.EVERY, quantified[level], level, body)
        return body


def _any_of(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else ", ".join(values[:-1]) + " or " + values[-1]


def _is_one_of(qualified: str, owner: Term, values: Iterable[str]) -> Term:
    declared = declaration_of(qualified)
    term = field_term(declared, (owner,))

    def one(value: str) -> Term:
        kind = declared.sort.kind
        if kind is Kind.BOOL:
            return term if value == "true" else terms.negate(term)
        if kind is Kind.COUNT:
            return terms.at_least(term, 1) if value == SOME else terms.negate(terms.at_least(term, 1))
        if kind is Kind.OBJECT:
            nobody = terms.equals(term, terms.const(declared.sort, None))
            return nobody if value == NOBODY else terms.negate(nobody)
        return terms.equals(term, terms.const(declared.sort, value))

    return terms.disjoin(*map(one, values))


def _label(declared: Field[object], value: object) -> str:
    kind = declared.sort.kind
    if kind is Kind.COUNT:
        return SOME if value else ZERO
    if kind is Kind.OBJECT:
        return NOBODY if value is None else SET
    return value.name if isinstance(value, Enum) else str(value).lower()


class Observations:
    """Which values of which fields were seen together."""

    def __init__(self) -> None:
        self.together: dict[tuple[Link, str, str], set[tuple[str, str]]] = {}
        """For (link, field of its start, field of its end) the pairs of values."""
        self.seen: dict[str, set[str]] = {}

    def look_at(self, exploration: Exploration) -> None:
        """Add what the reachable states of an exploration show."""
        objects = exploration.instance.structure.objects
        for link in LINKS:
            for source in objects.get(link.source, ()):
                for target, condition in _targets(exploration.instance, link, source):
                    self._look(exploration, link, source, target, condition)

    def _look(
        self, exploration: Exploration, link: Link, source: str, target: str, condition: tuple[Variable, int] | None
    ) -> None:
        packing = exploration.packing
        near, far = _readers(exploration, link.source, source), _readers(exploration, link.target, target)
        mask = 0
        for _, _, part in (*near, *far):
            mask |= part
        test = -1
        if condition is not None:
            variable, test = condition
            offset, width = packing.offsets[variable.slot], packing.mask(variable.slot)
            mask |= width << offset
        for state in {each & mask for each in exploration.parents}:
            if condition is not None and state >> offset & width != test:
                continue
            here = [(name, read(state)) for name, read, _ in near]
            there = here if (source, link) == (target, Link(link.source)) else [(n, read(state)) for n, read, _ in far]
            for name, value in (*here, *there):
                self.seen.setdefault(name, set()).add(value)
            for name, value in here:
                for other, beyond in there:
                    if name != other and (_is_counter(name) or _is_counter(other)):
                        self.together.setdefault((link, name, other), set()).add((value, beyond))

    def annotations(self) -> Iterator[Annotation]:
        """What always held, put as generally as that allows."""
        for (link, name, other), pairs in self.together.items():
            yield from self._implied(link, name, other, pairs, backwards=False)
            if link.first or link.attributes:
                yield from self._implied(link, other, name, {(two, one) for one, two in pairs}, backwards=True)
        for name, values in self.seen.items():
            found = Annotation(Link(name.split(".")[0]), name, (), name, tuple(sorted(values)))
            if found.formula is not terms.TRUE:
                yield found

    def _implied(
        self, link: Link, name: str, other: str, pairs: set[tuple[str, str]], *, backwards: bool
    ) -> Iterator[Annotation]:
        beside: dict[str, set[str]] = {}
        for value, beyond in pairs:
            beside.setdefault(value, set()).add(beyond)
        groups: dict[frozenset[str], list[str]] = {}
        for value, found in sorted(beside.items()):
            if found != self.seen[other]:
                groups.setdefault(frozenset(found), []).append(value)
        for others, values in groups.items():
            yield Annotation(link, name, tuple(values), other, tuple(sorted(others)), backwards)


def _is_counter(qualified: str) -> bool:
    return declaration_of(qualified).program_counter


def _targets(instance: Instance, link: Link, source: str) -> Iterator[tuple[str, tuple[Variable, int] | None]]:
    """The objects that the link may lead to, each with the code that its reference must have."""
    statics = instance.structure.statics

    def follow(kind: str, name: str) -> str:
        for attribute in link.attributes:
            declared = Object.classes[kind].statics[attribute]
            name, kind = str(statics[declared.qualified, name]), declared.sort.name
        return name

    if not link.first:
        yield follow(link.source, source), None
        return
    reference = Object.classes[link.source].fields[link.first]
    variable = next(v for v in instance.variables if v.slot == (reference.qualified, (source,)))
    if variable.slot in instance.constants:
        return
    for code, value in enumerate(variable.values):
        if value is not None:
            yield follow(str(reference.target), str(value)), (variable, code)


def _readers(exploration: Exploration, kind: str, name: str) -> list[tuple[str, Callable[[int], str], int]]:
    """For each plain field of an object: its name, what it holds in a packed state, and the bits of it."""
    instance, packing = exploration.instance, exploration.packing
    found: list[tuple[str, Callable[[int], str], int]] = []
    for variable in instance.variables:
        declared = variable.declaration
        if variable.slot[1] != (name,) or declared.owner != kind:
            continue
        if variable.slot in instance.constants:
            value = instance.constants[variable.slot].payload
            label = str(value) if declared.sort.kind is Kind.CHOICE else _label(declared, value)
            found.append((declared.qualified, lambda state, label=label: label, 0))  # type: ignore[misc]
        else:
            found.append((declared.qualified, _reader(variable, packing), _bits(variable, packing)))
    return found


def _bits(variable: Variable, packing: Packing) -> int:
    return packing.mask(variable.slot) << packing.offsets[variable.slot]


def _reader(variable: Variable, packing: Packing) -> Callable[[int], str]:
    offset, mask = packing.offsets[variable.slot], packing.mask(variable.slot)
    labels = [_label(variable.declaration, value) for value in variable.values]
    return lambda state: labels[state >> offset & mask]


__all__ = ["LINKS", "Annotation", "Link", "Observations"]
