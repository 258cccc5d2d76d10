"""What can be observed of a run: a named, versioned list, and its value in a state.

The difference between two eras depends on what one may look at, so the list is part of every answer
(`docs/decisions/0014-difference-by-observation.md`). An observable is a set of fields. An observation
is the value of all chosen fields at one moment; writes that change nothing are invisible.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum

import attrs

from oom_spec.generating import judge
from oom_spec.instances import Instance
from oom_spec.language import Object, SpecError, UnknownNameError, terms
from oom_spec.language.terms import FALSE, Op
from oom_spec.lifting import HALTED
from oom_spec.packing import Packing
from oom_spec.protocol.state import Fault, Fork, Killer, Mm, Mrelease, Process, Reaper, Scanner, Task, Walker
from oom_spec.reachable_values import slot_of
from oom_spec.stepping import State, Variable

VERSION = 1
"""The version of `OBSERVABLES`: raised whenever a name gets or loses a field, for then answers may change."""

ENDED = "the scenario's end"
"""Observed always, beside the reason of a halt: beyond it nothing is compared."""

Observation = tuple[str, ...]
"""The value of each observed field as text, in the order of `Observer.names`."""


@attrs.frozen(eq=False)
class Aspect:
    """One field of every object of a class, with values merged that an observer cannot tell apart."""

    kind: type[Object]
    field: str
    merged: Mapping[Enum, str] = attrs.field(factory=dict)
    """What to call some values; those of one name look the same."""

    def label(self, variable: Variable, code: int) -> str:
        """The value behind ``code``, as an observer sees it."""
        value = variable.values[code]
        if isinstance(value, Enum) and value in self.merged:
            return self.merged[value]
        return "nobody" if value is None else variable.show(code)


@attrs.frozen(eq=False)
class Observable:
    """A name of the list, and what it looks at."""

    name: str
    meaning: str
    aspects: tuple[Aspect, ...]


_WITHOUT_LOCK: Mapping[Enum, str] = {
    Scanner.ABSENT: "no lock",
    Scanner.WORKING: "no lock",
    Scanner.WRITE_WAITS: "no lock",
}

OBSERVABLES: tuple[Observable, ...] = (
    Observable("skip", "MMF_OOM_SKIP of each mm.", (Aspect(Mm, "oom_skip"),)),
    Observable("unstable", "MMF_UNSTABLE of each mm.", (Aspect(Mm, "unstable"),)),
    Observable(
        "locks",
        "Who holds mmap_sem of each mm, for reading or writing; not who waits for it.",
        (
            Aspect(Mm, "writer"),
            Aspect(Mm, "read_by_reaper"),
            Aspect(Mm, "read_by_exit"),
            Aspect(Mm, "foreign_readers"),
            Aspect(Mm, "scanner", _WITHOUT_LOCK),
            Aspect(Task, "reads"),
            Aspect(Fault, "reads"),
            Aspect(Mrelease, "reads"),
            Aspect(Fork, "writes"),
            Aspect(Walker, "reads"),
        ),
    ),
    Observable(
        "memory",
        "Pages mapped, by kind; whether page tables and VMAs are there, freed or gone; the page that S3 watches.",
        (
            Aspect(Mm, "reapable"),
            Aspect(Mm, "mlocked"),
            Aspect(Mm, "unreapable"),
            Aspect(Mm, "page_tables"),
            Aspect(Mm, "vmas"),
            Aspect(Mm, "watched"),
        ),
    ),
    Observable(
        "kills",
        "Whom each OOM killer has picked; which processes got SIGKILL, and which are marked (signal->oom_mm).",
        (Aspect(Killer, "victim"), Aspect(Process, "sigkill"), Aspect(Process, "oom_mm")),
    ),
    Observable(
        "results",
        "What handle_mm_fault and process_mrelease return.",
        (Aspect(Fault, "result"), Aspect(Mrelease, "result")),
    ),
    Observable(
        "oom-lock",
        "Who holds oom_lock.",
        (Aspect(Reaper, "holds_oom_lock"), Aspect(Killer, "holds_oom_lock"), Aspect(Mm, "exit_holds_oom_lock")),
    ),
    Observable(
        "exits",
        "How far each thread has come in its exit: PF_EXITING, its mm gone, TIF_MEMDIE, unhashed.",
        (Aspect(Task, "exiting"), Aspect(Task, "has_mm"), Aspect(Task, "memdie"), Aspect(Task, "hashed")),
    ),
)
"""Every observable. Those of `DEFAULT` are what a property of this protocol speaks of, or a user can notice."""

DEFAULT = ("skip", "unstable", "locks", "memory", "kills", "results")
"""What is observed unless a user says otherwise."""


def find_observables(names: Iterable[str]) -> tuple[Observable, ...]:
    """The observables of these names, in the order of the list.

    Raises `UnknownNameError`, suggesting the nearest name, for one that is not on the list.
    """
    known = {each.name: each for each in OBSERVABLES}
    wanted = dict.fromkeys(names)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownNameError(f"unknown observable {name!r}{hint or ';'} the list is {', '.join(known)}")
    return tuple(each for each in OBSERVABLES if each.name in wanted)


class Interned:
    """Observations numbered from 0: one numbering for all eras that are compared."""

    def __init__(self) -> None:
        self.numbers: dict[Observation, int] = {}
        self.observations: list[Observation] = []

    def number(self, observation: Observation) -> int:
        """The number of an observation, a new one if need be."""
        found = self.numbers.get(observation)
        if found is None:
            found = self.numbers[observation] = len(self.observations)
            self.observations.append(observation)
        return found


class Observer:
    """The observations of one instance. A field that keeps one value there is observed like any other."""

    def __init__(self, instance: Instance, observables: Sequence[Observable]) -> None:
        """Raises `SpecError` for an observable that looks at history or at a program counter."""
        self.instance = instance
        aspects = {f"{a.kind.__name__}.{a.field}": a for each in observables for a in each.aspects}
        self._entries: list[tuple[int, tuple[str, ...]]] = []
        """Position of each observed variable in a plain state, and the label of each of its codes."""
        names = []
        for position, variable in enumerate(instance.variables):
            aspect = aspects.get(variable.slot[0])
            if aspect is None and variable.slot != HALTED:
                continue
            if variable.declaration.history or variable.declaration.program_counter:
                raise SpecError(
                    f"{variable.slot[0]} cannot be observed: it is "
                    f"{'history' if variable.declaration.history else 'a program counter'}; observe a flag or a count"
                )
            codes = range(len(variable.values))
            labels = tuple(variable.show(code) if aspect is None else aspect.label(variable, code) for code in codes)
            self._entries.append((position, labels))
            names.append(variable.name)
        self.names = (*names, ENDED)
        """What each part of an observation is called: ``mm0.oom_skip``."""

    def plain(self, state: State) -> Observation:
        """The observation of a plain state."""
        ends = self.instance.scenario.ends
        ended = ends is not None and self.instance.holds(ends, (), state)
        return (*(labels[state[position]] for position, labels in self._entries), "reached" if ended else "not reached")

    def changes(self, before: Observation, after: Observation) -> tuple[str, ...]:
        """``mm0.oom_skip: false -> true``: what an observer notices between two moments."""
        return tuple(
            name if name == ENDED else f"{name}: {old} -> {new}"
            for name, old, new in zip(self.names, before, after, strict=True)
            if old != new
        )

    def packed(self, packing: Packing, interned: Interned) -> Callable[[int], int]:
        """The number of a packed state's observation; states that agree where it matters are looked at once."""
        instance = self.instance
        fields: list[tuple[int, int, tuple[str, ...]]] = []
        relevant = 0
        for position, labels in self._entries:
            variable = instance.variables[position]
            offset = packing.offsets.get(variable.slot)
            if offset is None:  # folded: it keeps its initial value, whatever it does in another era
                fields.append((0, 0, (labels[variable.initial],)))
                continue
            mask = packing.mask(variable.slot)
            fields.append((offset, mask, labels))
            relevant |= mask << offset
        ended = judge(packing, [instance.ends]) if instance.ends is not FALSE else None
        for leaf in terms.leaves(instance.ends, Op.FIELD):
            slot = slot_of(leaf)
            relevant |= packing.mask(slot) << packing.offsets[slot]
        known: dict[int, int] = {}

        def observe(state: int) -> int:
            key = state & relevant
            found = known.get(key)
            if found is None:
                over = ended is not None and ended(state) is not None
                values = [labels[state >> offset & mask] for offset, mask, labels in fields]
                found = known[key] = interned.number((*values, "reached" if over else "not reached"))
            return found

        return observe


__all__ = [
    "DEFAULT",
    "ENDED",
    "OBSERVABLES",
    "VERSION",
    "Aspect",
    "Interned",
    "Observable",
    "Observation",
    "Observer",
    "find_observables",
]
