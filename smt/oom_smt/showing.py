"""A counterexample to induction for a reader: the state before the step beside the state after it.

Shown are the fields that the step changes and those that the broken lemma reads. Objects that are the
same in this state have one name. Nothing says that the state before the step can be reached.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping
from itertools import product

import attrs

from oom_smt.questions import Counterexample, Valuation, holds
from oom_spec.language import terms
from oom_spec.language.steps import Step
from oom_spec.language.terms import BOOL, COUNT, Kind, Op, Term
from oom_spec.lifting import Path, declaration_of
from oom_spec.unbounded.clauses import clause_of
from oom_spec.unbounded.grounding import Universe, after, opened, substitute
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.opening import class_of, object_of, owner_of
from oom_spec.unbounded.sentences import sentence
from oom_spec.unbounded.start import field_term

WIDTH = 100
"""Columns of the page."""
SOMEBODY = "somebody else"


@attrs.frozen
class Row:
    """One field."""

    field: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the step changes it."""
        return self.before != self.after


@attrs.frozen
class Table:
    """A step that breaks a lemma, and the two states around it."""

    step: str
    doc: str
    statement: str
    """What is true before the step and false after it; for an event, what it promises and is false before it."""
    rows: tuple[Row, ...]
    same: tuple[str, ...] = ()
    """What fixed attributes of objects in the rows lead to, such as ``mm1 is task1.process.mm``."""

    @property
    def data(self) -> dict[str, object]:
        """For ``--json``."""
        rows = [{**attrs.asdict(row), "changed": row.changed} for row in self.rows]
        return {
            "step": self.step,
            "doc": self.doc,
            "statement": self.statement,
            "fields": rows,
            "same": list(self.same),
        }


def table(step: Step, path: Path, goal: Term, found: Counterexample, statement: str = "") -> Table:
    """The states around a step that breaks ``goal``: a lemma, or what an event of the step promises.

    ``statement`` says the goal in words; without it, the goal's own sentence. Raises `SpecError` for a goal
    that has none, because a reference names one of its objects.
    """
    shown = _States(path, found)
    body, fresh = opened(goal)
    read = dict.fromkeys(shown.row(each) for each in _fields_read(substitute(body, fresh)))
    touched = [*shown.written(), *shown.quantified(body, fresh)]
    rows = dict.fromkeys([*read, *(row for row in map(shown.row, touched) if row.changed)])
    ordered = sorted(rows, key=lambda row: (not row.changed, row.field))
    said = statement or sentence(clause_of(goal))
    return Table(
        step.id, step.doc, said, tuple(ordered), tuple(shown.led_to({row.field.split(".")[0] for row in rows}))
    )


def text(shown: Table) -> str:
    """A table as plain text; lines that begin with ``*`` show what the step changes."""
    doc, statement = (
        textwrap.fill(each, WIDTH, initial_indent="  ", subsequent_indent="  ")
        for each in (" ".join(shown.doc.split()), shown.statement)
    )
    lines = [shown.step, doc, "breaks", statement, ""]
    rows = [("", "", "before", "after"), *(("*" if r.changed else "", r.field, r.before, r.after) for r in shown.rows)]
    second, third = (max(len(row[at]) for row in rows) for at in (2, 3))
    first = min(max(len(row[1]) for row in rows), WIDTH - second - third - 8)
    for mark, field, before, later in rows:
        own_line = len(field) > first
        if own_line:
            lines.append(f"{mark:1} {field}")
        start = " " * (first + 2) if own_line else f"{mark:1} {field:{first}}"
        lines.append(f"{start} | {before:{second}} | {later}".rstrip())
    return "\n".join([*lines, *([""] if shown.same else []), *(f"  {each}" for each in shown.same)])


def _fields_read(term: Term) -> Iterator[Term]:
    """The fields of named objects that a formula reads."""
    for leaf in terms.leaves(term, Op.FIELD):
        if not terms.leaves(leaf, Op.BOUND):
            yield leaf


class _States:
    """The state before a step and the one after it."""

    def __init__(self, path: Path, found: Counterexample) -> None:
        self.path = path
        self.universe: Universe = found.universe
        self.valuation: Valuation = found.valuation
        self.names = self._labels()

    # -- objects -----------------------------------------------------------------------------

    def _labels(self) -> dict[int, str]:
        """One name for each object: of those that stand for it, one of the step's or of the goal's if there is one."""
        groups: dict[tuple[str, str], list[Term]] = {}
        for known in self.universe.objects.values():
            for each in known.values():
                groups.setdefault((each.sort.name, self._identity(each)), []).append(each)
        found: dict[int, str] = {}
        numbers: dict[str, int] = {}
        for witness in (False, True):
            for (kind, _), members in groups.items():
                single = next((str(each.payload) for each in members if each.op is Op.CONST), None)
                roots = [each for each in members if owner_of(each)[0] is None]
                if members[0].key in found or all(("!" in str(each.payload)) > witness for each in roots):
                    continue
                if single is None:
                    numbers[kind] = numbers.get(kind, 0) + 1
                found.update(dict.fromkeys((each.key for each in members), single or f"{kind.lower()}{numbers[kind]}"))
        waiting = [members for members in groups.values() if members[0].key not in found]
        while waiting:
            members = min(waiting, key=lambda group: len(self._derived(group, found)))
            waiting.remove(members)
            found.update(dict.fromkeys((each.key for each in members), self._derived(members, found)))
        return found

    def _derived(self, members: list[Term], known: Mapping[int, str]) -> str:
        """The shortest name by what leads to an object."""
        names = []
        for each in members:
            owner, attribute = owner_of(each)
            if owner is not None and owner.key in known:
                names.append(f"{known[owner.key]}.{attribute.split('.')[1].removesuffix('->')}")
        return min(names, key=lambda name: (len(name), name), default="?" * WIDTH)

    def led_to(self, roots: Collection[str]) -> list[str]:
        """Which of the ``roots`` fixed attributes of others lead to."""
        found: set[str] = set()
        for known in self.universe.objects.values():
            for each in known.values():
                owner, attribute = owner_of(each)
                if owner is None or attribute.endswith("->") or self.names[each.key] not in roots:
                    continue
                name = f"{self.names[owner.key]}.{attribute.split('.')[1]}"
                if name.split(".", maxsplit=1)[0] in roots:
                    found.add(f"{self.names[each.key]} is {name}")
        return sorted(found)

    def _identity(self, each: Term) -> str:
        return str(each.payload) if each.op is Op.CONST else self.valuation.value(each)

    # -- fields ------------------------------------------------------------------------------

    def written(self) -> Iterator[Term]:
        """The fields that the step may assign."""
        for name, owners in self.path.updates:
            yield field_term(declaration_of(name), tuple(object_of(class_of(each), each) for each in owners))
        for declared, owner, _ in self.path.fills:
            subject = object_of(class_of(owner), owner)
            for other in self.universe.of(str(declared.index)):
                yield field_term(declared, (subject, other))

    def quantified(self, body: Term, fresh: Mapping[terms.Value, Term]) -> Iterator[Term]:
        """The fields that quantifiers in a formula read, of every object there is."""
        for leaf in terms.leaves(body, Op.FIELD):
            variables = [each for each in terms.leaves(leaf, Op.BOUND) if each.payload not in fresh]
            if variables:
                for chosen in product(*(self.universe.of(each.sort.name) for each in variables)):
                    others = {each.payload: one for each, one in zip(variables, chosen, strict=True)}
                    yield substitute(leaf, {**fresh, **others})

    def row(self, field: Term) -> Row:
        """One field before and after."""
        owner, *index = (self.names[each.key] for each in field.args)
        name = f"{owner}.{str(field.payload).split('.')[1]}" + (f"[{index[0]}]" if index else "")
        return Row(name, self._shown(field), self._shown(after(field, self.path)))

    def _shown(self, term: Term) -> str:
        if term.sort is BOOL:
            return "set" if self._true(term) else "not set"
        if term.op is Op.ITE:
            return self._shown(term.args[1] if self._true(term.args[0]) else term.args[2])
        if term.sort == COUNT:
            return self.valuation.value(term)
        if term.sort.kind is Kind.CHOICE:
            return next(each for each in members_of(term.sort) if self._is(term, terms.const(term.sort, each)))
        if self._is(term, terms.const(term.sort, None)):
            return "nobody"
        objects = self.universe.of(term.sort.name)
        return next((self.names[each.key] for each in objects if self._is(term, each)), SOMEBODY)

    def _is(self, term: Term, value: Term) -> bool:
        return self._true(terms.equals(term, value))

    def _true(self, term: Term) -> bool:
        """What a quantifier says of the objects at hand: others there are none in the state that is shown."""
        return holds(term, True, {}, self.universe, self.valuation)


__all__ = ["Row", "Table", "table", "text"]
