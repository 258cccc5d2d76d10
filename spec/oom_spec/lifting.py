"""Lifting: every step run once per path on symbolic values, into guarded updates.

The engine runs the step's function again and again; each time a symbolic truth value is asked for,
it follows the decisions made so far and then goes the way not yet taken. A path is the conjunction
of what was decided and required, with the assignments made on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar, cast

import attrs

from oom_spec.language import terms
from oom_spec.language.errors import CountRange, Disabled, MisuseError
from oom_spec.language.objects import Field, Indexed, Object, Static
from oom_spec.language.steps import Halt, Step, World
from oom_spec.language.symbolic import Symbol, to_term
from oom_spec.language.terms import Kind, Op, Sort, Structure, Term

Obj = TypeVar("Obj", bound=Object)

MOST_DECISIONS = 64
"""Decisions on one path before the lifting takes a step for an unbounded loop."""
MOST_QUESTIONS = 500
"""Truth values asked for on one path, decided before or not, before it does so too."""

Slot = tuple[str, tuple[str, ...]]
"""A field of given objects: (``Mm.oom_skip``, (``mm0``,))."""

GIVEN = (Op.CONST, Op.NAMED)
"""Terms of objects that a step is given, not those of a quantifier."""

HALTED: Slot = ("World.halted", ("world",))


@attrs.frozen(eq=False)
class Event:
    """An event that a path announces: its arguments are object names, enum members or constants."""

    event: Enum
    arguments: tuple[object, ...]


@attrs.frozen(eq=False)
class Path:
    """One way through a step: where it can be taken, and what it assigns. The rest stays."""

    site: tuple[Term, ...]
    """The program point and what `binds` fixes: where the call is reached."""
    condition: tuple[Term, ...]
    guards: tuple[tuple[Enum, Term], ...]
    updates: Mapping[Slot, Term]
    fills: tuple[tuple[Field[Any], str, Term], ...]
    """Assignments of an indexed field for all indices at once."""
    events: tuple[Event, ...]


class _Frame:
    """The decisions of one enumeration: a step's, or a quantifier body's inside it."""

    def __init__(self, prefix: list[bool], inherited: dict[int, bool]) -> None:
        self.prefix = prefix
        self.taken: list[bool] = []
        self.known = dict(inherited)
        self.conjuncts: list[Term] = []
        self.questions = 0

    def assume(self, condition: Term) -> None:
        for part in condition.args if condition.op is Op.AND else (condition,):
            if part.key not in self.known:
                self.known[part.key] = True
                self.known[terms.negate(part).key] = False
                self.conjuncts.append(part)


class SymbolicStore:
    """The store behind the handles of a step that is being lifted."""

    def __init__(self, structure: Structure, bounds: Mapping[str, int]) -> None:
        self.structure = structure
        self.bounds = bounds
        self.frames: list[_Frame] = []
        self.levels = 0
        self.reset()

    def reset(self) -> None:
        """Forget what a path did."""
        self.guards: list[tuple[Enum, Term]] = []
        self.updates: dict[Slot, Term] = {}
        self.fills: list[tuple[Field[Any], str, Term]] = []
        self.events: list[Event] = []

    # -- decisions ---------------------------------------------------------------------------

    def decide(self, condition: Term) -> bool:
        """Follow the prefix, then take the true branch first."""
        frame = self.frames[-1]
        if condition.op is Op.CONST:
            return bool(condition.payload)
        frame.questions += 1
        known = frame.known.get(condition.key)
        if known is not None and frame.questions <= MOST_QUESTIONS:
            return known
        if len(frame.taken) >= MOST_DECISIONS or frame.questions > MOST_QUESTIONS:
            number = min(frame.questions, MOST_DECISIONS) if known is None else MOST_QUESTIONS
            raise MisuseError(
                f"{number} decisions on one path, the last on `{condition}`: an unbounded loop? "
                "make each round a step of its own"
            )
        turn = len(frame.taken)
        answer = frame.prefix[turn] if turn < len(frame.prefix) else True
        frame.taken.append(answer)
        frame.assume(condition if answer else terms.negate(condition))
        frame.known[condition.key] = answer
        frame.known[terms.negate(condition).key] = not answer
        return answer

    def require(self, condition: Term, guard: Enum) -> None:
        """Add a guard to the path."""
        if len(self.frames) > 1:
            raise MisuseError(f"requires(..., {guard}) inside every(...) or some(...): put it around the quantifier")
        self.guards.append((guard, condition))
        if self.frames[-1].known.get(condition.key) is False:
            raise Disabled(guard)
        self.frames[-1].assume(condition)

    def paths(self, run: Callable[[], object]) -> Iterator[tuple[_Frame, object]]:
        """Every path through ``run`` that is not ruled out, with its result."""
        pending: list[list[bool]] = [[]]
        inherited = self.frames[-1].known if self.frames else {}
        while pending:
            prefix = pending.pop()
            frame = _Frame(prefix, inherited)
            self.frames.append(frame)
            try:
                result: object = run()
            except Disabled:
                result = Disabled
            except CountRange:
                result = CountRange
            finally:
                self.frames.pop()
            untried = range(len(frame.taken) - 1, len(prefix) - 1, -1)
            pending.extend([*frame.taken[:turn], False] for turn in untried)
            if result is not Disabled:
                yield frame, result

    # -- the Store protocol ------------------------------------------------------------------

    def _value(self, term: Term, declared_sort: Sort, members: type[Enum] | None) -> object:
        if term.op is not Op.CONST:
            return Symbol(term, self)
        if declared_sort.kind is Kind.CHOICE:
            assert members is not None
            return members[str(term.payload)]
        if declared_sort.kind is Kind.OBJECT:
            return None if term.payload is None else self.handle(Object.classes[declared_sort.name], term)
        return term.payload

    def upto(self, declaration: Field[Any]) -> int | None:
        """The largest value of a count in this scenario."""
        if declaration.upto is None or isinstance(declaration.upto, int):
            return declaration.upto
        return self.bounds[declaration.upto]

    def given(self, kind: str, name: str) -> Term:
        """The term for an object that a step is run for."""
        return terms.const(Sort(Kind.OBJECT, kind), name)

    def full(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """Whether a count stands at its upper bound in this scenario."""
        upto = self.upto(declaration)
        assert upto is not None
        return cast(Any, self.read(declaration, owners)) >= upto

    def read(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """The value on this path."""
        if any(filled is declaration for filled, _, _ in self.fills):
            raise MisuseError(f"{declaration.qualified} is read after `.fill`: read it before")
        term = terms.field(declaration.qualified, declaration.sort, owners, self.upto(declaration))
        for (name, targets), written in self.updates.items():
            if name == declaration.qualified:
                same = (
                    terms.equals(owner, self.given(owner.sort.name, target))
                    for owner, target in zip(owners, targets, strict=True)
                )
                term = terms.choose(terms.conjoin(*same), written, term)
        return self._value(term, declaration.sort, declaration.members)

    def write(self, declaration: Field[Any], owners: tuple[Term, ...], value: object) -> None:
        """Record an assignment, or the violation `count-range`."""
        if any(owner.op not in GIVEN for owner in owners):
            raise MisuseError(
                f"{declaration.qualified} of an object of every(...)/some(...) is assigned: "
                "take the object as a parameter, or use `.fill`"
            )
        if declaration.constant:
            raise MisuseError(f"{declaration.qualified} is fixed by the scenario: no step may assign it")
        self._outside_quantifier(f"{declaration.qualified} is assigned")
        if any(filled is declaration for filled, _, _ in self.fills):
            raise MisuseError(f"{declaration.qualified} is assigned after `.fill`: assign it in another step")
        value_term = self._in_range(declaration, value)
        slot = _slot(declaration, owners)
        self.updates.pop(slot, None)  # the last assignment goes last: two names may stand for one object
        self.updates[slot] = value_term

    def _outside_quantifier(self, what: str) -> None:
        if len(self.frames) > 1:
            raise MisuseError(f"{what} inside every(...) or some(...)")

    def _in_range(self, declaration: Field[Any], value: object) -> Term:
        """``value`` as a term; the path splits where it may leave the range of a count."""
        term = to_term(value, declaration.sort)
        upto = self.upto(declaration)
        if upto is not None:
            in_range = terms.conjoin(terms.at_least(term, 0), terms.negate(terms.at_least(term, upto + 1)))
            if not self.decide(in_range):
                raise CountRange(declaration.qualified)
        return term

    def fill(self, declaration: Field[Any], owner: Term, value: object) -> None:
        """Record an assignment for all indices."""
        self._outside_quantifier(f"{declaration.qualified} is filled")
        self.fills.append((declaration, str(owner.payload), self._in_range(declaration, value)))

    def static(self, declaration: Static[Any], owner: Term) -> object:
        """A fixed attribute: a constant for a known object, a term for a quantifier's."""
        if owner.op is Op.CONST:
            value = self.structure.statics[declaration.qualified, str(owner.payload)]
            return self._value(terms.const(declaration.sort, value), declaration.sort, None)
        term = terms.static(declaration.qualified, declaration.sort, owner)
        if declaration.sort.kind is Kind.OBJECT:
            return self.handle(Object.classes[declaration.sort.name], term)
        return Symbol(term, self)

    def same(self, left: Term, right: Term) -> object:
        """Whether two objects are one: known, or a term."""
        term = terms.equals(left, right)
        return bool(term.payload) if term.op is Op.CONST else Symbol(term, self)

    def quantify(self, op: Op, kind: type[Object], predicate: Callable[[Any], object]) -> object:
        """One node; the body's own paths become its boolean structure."""
        sort = Sort(Kind.OBJECT, kind.__name__)
        level = self.levels
        self.levels += 1
        subject = self.handle(kind, terms.bound(sort, level))
        bodies = []
        for frame, result in self.paths(lambda: predicate(subject)):
            if result is CountRange:
                raise MisuseError("a count is assigned inside every(...) or some(...)")
            bodies.append(terms.conjoin(*frame.conjuncts, to_term(result, terms.BOOL)))
        self.levels -= 1
        term = terms.quantify(op, sort, level, terms.disjoin(*bodies))
        return bool(term.payload) if term.op is Op.CONST else Symbol(term, self)

    def announce(self, event: Enum, arguments: tuple[object, ...]) -> None:
        """Record an event; its arguments must be known objects or constants."""
        for argument in arguments:
            if isinstance(argument, Symbol) or (isinstance(argument, Object) and argument._term.op not in GIVEN):
                raise MisuseError(
                    f"announce({event}, {argument!r}): announce known objects, constants and enum members"
                )
        self._outside_quantifier(f"{event} is announced")
        plain = tuple(arg.label if isinstance(arg, Object) else arg for arg in arguments)
        self.events.append(Event(event, plain))

    def handle(self, kind: type[Obj], term: Term) -> Obj:
        """A handle on this store."""
        return kind(self, term)


def _slot(declaration: Field[Any], owners: tuple[Term, ...]) -> Slot:
    return declaration.qualified, tuple(str(owner.payload) for owner in owners)


def declaration_of(qualified: str) -> Field[Any]:
    """The declaration of ``Mm.oom_skip``."""
    owner, _, name = qualified.partition(".")
    return Object.classes[owner].fields[name]


def object_term(kind: type[Object], name: str) -> Term:
    """The constant that names one object."""
    return terms.const(Sort(Kind.OBJECT, kind.__name__), name)


def lift_step(declared: Step, arguments: Mapping[str, str], store: SymbolicStore) -> tuple[Path, ...]:
    """All paths of ``declared`` for the objects named in ``arguments``.

    Raises `MisuseError`, naming the step, where it uses the language wrongly.
    """
    handles = {
        name: store.handle(kind, store.given(kind.__name__, arguments[name])) for name, kind in declared.parameters
    }
    acting = [handles[name] for name, kind in declared.parameters if kind is declared.actor]
    actor = acting[0] if acting else store.handle(World, object_term(World, "world"))
    counter = declared.actor.counter
    site: list[Term] = []

    def run() -> None:
        store.reset()
        site.clear()
        halted = terms.field(HALTED[0], World.fields["halted"].sort, (object_term(World, "world"),))
        site.append(terms.equals(halted, terms.const(halted.sort, Halt.RUNNING.name)))
        if declared.at is not None:
            assert counter is not None
            here = terms.field(counter.qualified, counter.sort, (actor._term,))
            site.append(terms.equals(here, terms.const(counter.sort, declared.at.name)))
        for parameter, pointer in declared.binds.items():
            pointed = Object.__getattribute__(actor, pointer)
            site.append(to_term(pointed == handles[parameter], terms.BOOL))
        for part in site:
            if part is terms.FALSE:
                raise Disabled("site")
            store.frames[-1].assume(part)
        declared.function(**handles)
        if declared.then is not None:
            assert counter is not None
            store.write(counter, (actor._term,), declared.then)

    found: list[Path] = []
    try:
        for frame, result in store.paths(run):
            known_site = {part.key for part in site}
            condition = tuple(part for part in frame.conjuncts if part.key not in known_site)
            if result is CountRange:
                fault = terms.const(Sort(Kind.CHOICE, "Halt"), Halt.COUNT_RANGE.name)
                path = Path(tuple(site), condition, tuple(store.guards), {HALTED: fault}, (), ())
            else:
                path = Path(
                    tuple(site),
                    condition,
                    tuple(store.guards),
                    dict(store.updates),
                    tuple(store.fills),
                    tuple(store.events),
                )
                _no_history_in_guards(path)
            found.append(path)
    except MisuseError as error:
        code = declared.function.__code__
        raise MisuseError(f"{code.co_filename}:{code.co_firstlineno}: step {declared.id}: {error}") from None
    return tuple(found)


def _no_history_in_guards(path: Path) -> None:
    def history(term: Term) -> str | None:
        for leaf in terms.leaves(term, Op.FIELD):
            if declaration_of(str(leaf.payload)).history:
                return str(leaf.payload)
        return None

    for part in path.condition:
        name = history(part)
        if name:
            raise MisuseError(
                f"the history field {name} decides what happens: history is for properties; "
                "use `when(...)` to record it, and an ordinary field to act on it"
            )
    assigned = [(target, term) for (target, _), term in path.updates.items()]
    assigned += [(filled.qualified, term) for filled, _, term in path.fills]
    for target, term in assigned:
        name = history(term)
        if name and not declaration_of(target).history:
            raise MisuseError(f"the history field {name} flows into {target}, which is no history field")


def lift_formula(formula: Callable[..., bool], arguments: tuple[object, ...], store: SymbolicStore) -> Term:
    """A property's formula as one term; object arguments are given as handles of ``store``."""
    store.reset()
    bodies = []
    for frame, result in store.paths(lambda: formula(*arguments)):
        if store.updates or store.events or store.fills:
            raise MisuseError(f"{formula.__qualname__} assigns state: a property only reads")
        bodies.append(terms.conjoin(*frame.conjuncts, to_term(result, terms.BOOL)))
    return terms.disjoin(*bodies)


__all__ = ["Event", "Indexed", "Path", "Slot", "SymbolicStore", "lift_formula", "lift_step"]
