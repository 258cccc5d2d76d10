"""Typed state: the objects of a world, their fields, and the handles that steps work with.

A class derived from `Object` declares the fields of one kind of kernel object::

    class Mm(Object):
        oom_skip = flag("MMF_OOM_SKIP: of no interest to the OOM killer")
        reapable = count("pages that the reaper may zap", upto="pages")

The declaration gives the range check of concrete runs, the sort of the symbolic value, the width in
a packed state and the documentation. A handle reads and writes through a `Store`, so the same step
runs on plain values (`oom_spec.stepping`) and on symbolic ones (`oom_spec.lifting`).

History fields (``history=True``) record what happened, for properties to speak of. They may flow
into other history fields, never into a guard or an ordinary field: the lifting refuses that.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, ClassVar, Generic, Never, Protocol, TypeVar, cast, overload

import attrs

from oom_spec.language import terms
from oom_spec.language.errors import MisuseError
from oom_spec.language.terms import BOOL, COUNT, Kind, Sort, Term, Value

V = TypeVar("V")
E = TypeVar("E", bound=Enum)
Obj = TypeVar("Obj", bound="Object")


class Store(Protocol):
    """Where a handle's fields live."""

    def read(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """The value of a field of ``owners``."""

    def write(self, declaration: Field[Any], owners: tuple[Term, ...], value: object) -> None:
        """Assign a field of ``owners``."""

    def static(self, declaration: Static[Any], owner: Term) -> object:
        """A fixed attribute of ``owner``."""

    def same(self, left: Term, right: Term) -> object:
        """Whether two objects are one."""

    def quantify(self, op: terms.Op, kind: type[Object], predicate: Callable[[Any], object]) -> object:
        """Whether every, or some, object of ``kind`` satisfies ``predicate``."""

    def fill(self, declaration: Field[Any], owner: Term, value: object) -> None:
        """Assign a field for all its indices."""

    def full(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """Whether a count stands at its upper bound."""

    def announce(self, event: Enum, arguments: tuple[object, ...]) -> None:
        """Record that an event happens in this step."""

    def handle(self, kind: type[Obj], term: Term) -> Obj:
        """The handle of an object."""


class Field(Generic[V]):
    """One declared field of an object class; see `flag`, `choice`, `count`, `reference`, `counter`."""

    def __init__(
        self,
        doc: str,
        sort: Callable[[], Sort],
        *,
        default: Value = None,
        members: type[Enum] | None = None,
        upto: int | str | None = None,
        target: str | None = None,
        index: str | None = None,
        history: bool = False,
        program_counter: bool = False,
    ) -> None:
        self.doc = doc
        self.make_sort = sort
        self.default = default
        self.members = members
        self.upto = upto
        self.target = target
        self.index = index
        self.history = history
        self.program_counter = program_counter
        self.rest: tuple[Enum, ...] = ()
        self.constant = False
        self.name = ""
        self.owner = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = owner.__name__
        self.sort = self.make_sort()

    @property
    def qualified(self) -> str:
        """``Mm.oom_skip``"""
        return f"{self.owner}.{self.name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Field[V]: ...
    @overload
    def __get__(self, instance: Object, owner: type) -> V: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Field[V]: ...
    def __get__(self, instance: object, owner: type) -> Field[V] | V:
        if not isinstance(instance, Object):
            return self
        if self.program_counter:
            raise MisuseError(
                f"{self.qualified} is a program counter: no step and no property reads one; state "
                "where a step stands with `at=`, and let other actors see a flag, lock or count"
            )
        return cast(V, instance._store.read(self, (instance._term,)))

    def __set__(self, instance: Object, value: V) -> None:
        if self.program_counter:
            raise MisuseError(
                f"{self.qualified} is a program counter: write `then=` in the step's declaration, or "
                "`begin(...)` to start another routine"
            )
        instance._store.write(self, (instance._term,), value)


class Indexed(Generic[V]):
    """A field that an object has once per object of another class: ``killer.scanned[task]``."""

    def __init__(self, declaration: Field[V]) -> None:
        self.declaration = declaration

    def __set_name__(self, owner: type, name: str) -> None:
        self.declaration.__set_name__(owner, name)

    @overload
    def __get__(self, instance: None, owner: type) -> Indexed[V]: ...
    @overload
    def __get__(self, instance: Object, owner: type) -> Row[V]: ...
    def __get__(self, instance: Object | None, owner: type) -> Indexed[V] | Row[V]:
        return self if instance is None else Row(self.declaration, instance)

    def __set__(self, instance: Object, value: Row[V]) -> None:
        raise MisuseError(
            f"{self.declaration.qualified} has one value per {self.declaration.index}: assign one "
            "with [...] or all with `.fill(value)`"
        )


class Row(Generic[V]):
    """The values of an indexed field of one object."""

    def __init__(self, declaration: Field[V], owner: Object) -> None:
        self._declaration = declaration
        self._owner = owner

    def __getitem__(self, index: Object) -> V:
        owner = self._owner
        return cast(V, owner._store.read(self._declaration, (owner._term, index._term)))

    def __setitem__(self, index: Object, value: V) -> None:
        owner = self._owner
        owner._store.write(self._declaration, (owner._term, index._term), value)

    def fill(self, value: V) -> None:
        """Assign ``value`` for every index."""
        self._owner._store.fill(self._declaration, self._owner._term, value)

    def __iter__(self) -> Never:
        raise MisuseError(_LOOP.format(what=self._declaration.qualified))

    def __contains__(self, item: object) -> Never:
        raise MisuseError(_LOOP.format(what=self._declaration.qualified))


_LOOP = (
    "a Python loop or `in` over {what}: say `every(...)`, `some(...)` or `.fill(...)`, or make it one "
    "step per object; a loop would be unrolled for this instance's size and prove nothing of others"
)


def flag(doc: str, *, initially: bool = False, history: bool = False, constant: bool = False) -> Field[bool]:
    """A truth value, false at the start unless said otherwise; ``constant``: no step may assign it."""
    declared: Field[bool] = Field(doc, lambda: BOOL, default=initially, history=history)
    declared.constant = constant
    return declared


def choice(doc: str, members: type[E], *, history: bool = False) -> Field[E]:
    """One member of an enum; the first one at the start."""
    first = next(iter(members)).name
    return Field(
        doc,
        lambda: Sort(Kind.CHOICE, members.__name__),
        default=first,
        members=members,
        history=history,
    )


def count(doc: str, *, upto: int | str, history: bool = False) -> Field[int]:
    """A whole number from 0 to ``upto``, which may name a bound that the scenario sets.

    Leaving the range is the violation ``count-range``: never a wrap, never a silent disable.
    """
    return Field(doc, lambda: COUNT, default=0, upto=upto, history=history)


def reference(doc: str, target: str) -> Field[Any]:
    """One object of the class named ``target``, or None (at the start)."""
    return Field(doc, lambda: Sort(Kind.OBJECT, target), default=None, target=target)


def program_counter(doc: str, members: type[E], *, rest: tuple[E, ...] = ()) -> Field[E]:
    """Where a routine stands: only `at=`, `then=` and `begin` speak of it.

    At the points of ``rest`` it has nothing left to do, or waits for somebody to give it work.
    """
    first = next(iter(members)).name
    declared: Field[E] = Field(
        doc,
        lambda: Sort(Kind.CHOICE, members.__name__),
        default=first,
        members=members,
        program_counter=True,
    )
    declared.rest = rest
    return declared


def per(index: str, declaration: Field[V]) -> Indexed[V]:
    """``declaration`` once per object of the class named ``index``."""
    declaration.index = index
    return Indexed(declaration)


class Static(Generic[V]):
    """An attribute that the scenario fixes: a truth value, a name, or another object."""

    def __init__(self, doc: str, sort: Callable[[], Sort], default: Value) -> None:
        self.doc = doc
        self.make_sort = sort
        self.default = default
        self.name = ""
        self.owner = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = owner.__name__
        self.sort = self.make_sort()

    @property
    def qualified(self) -> str:
        """``Task.process``"""
        return f"{self.owner}.{self.name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Static[V]: ...
    @overload
    def __get__(self, instance: Object, owner: type) -> V: ...
    def __get__(self, instance: Object | None, owner: type) -> Static[V] | V:
        if instance is None:
            return self
        return cast(V, instance._store.static(self, instance._term))

    def __set__(self, instance: Object, value: V) -> None:
        raise MisuseError(f"{self.qualified} is fixed by the scenario; declare a field to change it")


def fixed_flag(doc: str, *, default: bool = False) -> Static[bool]:
    """A truth value that the scenario fixes."""
    return Static(doc, lambda: BOOL, default)


def fixed(doc: str, target: str) -> Static[Any]:
    """An object of the class named ``target`` that the scenario fixes."""
    return Static(doc, lambda: Sort(Kind.OBJECT, target), None)


class Object:
    """Base of the object classes. A handle: one object of a world, seen through a store."""

    __slots__ = ("_store", "_term")
    _store: Store
    _term: Term
    fields: ClassVar[dict[str, Field[Any]]] = {}
    statics: ClassVar[dict[str, Static[Any]]] = {}
    counter: ClassVar[Field[Any] | None] = None
    classes: ClassVar[dict[str, type[Object]]] = {}

    def __init_subclass__(cls) -> None:
        fields: dict[str, Field[Any]] = {}
        statics: dict[str, Static[Any]] = {}
        for name, value in vars(cls).items():
            declared = value.declaration if isinstance(value, Indexed) else value
            if isinstance(declared, Field):
                fields[name] = declared
            elif isinstance(declared, Static):
                statics[name] = declared
        cls.fields = fields
        cls.statics = statics
        cls.counter = next((declared for declared in fields.values() if declared.program_counter), None)
        Object.classes[cls.__name__] = cls

    def __init__(self, store: Store, term: Term) -> None:
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_term", term)

    def __setattr__(self, name: str, value: object) -> None:
        kind = type(self)
        if name not in kind.fields and name not in kind.statics:
            raise MisuseError(kind._undeclared(name))
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Never:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MisuseError(type(self)._undeclared(name))

    @classmethod
    def _undeclared(cls, name: str) -> str:
        near = difflib.get_close_matches(name, [*cls.fields, *cls.statics], n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"{cls.__name__} declares no field `{name}`: declare it in its class{hint}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Object):
            return cast(bool, self._store.same(self._term, other._term))
        if other is None:
            return cast(bool, self._store.same(self._term, terms.const(self._term.sort, None)))
        return NotImplemented  # a symbolic reference compares from its side

    def __ne__(self, other: object) -> bool:
        same: Any = self.__eq__(other)
        if same is NotImplemented or isinstance(same, bool):
            return NotImplemented if same is NotImplemented else not same
        return cast(bool, same.negated())

    def __bool__(self) -> bool:
        kind = type(self).__name__.lower()
        raise MisuseError(f"`if {kind}` asks nothing: compare it (`{kind} == None`), or ask for one of its fields")

    def __hash__(self) -> int:
        if self._term.op is not terms.Op.CONST:
            raise MisuseError("an object of a quantifier has no hash: keep it out of sets and dict keys")
        return hash(self._term.payload)

    @property
    def label(self) -> str:
        """The name that the scenario gave this object, such as ``P1.t0``."""
        return str(self._term.payload)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {terms.show(self._term)}>"


class Group(Generic[Obj]):
    """All objects of one class, for quantifiers. It refuses to be looped over."""

    def __init__(self, store: Store, kind: type[Obj]) -> None:
        self._store = store
        self._kind = kind

    def __iter__(self) -> Iterator[Obj]:
        raise MisuseError(_LOOP.format(what=f"all {self._kind.__name__} objects"))

    def __contains__(self, item: object) -> bool:
        raise MisuseError(_LOOP.format(what=f"all {self._kind.__name__} objects"))

    def __len__(self) -> int:
        raise MisuseError(
            f"the number of {self._kind.__name__} objects belongs to a scenario: a step or property "
            "that depends on it cannot be proved for any number"
        )


@attrs.frozen
class Made:
    """One object of a scenario: its class, name, fixed attributes and initial field values."""

    kind: type[Object]
    name: str
    values: dict[str, object]


def fields_declared() -> int:
    """How many fields the classes have: what is kept for later is outdated once a user's era has declared one more."""
    return sum(len(kind.fields) for kind in Object.classes.values())


def make(kind: type[Object], name: str, **values: object) -> Made:
    """Declare an object for a scenario; references are given by name.

    Raises `MisuseError` for an attribute that the class does not declare.
    """
    for key in values:
        if key not in kind.fields and key not in kind.statics:
            near = difflib.get_close_matches(key, [*kind.fields, *kind.statics], n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise MisuseError(f"{kind.__name__} declares no `{key}`{hint}")
    return Made(kind, name, values)
