"""Steps: one atomic action of one actor, written once and run on plain and on symbolic values.

A step reads guard, effect, next::

    @step(Reaper, at=ReapAt.MMGET, then=ReapAt.UP_READ_GONE, binds={"task": "job"},
          kernel="mm/oom_kill.c:__oom_reap_task_mm", call="mmget_not_zero", outcome="fails")
    def mmget_not_zero_fails(world: World, reaper: Reaper, task: Task) -> None:
        \"\"\"mm_users is 0: somebody is in __mmput, or was.\"\"\"
        requires(negate(mm_users_held(world, task.process.mm)), Guard.USERS_ZERO)

The declaration gives the program point (`at`, `then`), the parameters that a pointer of the actor
fixes (`binds`), the kernel function, and what a diagram prints. One step instance exists per
combination of objects for its parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, unique
from types import ModuleType
from typing import Any, TypeVar, cast, get_type_hints

import attrs

from oom_spec.language import terms
from oom_spec.language.errors import Disabled, MisuseError
from oom_spec.language.objects import Group, Object, choice, count, fixed_flag, flag, per
from oom_spec.language.symbolic import Symbol, to_term

Obj = TypeVar("Obj", bound=Object)


@unique
class Halt(Enum):
    """Why a run ends for all actors at once."""

    RUNNING = "the machine runs"
    COUNT_RANGE = "a count left its declared range"
    LIST_CORRUPTED = "a push onto oom_reaper_list linked a task that is already on it"
    PANIC = "the OOM killer found nobody to kill and panicked"


class World(Object):
    """What belongs to no single object."""

    halted = choice("Why the run ended, if it did.", Halt)
    queue_top = count("Tasks on oom_reaper_list; the list is last in, first out.", upto="tasks")
    skip_is_news = per(
        "Killer",
        flag("The reaper set MMF_OOM_SKIP since that killer's last allocation attempt failed.", history=True),
    )
    attempt_watched = fixed_flag("N4 is watched: `skip_is_news` is kept.")

    def all(self, kind: type[Obj]) -> Group[Obj]:
        """Every object of ``kind``, for `every` and `some`."""
        return Group(self._store, kind)

    def announce(self, event: Enum, *arguments: object) -> None:
        """Say that ``event`` happens in this step, with the objects that it concerns."""
        self._store.announce(event, arguments)


def requires(condition: bool, guard: Enum) -> None:
    """The step can be taken only where ``condition`` holds; ``guard`` names the reason."""
    if not isinstance(guard, Enum):
        raise MisuseError(f"requires(..., {guard!r}): name the reason by a member of an enum, such as Guard")
    if isinstance(condition, Symbol):
        to_term(condition, terms.BOOL)
        condition.decider.require(condition.term, guard)
    elif not isinstance(condition, bool):
        raise MisuseError(f"requires({condition!r}, {guard}): a guard is a truth value")
    elif not condition:
        raise Disabled(guard)


def every(group: Group[Obj], predicate: Callable[[Obj], bool]) -> bool:
    """Whether all objects of ``group`` satisfy ``predicate``; one node when lifted."""
    return cast(bool, group._store.quantify(terms.Op.EVERY, group._kind, predicate))


def some(group: Group[Obj], predicate: Callable[[Obj], bool]) -> bool:
    """Whether at least one object of ``group`` satisfies ``predicate``; one node when lifted."""
    return cast(bool, group._store.quantify(terms.Op.SOME, group._kind, predicate))


def full(owner: Object, declaration: Any) -> bool:
    """Whether the count ``declaration`` of ``owner`` stands at its upper bound."""
    return cast(bool, owner._store.full(declaration, (owner._term,)))


def begin(routine: Object, at: Enum) -> None:
    """Start the routine whose program counter lives in ``routine``, such as __mmput in an mm."""
    counter = type(routine).counter
    if counter is None:
        raise MisuseError(f"{type(routine).__name__} has no program counter to begin at {at}")
    routine._store.write(counter, (routine._term,), at)


@unique
class Verified(Enum):
    """How well the fact behind a step is verified."""

    TREE = "read in a whole source tree of that release"
    COMMIT = "read in the commit itself"
    MAIL = "read in the patch mail or the commit message"
    CITED = "seen in a citation by kernel developers"
    INFERRED = "our inference from the code"
    PROPOSED = "a proposal that was never merged"


@attrs.frozen(eq=False)
class Step:
    """One step; compare by `id`."""

    id: str
    """``actor.function.action[outcome]``: stable, used in files, diagrams and traces."""
    actor: type[Object]
    at: Enum | None
    then: Enum | None
    function: Callable[..., None]
    parameters: tuple[tuple[str, type[Object]], ...]
    binds: Mapping[str, str]
    kernel: str
    """``mm/oom_kill.c:oom_reap_task``"""
    call: str
    """What a diagram prints, such as ``mmget_not_zero``."""
    outcome: str
    waits: bool
    """The call blocks until its guards hold, so its outcomes need not cover every state."""
    optional: bool
    """Another outcome may be taken although this one is possible too; `oracle` says what decides."""
    oracle: str
    """What decides between outcomes where the model leaves the choice open; empty if the state does."""
    environment: bool
    """Nobody may count on this step ever being taken (unfair)."""
    commit: str
    verified: Verified
    doc: str

    @property
    def kernel_function(self) -> str:
        """``oom_reap_task``"""
        return self.kernel.rpartition(":")[2]


def step(
    actor: type[Object],
    *,
    kernel: str,
    call: str,
    at: Enum | None = None,
    then: Enum | None = None,
    outcome: str = "",
    binds: Mapping[str, str] | None = None,
    waits: bool = False,
    oracle: str = "",
    optional: bool = False,
    environment: bool = False,
    commit: str = "",
    verified: Verified = Verified.TREE,
) -> Callable[[Callable[..., None]], Step]:
    """Declare the decorated function as a step of ``actor``.

    Raises `MisuseError` for a declaration that does not fit the function.
    """

    def declare(function: Callable[..., None]) -> Step:
        where = f"{function.__module__}.{function.__name__}"
        hints = get_type_hints(function)
        hints.pop("return", None)
        parameters = tuple((name, hints[name]) for name in inspect.signature(function).parameters if name in hints)
        for name in inspect.signature(function).parameters:
            if not (isinstance(hints.get(name), type) and issubclass(hints[name], Object)):
                raise MisuseError(f"{where}: annotate `{name}` with the object class it stands for")
        if actor is not World and actor not in (kind for _, kind in parameters):
            raise MisuseError(f"{where}: a step of {actor.__name__} takes it as a parameter")
        for point in (at, then):
            if point is None:
                continue
            members = None if actor.counter is None else actor.counter.members
            if type(point) is not members:
                raise MisuseError(f"{where}: {point} is no program point of {actor.__name__}")
        if not (function.__doc__ or "").strip():
            raise MisuseError(f"{where}: say in its docstring what the step means")
        suffix = f"[{outcome}]" if outcome else ""
        function_name = kernel.rpartition(":")[2]
        return Step(
            id=f"{actor.__name__.lower()}.{function_name}.{call}{suffix}",
            actor=actor,
            at=at,
            then=then,
            function=function,
            parameters=parameters,
            binds=dict(binds or {}),
            kernel=kernel,
            call=call,
            outcome=outcome,
            waits=waits,
            oracle=oracle,
            optional=optional,
            environment=environment,
            commit=commit,
            verified=verified,
            doc=inspect.cleandoc(function.__doc__ or ""),
        )

    return declare


def steps_of(*modules: ModuleType) -> tuple[Step, ...]:
    """The steps that ``modules`` define, in the order of their definition."""
    found: dict[str, Step] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Step) and value.function.__module__ == module.__name__:
                if value.id in found:
                    raise MisuseError(f"two steps have the id {value.id}: give them different outcomes")
                found[value.id] = value
    return tuple(found.values())


def actor_parameter(declared: Step) -> str:
    """The name of the parameter that is the acting object."""
    return next(name for name, kind in declared.parameters if kind is declared.actor)


def unique_ids(steps: Iterable[Step]) -> None:
    """Raises `MisuseError` where two steps share an id."""
    seen: set[str] = set()
    for each in steps:
        if each.id in seen:
            raise MisuseError(f"two steps have the id {each.id}: give them different outcomes")
        seen.add(each.id)


def anything(*_: Any) -> bool:
    """The condition that always holds, for properties without an antecedent."""
    return True
