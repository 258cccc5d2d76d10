"""What can be observed of an implementation, and what the specification says it must be.

An observable belongs to a class of objects; its value for one object is named ``mm0.mm_users``. Numbers
of references and of lock holders are what the kernel counts; the specification, which keeps a name for
each holder, adds them up. Nothing here depends on program points, local variables or history: an
implementation need not be built like the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import cast

import attrs

from oom_conformance.interface import Value
from oom_spec.instances import Instance
from oom_spec.language import Object, World
from oom_spec.lifting import Slot
from oom_spec.packing import Packing
from oom_spec.protocol import derived
from oom_spec.protocol.state import Fault, Fork, Killer, Mm, Mrelease, Process, Reaper, Scanner, Task, Walker, Writer


class Reader:
    """Values of one instance's packed states, as Python expressions over the state ``s``."""

    def __init__(self, instance: Instance, packing: Packing) -> None:
        self.instance = instance
        self.packing = packing
        self.tables: list[tuple[object, ...]] = []
        self._variables = {variable.slot: variable for variable in instance.variables}

    def value(self, field: str, *owners: str) -> str:
        """A field: a number, a truth value, the name of an enum member, or the name of an object ("" for none)."""
        slot = (field, owners)
        shown = tuple(_plain(value) for value in self._variables[slot].values)
        if slot not in self.packing.offsets:
            return repr(shown[self._variables[slot].initial])
        if shown == tuple(range(len(shown))) and not isinstance(shown[0], bool):
            return self._code(slot)
        self.tables.append(shown)
        return f"_{len(self.tables) - 1}[{self._code(slot)}]"

    def number(self, field: str, *owners: str) -> str:
        """A count, or 1 for a flag that is set and 0 for one that is not."""
        slot = (field, owners)
        if slot not in self.packing.offsets:
            return str(self._variables[slot].initial)
        return self._code(slot)

    def is_any(self, field: str, members: Sequence[Enum], *owners: str) -> str:
        """1 where a choice is one of ``members``, else 0."""
        slot = (field, owners)
        codes = [int(value in members) for value in self._variables[slot].values]
        if slot not in self.packing.offsets:
            return str(codes[self._variables[slot].initial])
        self.tables.append(tuple(codes))
        return f"_{len(self.tables) - 1}[{self._code(slot)}]"

    def holds(self, formula: Callable[..., bool], *names: str) -> str:
        """A formula of the specification about the objects of these names."""
        return f"bool({self.packing.condition(self.instance.formula(formula, names))})"

    def static(self, kind: type[Object], attribute: str, name: str) -> object:
        """A fixed attribute."""
        return self.instance.structure.statics[f"{kind.__name__}.{attribute}", name]

    def named(self, kind: type[Object]) -> tuple[str, ...]:
        """The objects of a class."""
        return self.instance.structure.objects.get(kind.__name__, ())

    def tasks_of(self, mm: str) -> list[str]:
        """The threads of all processes that use ``mm``."""
        return [
            task
            for task in self.named(Task)
            if self.static(Process, "mm", str(self.static(Task, "process", task))) == mm
        ]

    def on(self, kind: type[Object], mm: str) -> list[str]:
        """The faults or walkers on ``mm``, or the forks that build it."""
        attribute = "child" if kind is Fork else "mm"
        return [name for name in self.named(kind) if self.static(kind, attribute, name) == mm]

    def callers_on(self, mm: str) -> list[str]:
        """The callers of process_mrelease whose target uses ``mm``."""
        return [
            name
            for name in self.named(Mrelease)
            if self.static(Process, "mm", str(self.static(Mrelease, "target", name))) == mm
        ]

    def _code(self, slot: Slot) -> str:
        return f"(s >> {self.packing.offsets[slot]} & {self.packing.mask(slot)})"


def _plain(value: object) -> Value:
    if isinstance(value, Enum):
        return value.name
    return "" if value is None else cast(Value, value)


def _mm_users(read: Reader, mm: str) -> str:
    parts = [read.number(f"Task.{field}", task) for task in read.tasks_of(mm) for field in ("has_mm", "owes_mmput")]
    parts += [read.number("Fault.pins", fault) for fault in read.on(Fault, mm)]
    parts += [read.number("Walker.pins", walker) for walker in read.on(Walker, mm)]
    parts += [read.number("Mrelease.pins", caller) for caller in read.callers_on(mm)]
    held = ("pinned_by_fork", "pinned_by_reaper", "pinned_by_mark", "foreign_users")
    return " + ".join([*parts, *(read.number(f"Mm.{field}", mm) for field in held)])


def _readers(read: Reader, mm: str) -> str:
    parts = [read.number("Task.reads", task) for task in read.tasks_of(mm)]
    parts += [read.number("Fault.reads", fault) for fault in read.on(Fault, mm)]
    parts += [read.number("Walker.reads", walker) for walker in read.on(Walker, mm)]
    parts += [read.number("Mrelease.reads", caller) for caller in read.callers_on(mm)]
    parts += [read.number(f"Mm.{field}", mm) for field in ("read_by_reaper", "read_by_exit", "foreign_readers")]
    return " + ".join([*parts, read.is_any("Mm.scanner", [Scanner.READING], mm)])


def _written(read: Reader, mm: str) -> str:
    return f"bool({read.is_any('Mm.writer', [each for each in Writer if each is not Writer.NOBODY], mm)})"


def _writers_waiting(read: Reader, mm: str) -> str:
    waits = [each for each in Writer if each is not Writer.NOBODY]
    return " + ".join(
        [
            read.is_any("Mm.exit_waits", waits, mm),
            read.number("Mm.foreign_waits", mm),
            read.is_any("Mm.scanner", [Scanner.WRITE_WAITS], mm),
        ]
    )


def _frozen(read: Reader, task: str) -> str:
    return read.value("Process.frozen", str(read.static(Task, "process", task)), task)


@attrs.frozen(eq=False)
class Observable:
    """One thing that can be looked at, once per object of a class."""

    kind: type[Object]
    name: str
    meaning: str
    read: Callable[[Reader, str], str]
    """The value that the specification gives it: a Python expression over a packed state."""

    @property
    def id(self) -> str:
        """``Mm.mm_users``"""
        return f"{self.kind.__name__}.{self.name}"


def _field(kind: type[Object], field: str, meaning: str, name: str = "") -> Observable:
    qualified = f"{kind.__name__}.{field}"
    return Observable(kind, name or field, meaning, lambda read, owner: read.value(qualified, owner))


def _formula(kind: type[Object], name: str, formula: Callable[..., bool], meaning: str) -> Observable:
    return Observable(kind, name, meaning, lambda read, owner: read.holds(formula, owner))


OBSERVABLES: tuple[Observable, ...] = (
    _field(World, "halted", "RUNNING, or why the machine stopped: PANIC, LIST_CORRUPTED."),
    Observable(
        World,
        "oom_lock",
        "Somebody holds oom_lock.",
        lambda read, owner: read.holds(derived.oom_lock_taken),
    ),
    Observable(Mm, "mm_users", "mm->mm_users.", _mm_users),
    _formula(Mm, "allocated", derived.mm_allocated, "mm->mm_count is above 0: the mm_struct is not freed."),
    Observable(Mm, "readers", "Holders of mmap_sem for reading.", _readers),
    Observable(Mm, "written", "Somebody holds mmap_sem for writing.", _written),
    Observable(Mm, "writers_waiting", "Writers queued on mmap_sem.", _writers_waiting),
    _field(Mm, "oom_skip", "MMF_OOM_SKIP; in v4.7 and v4.8 MMF_OOM_REAPED."),
    _field(Mm, "unstable", "MMF_UNSTABLE."),
    _field(Mm, "oom_victim", "MMF_OOM_VICTIM."),
    _field(Mm, "reap_queued", "MMF_OOM_REAP_QUEUED."),
    _field(Mm, "not_reapable", "MMF_OOM_NOT_REAPABLE."),
    _field(Mm, "reapable", "Mapped pages of private VMAs that had no VM_LOCKED at the start."),
    _field(Mm, "mlocked", "Mapped pages of a private VMA that had VM_LOCKED at the start."),
    _field(Mm, "unreapable", "Mapped pages of shared, hugetlb and PFN VMAs."),
    _field(Mm, "vm_locked", "That VMA still has VM_LOCKED."),
    _field(Mm, "gathered", "exit_mmap's mmu_gather holds pages."),
    _field(Mm, "page_tables", "PRESENT, BEING_FREED or FREED."),
    _field(Mm, "vmas", "PRESENT, NEVER, BEING_FREED or FREED."),
    _field(Mm, "no_mmap", "mm->mmap is NULL, though VMAs were there; from v6.1 on: the tree is destroyed."),
    _field(Mm, "half_built", "The tree has an XA_ZERO entry."),
    _field(Mm, "watched", "The watched page: EMPTY, PRIVATE, REAPED or SUBSTITUTE; NOT_WATCHED where there is none."),
    _field(Process, "sigkill", "SIGKILL was sent, and SIGNAL_GROUP_EXIT is set."),
    _field(Process, "oom_mm", "signal->oom_mm is set; until v4.8: some thread has TIF_MEMDIE."),
    _field(Process, "oom_score_adj_min", "oom_score_adj is OOM_SCORE_ADJ_MIN."),
    _field(Task, "has_mm", "t->mm is the mm of the scenario."),
    _field(Task, "exiting", "PF_EXITING."),
    _field(Task, "memdie", "TIF_MEMDIE."),
    _field(Task, "hashed", "Not released."),
    _field(Task, "in_cgroup", "A walk over the tasks of its cgroup can meet it."),
    _field(Task, "allocating", "It is inside the allocator's slow path."),
    _field(Task, "queue_depth", "Its position on oom_reaper_list from the tail, 1 being the tail; 0: not on it."),
    _field(Task, "linked", "t->oom_reaper_list is not NULL."),
    _field(Task, "timer", "t->oom_reaper_timer is armed."),
    Observable(Task, "frozen", "It is frozen.", _frozen),
    _formula(Task, "locked", derived.task_lock_taken, "A killer or process_mrelease holds its task_lock."),
    _formula(Task, "allocated", derived.task_allocated, "Its task_struct is not freed."),
    _field(Reaper, "job", "The task that oom_reap_task works on."),
    _field(Killer, "victim", "The task that is being killed or marked."),
    _field(Fault, "result", "What handle_mm_fault has returned: NONE, HANDLED, RETRY, SIGBUS or COMPLETED."),
    _field(Mrelease, "result", "The return value so far: NONE, SUCCESS, EAGAIN, EINTR, EINVAL or ESRCH."),
)
"""Everything that can be observed, in the order of reports."""

BY_ID: Mapping[str, Observable] = {each.id: each for each in OBSERVABLES}

Observation = tuple[Value, ...]


def columns(instance: Instance, observes: Sequence[str] | None = None) -> list[tuple[str, Observable, str]]:
    """(name, observable, object) of everything to look at in this instance; ``observes``: ids, None for all."""
    chosen = OBSERVABLES if observes is None else [BY_ID[name] for name in observes if name in BY_ID]
    by_kind: dict[type[Object], list[Observable]] = {}
    for each in chosen:
        by_kind.setdefault(each.kind, []).append(each)
    return [
        (f"{owner}.{each.name}", each, owner)
        for kind, several in by_kind.items()
        for owner in instance.structure.objects.get(kind.__name__, ())
        for each in several
    ]


def observer(
    instance: Instance, packing: Packing, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Callable[[int], Observation]]:
    """What is looked at, and a function from a packed state to its values; ``names`` chooses and orders them.

    Raises `KeyError` for a name that this instance does not have.
    """
    read = Reader(instance, packing)
    every = {name: (each, owner) for name, each, owner in columns(instance)}
    chosen = tuple(every) if names is None else tuple(names)
    texts = [every[name][0].read(read, every[name][1]) for name in chosen]
    namespace: dict[str, object] = {f"_{number}": table for number, table in enumerate(read.tables)}
    source = "def observe(s):\n    return (" + "".join(f"{text}, " for text in texts) + ")\n"
    exec(compile(source, "<generated observer>", "exec"), namespace)  # the source is built from names and terms only
    return chosen, cast(Callable[[int], Observation], namespace["observe"])


__all__ = ["BY_ID", "OBSERVABLES", "Observable", "Observation", "Reader", "columns", "observer"]
