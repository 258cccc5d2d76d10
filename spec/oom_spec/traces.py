"""A run as data: who did what in which kernel function, and what it changed. Read and written as JSON and ITF.

The column of a step is the thread that executes it: steps of __mmput belong to whoever dropped the
last mm_users, so that a diagram shows threads, as commit messages do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import attrs

from oom_spec.exploring import Exploration, Hit, replay
from oom_spec.instances import Action, Instance
from oom_spec.language import Era, Property, SpecError, World, terms
from oom_spec.language.steps import actor_parameter
from oom_spec.language.terms import Op
from oom_spec.lassos import Judged
from oom_spec.lifting import Slot
from oom_spec.protocol.points import MreleaseAt, WalkerAt
from oom_spec.protocol.state import Executor, Fault, Fork, Killer, Mm, Mrelease, Reaper, Task, Walker
from oom_spec.reachable_values import slot_of
from oom_spec.stacks import EXECUTORS, FOREIGN, FUNCTIONS, KWORKER, OTHERS, TIMER, Names, Stack, Thread
from oom_spec.stepping import State

SCHEMA = 1
"""The version of the JSON form."""

ACTORS = (Task, Reaper, Killer, Fault, Mrelease, Fork, Walker)
"""The classes of objects that are threads, in the order of the columns."""


def releases(era: Era) -> str:
    """``v4.9 - v4.12``: the releases of an era, or its id where it has none."""
    found = [name for name in era.aliases if name.startswith("v")]
    if not found:
        return era.id
    return found[0] if len(found) == 1 else f"{found[0]} - {found[-1]}"


@attrs.frozen
class Place:
    """Where a step stands in the code of its thread."""

    column: str
    function: str
    """The function that makes the call, by its name in that release."""
    frames: Stack
    """The functions that it is in; without `call`, even where that is one of them."""
    call: str
    tail: Stack
    """Functions that the call enters at once: ``__mmput`` after the last mmput."""
    after: Stack
    """Where the thread stands afterwards."""

    def lines(self, before: Stack) -> list[tuple[int, str]]:
        """(depth, name) of what a diagram prints: functions newly entered, the call, its tail."""
        shared = 0
        for old, new in zip(before, self.frames, strict=False):
            if old != new:
                break
            shared += 1
        names = [*self.frames[shared:], self.call, *self.tail]
        return [(shared + number, name) for number, name in enumerate(names)]


class Staging:
    """Columns and call stacks of an instance's steps."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        objects = instance.structure.objects
        self.kinds = {name: kind.__name__ for kind in ACTORS for name in objects.get(kind.__name__, ())}
        self.columns: tuple[str, ...] = (*self.kinds, FOREIGN, KWORKER, TIMER, OTHERS)
        self.names = Names(instance.era)

    def column(self, action: Action, value: Callable[[Slot], object], stacks: Mapping[str, Stack]) -> str:
        """The thread that executes ``action`` in the state that ``value`` reads, where threads are in ``stacks``."""
        if action.step.actor is not Mm:
            return self.own_column(action)
        found = self.executors(action.actor, value)
        return next((each for each in found if "__mmput" in stacks.get(each, ())), found[0])

    def own_column(self, action: Action) -> str:
        """The thread of an action that belongs to one; for a step of __mmput, the mm."""
        if action.step.actor is World:
            named = {"access_remote_vm": FOREIGN, "wake_oom_reaper": TIMER}
            return named.get(action.step.kernel_function, OTHERS)
        return action.actor

    def executors(self, mm: str, value: Callable[[Slot], object]) -> tuple[str, ...]:
        """The threads that may be running __mmput of ``mm``, the likeliest first: the state alone may leave several."""
        runs = value(("Mm.executor", (mm,)))
        objects, statics = self.instance.structure.objects, self.instance.structure.statics
        found: list[str] = []
        if runs is Executor.TASK:
            for task in objects.get("Task", ()):
                process = str(statics["Task.process", task])
                if statics["Process.mm", process] == mm and value(("Task.in_mmput", (task,))) is True:
                    found.append(task)
        elif runs is Executor.KTHREAD:
            faults = [each for each in objects.get("Fault", ()) if statics["Fault.mm", each] == mm]
            found += [fault for fault in faults if value(("Fault.pins", (fault,))) is False]
        elif runs is Executor.MRELEASE:
            for caller in objects.get("Mrelease", ()):
                target = statics["Process.mm", str(statics["Mrelease.target", caller])]
                if target == mm and value(("Mrelease.at", (caller,))) is MreleaseAt.MMPUT_RETURNS:
                    found.append(caller)
        elif runs is Executor.FORKER:
            found += [fork for fork in objects.get("Fork", ()) if statics["Fork.child", fork] == mm]
        elif runs is Executor.REAPER:
            found += objects.get("Reaper", ())
        elif runs is Executor.FOREIGN:
            found.append(FOREIGN)
            for walker in objects.get("Walker", ()):
                if statics["Walker.mm", walker] == mm and value(("Walker.at", (walker,))) is WalkerAt.DONE:
                    found.append(walker)
        elif runs is Executor.WORKQUEUE:
            found.append(KWORKER)
        return tuple(found) or (OTHERS,)

    def thread(self, action: Action) -> Thread:
        """What the call stack of ``action`` depends on besides its step."""
        statics = self.instance.structure.statics
        kind = action.step.actor
        return Thread(
            memcg=kind is Killer and statics["Killer.memcg", action.actor] is True,
            swapoff=kind is Walker and statics["Walker.swapoff", action.actor] is True,
            ksmd=kind is World and "mm" in action.arguments and statics["Mm.ksmd", action.arguments["mm"]] is True,
        )

    def stack(self, action: Action) -> Stack:
        """The functions that ``action`` is in, as far as its step tells."""
        return self.names.frames(action.step, self.thread(action))

    def place(self, action: Action, column: str, before: Stack) -> Place:
        """Where ``action`` stands, for a thread that was in ``before``."""
        step, thread = action.step, self.thread(action)
        call, frames = self.names.call(step, thread, before), self.names.frames(step, thread, before)
        if step.actor is Mm:
            frames = (*self._below(column, before), "__mmput", *frames[1:])
        tail = ("__mmput",) if call == "mmput" and step.outcome.startswith("last") else ()
        after = frames
        if call in FUNCTIONS or call in self.names.functions:
            after = (*frames, call, *tail)
        elif step.actor is Mm and call == "mmdrop":
            after = frames[: frames.index("__mmput")][:-1]
        return Place(column, self.names.function(step, thread, before), frames, call, tail, after)

    def _below(self, column: str, before: Stack) -> Stack:
        """The stack of a thread below __mmput."""
        if "__mmput" in before:
            return before[: before.index("__mmput")]
        return EXECUTORS.get(self.kinds.get(column, column), ())


def subjects(action: Action) -> tuple[str, ...]:
    """Objects that a reader cannot know from the actor: those of killers, the reaper, the environment, and so on."""
    step = action.step
    if step.actor not in (Killer, Reaper, Mrelease, World):
        return ()
    acting = actor_parameter(step) if step.actor is not World else ""
    return tuple(
        action.arguments[name]
        for name, kind in step.parameters
        if kind is not World and name != acting and name not in step.binds
    )


def remark_of(outcome: str, about: Sequence[str]) -> str:
    """The comment behind a call: ``P1.t0: set``. That exit_mmap is at work is seen from the call stack."""
    told = outcome.removeprefix("exit_mmap").removeprefix(", ")
    return ": ".join(part for part in (", ".join(about), told) if part)


@attrs.frozen
class Change:
    """One variable that a step changed, values as text."""

    name: str
    before: str
    after: str


@attrs.frozen
class Taken:
    """One step of a run."""

    action: str
    """Id of step and objects."""
    actor: str
    column: str
    function: str
    """The kernel function that it is a part of."""
    call: str
    outcome: str
    about: tuple[str, ...]
    """Objects that are worth naming beside the call."""
    frames: Stack
    """As in `Place`, like the next two."""
    tail: Stack
    after: Stack
    changes: tuple[Change, ...]
    race: bool
    """Another thread wrote what it reads, or reads or writes what it wrote; or the violated property reads it."""

    @property
    def remark(self) -> str:
        """The comment behind the call."""
        return remark_of(self.outcome, self.about)

    def lines(self, before: Stack) -> list[tuple[int, str]]:
        """As `Place.lines`."""
        return Place(self.column, self.function, self.frames, self.call, self.tail, self.after).lines(before)


@attrs.frozen
class Run:
    """A run of an era in a scenario, with what it violates, if anything."""

    era: str
    releases: str
    scenario: str
    start: tuple[Taken, ...]
    """From the cold start to where the scenario starts; empty if it starts cold."""
    steps: tuple[Taken, ...]
    property: str | None = None
    statement: str = ""
    depth: int | None = None
    """Steps from the scenario's start to the violation, the judged step included."""
    titles: Mapping[str, str] = attrs.field(factory=dict)
    """What to call each column."""
    objects: tuple[str, ...] = ()
    """The objects that a property of states is violated for, as far as the last step does not name them."""
    excuse: str = ""
    """The excuse (N3) without which the property would be violated; empty if it is violated."""
    ending: str = ""
    """For a property of progress: what is wrong from the end of `steps` on, as a sentence without its full stop."""
    cycle: tuple[Taken, ...] = ()
    """For a run that goes on for ever: what repeats from there on."""
    fair: Mapping[str, str] = attrs.field(factory=dict)
    """For a run that goes on for ever: whom the property counts on, with what it does from there on."""
    unfair: Mapping[str, str] = attrs.field(factory=dict)
    """And who could end it but need not act, with the first step that it leaves untaken."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The threads that take part after the start."""
        return columns_of((*self.steps, *self.cycle), self.titles)


def columns_of(steps: Iterable[Taken], titles: Mapping[str, str]) -> tuple[str, ...]:
    """The threads of ``steps`` in the order of ``titles``."""
    present = {taken.column for taken in steps}
    return tuple(column for column in titles if column in present)


def run_of(
    instance: Instance,
    steps: Sequence[Action],
    *,
    start: Sequence[Action] = (),
    violated: Property | None = None,
    depth: int | None = None,
    excuse: str = "",
    ending: str = "",
    cycle: Sequence[Action] = (),
    judged: Judged | None = None,
) -> Run:
    """The run that takes ``start`` and then ``steps`` from the cold start, and then repeats ``cycle``.

    ``judged`` says who is treated how from there on.

    Raises `SpecError` where a step cannot be taken.
    """
    whole = [*start, *steps, *cycle]
    before = len(start) + len(steps)
    states = replay(instance, whole)
    taken = _describe(instance, whole, states, _looked_at(instance, violated))
    return Run(
        era=instance.era.id,
        releases=releases(instance.era),
        scenario=instance.scenario.id,
        start=tuple(taken[: len(start)]),
        steps=tuple(taken[len(start) : before]),
        property=None if violated is None else violated.id,
        statement="" if violated is None else violated.statement,
        depth=depth,
        titles=_titles(instance, states[before]),
        objects=_unnamed(instance, violated, whole[before - 1].id if before else "", states[before]),
        excuse=excuse,
        ending=ending,
        cycle=tuple(taken[before:]),
        fair={} if judged is None else judged.fair,
        unfair={} if judged is None else judged.unfair,
    )


def run_to(exploration: Exploration, hit: Hit, violated: Property) -> Run:
    """The shortest run to what an exploration found of a property."""
    return run_of(
        exploration.instance,
        exploration.run_to(hit),
        start=exploration.prefix_run,
        violated=violated,
        depth=hit.depth,
    )


def violates(instance: Instance, subject: Property, given: tuple[object, ...], state: State) -> bool:
    """Whether ``state`` violates a property for the objects ``given``, excuses (N3) accepted."""
    excused = subject.excuse is not None and instance.holds(subject.excuse, given, state)
    return not excused and instance.holds(subject.when, given, state) and not instance.holds(subject.then, given, state)


def _unnamed(instance: Instance, subject: Property | None, last: str, state: State) -> tuple[str, ...]:
    """The first objects that violate a property of states in ``state``, without those that the last action names."""
    if subject is None or subject.graph or subject.event is not None:
        return ()
    objects = [instance.structure.objects.get(kind.__name__, ()) for kind in subject.over]
    obvious = {*re.split(r"[(), ]+", last), *(names[0] for names in objects if len(names) == 1)}
    for given in product(*objects):
        if violates(instance, subject, given, state):
            return tuple(each for each in given if each not in obvious)
    return ()


def _looked_at(instance: Instance, subject: Property | None) -> set[Slot]:
    """What a property reads: who writes it belongs to the race."""
    if subject is None or subject.graph:
        return set()
    by_path = instance.obligations(subject).values()
    checks = instance.invariants(subject) if subject.event is None else [each for checks in by_path for each in checks]
    formulas = (term for check in checks for term in (check.when, check.excused))
    return {slot_of(leaf) for term in formulas for leaf in terms.leaves(term, Op.FIELD)}


def _describe(
    instance: Instance, actions: Sequence[Action], states: Sequence[State], looked_at: set[Slot]
) -> list[Taken]:
    staging = Staging(instance)
    store = instance.concrete
    stacks: dict[str, Stack] = {}
    columns: list[str] = []
    changed: list[list[tuple[Slot, Change]]] = []
    places: list[Place] = []
    for action, before, after in zip(actions, states[:-1], states[1:], strict=True):
        store.load(before)
        column = staging.column(action, store.value, stacks)
        place = staging.place(action, column, stacks.get(column, ()))
        stacks[column] = place.after
        columns.append(column)
        places.append(place)
        changed.append(
            [
                (variable.slot, Change(variable.name, variable.show(old), variable.show(new)))
                for variable, old, new in zip(store.variables, before, after, strict=True)
                if old != new
            ]
        )
    racing = _racing(instance, actions, columns, [{slot for slot, _ in each} for each in changed])
    return [
        Taken(
            action=action.id,
            actor=action.actor,
            column=place.column,
            function=place.function,
            call=place.call,
            outcome=action.step.outcome,
            about=subjects(action),
            frames=place.frames,
            tail=place.tail,
            after=place.after,
            changes=tuple(change for _, change in changes),
            race=race or any(slot in looked_at for slot, _ in changes),
        )
        for action, place, changes, race in zip(actions, places, changed, racing, strict=True)
    ]


def _racing(
    instance: Instance, actions: Sequence[Action], columns: Sequence[str], written: Sequence[set[Slot]]
) -> list[bool]:
    """Which steps conflict with a step of another column: one of the two writes what both touch."""
    reads: dict[str, set[Slot]] = {}
    for path in instance.paths:
        found = reads.setdefault(path.action.id, set())
        for term in (path.condition, *path.updates.values()):
            found.update(slot_of(leaf) for leaf in terms.leaves(term, Op.FIELD))
    racing = [False] * len(actions)
    writer: dict[Slot, int] = {}
    readers: dict[Slot, list[int]] = {}
    for number, action in enumerate(actions):
        others: set[int] = set()
        for slot in reads.get(action.id, set()) | written[number]:
            if slot in writer:
                others.add(writer[slot])
        for slot in written[number]:
            others.update(readers.pop(slot, ()))
            writer[slot] = number
        for slot in reads.get(action.id, set()):
            readers.setdefault(slot, []).append(number)
        for other in others:
            if columns[other] != columns[number]:
                racing[other] = racing[number] = True
    return racing


SECOND_ROLE = ("Fault.kernel_thread", "Walker.swapoff")
"""Fixed flags that give a thread another title."""
ROLES = {
    ("Reaper", False): "oom_reaper",
    ("Killer", False): "killer",
    ("Fault", False): "page fault",
    ("Fault", True): "kthread",
    ("Mrelease", False): "process_mrelease caller",
    ("Fork", False): "parent in fork",
    ("Walker", False): "uprobes",
    ("Walker", True): "swapoff",
}
"""What a thread of each class is called, without and with such a flag."""
PLAIN_TITLES = {"reaper": "oom_reaper", "mrelease": "process_mrelease caller", "forker": "parent in fork"}
"""Titles without the name of the object, for the only one of its kind; the reader knows them."""


def _titles(instance: Instance, end: State) -> dict[str, str]:
    """Column titles in the order of the columns: kernel-like names that keep the instance's."""
    structure = instance.structure
    store = instance.concrete
    store.load(end)
    titles = {}
    for column, kind in Staging(instance).kinds.items():
        if kind == "Task":
            process = str(structure.statics["Task.process", column])
            if store.value(("Process.oom_mm", (process,))) is True or store.value(("Process.sigkill", (process,))):
                role = "victim"
            else:
                role = "bystander" if structure.statics["Process.bystander", process] else "task"
            titles[column] = f"{role} ({column})"
        elif kind == "Killer" and structure.statics["Killer.current", column] is not None:
            titles[column] = f"{structure.statics['Killer.current', column]} allocating ({column})"
        elif column in PLAIN_TITLES:
            titles[column] = PLAIN_TITLES[column]
        else:
            role = ROLES[kind, any(structure.statics.get((each, column)) is True for each in SECOND_ROLE)]
            titles[column] = column if column.startswith(role) else f"{role} ({column})"
    return {**titles, FOREIGN: FOREIGN, KWORKER: KWORKER, TIMER: f"softirq ({TIMER})", OTHERS: OTHERS}


# -- JSON ------------------------------------------------------------------------------------


def to_json(run: Run) -> str:
    """The JSON form: one object with a schema number."""
    data = attrs.asdict(run)
    return json.dumps({"schema": SCHEMA, **data}, indent=1) + "\n"


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"line {error.lineno}: not valid JSON ({error.msg}): the file is damaged or cut off; write it again"
        ) from None
    if not isinstance(data, dict):
        raise SpecError("this JSON is no run: expected one object with `schema`, `era`, `scenario` and `steps`")
    if data.get("schema") != SCHEMA:
        raise SpecError(f"schema {data.get('schema')!r} is not known here: this version reads schema {SCHEMA}")
    for name in ("era", "scenario"):
        if not isinstance(data.get(name), str):
            raise SpecError(f"`{name}` is missing or no text: this JSON is no run")
    return data


def heading_of(text: str) -> tuple[str, str]:
    """The ids of the era and the scenario that a JSON run belongs to.

    Raises `SpecError` where the text is no run.
    """
    data = _object(text)
    return data["era"], data["scenario"]


def from_json(text: str, instance: Instance, properties: Sequence[Property] = ()) -> Run:
    """Read a run back: its action ids are looked up in ``instance`` and replayed.

    ``properties`` are looked up by the id that the file names, if it names one.
    Raises `SpecError`, saying what is wrong, for a text that is no run of this instance.
    """
    data = _object(text)
    for name, mine in (("era", instance.era.id), ("scenario", instance.scenario.id)):
        if data[name] != mine:
            raise SpecError(f"this run belongs to {name} {data[name]!r}, not to {mine!r}: replay it there")
    known = {action.id: action for action in instance.actions}

    def actions(name: str) -> list[Action]:
        given = data.get(name)
        if not isinstance(given, list):
            raise SpecError(f"`{name}` is missing or no list: this JSON is no run")
        found = []
        for number, each in enumerate(given, 1):
            wanted = each.get("action") if isinstance(each, dict) else None
            if not isinstance(wanted, str) or wanted not in known:
                raise SpecError(
                    f"{name}: step {number} is {wanted!r}, which is no action of era {instance.era.id} "
                    f"in scenario {instance.scenario.id}"
                )
            found.append(known[wanted])
        return found

    start, steps = actions("start"), actions("steps")
    cycle = actions("cycle") if "cycle" in data else []
    violated, depth = data.get("property"), data.get("depth")
    by_id = {each.id: each for each in properties}
    if violated is not None and violated not in by_id and properties:
        raise SpecError(f"the run names the property {violated!r}, which is unknown here")
    if depth is not None and (not isinstance(depth, int) or depth != len(steps)):
        raise SpecError(f"depth {depth!r} does not fit a run of {len(steps)} steps: the file is damaged or cut off")
    _can_be_taken(instance, [*start, *steps, *cycle])
    run = run_of(
        instance,
        steps,
        start=start,
        violated=by_id.get(str(violated)),
        depth=depth,
        excuse=str(data.get("excuse", "")),
        ending=str(data.get("ending", "")),
        cycle=cycle,
        judged=Judged(_texts(data, "fair"), _texts(data, "unfair")),
    )
    return attrs.evolve(run, property=violated) if isinstance(violated, str) else run


def _texts(data: Mapping[str, Any], name: str) -> dict[str, str]:
    found = data.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise SpecError(f"`{name}` holds no texts by name: the file is damaged")
    return found


def _can_be_taken(instance: Instance, run: Sequence[Action]) -> None:
    try:
        replay(instance, run)
    except SpecError as error:
        text = str(error).removeprefix("internal error: ").partition("; please")[0]
        raise SpecError(f"the run does not replay: {text}") from None


# -- ITF -------------------------------------------------------------------------------------


def to_itf(run: Run, instance: Instance) -> str:
    """The run in the Informal Trace Format of Apalache: one state per step, from the cold start.

    A cycle follows the rest; ``loop`` is its first state, which comes again after the last one.
    """
    known = {action.id: action for action in instance.actions}
    before = len(run.start) + len(run.steps)
    taken = [*run.start, *run.steps, *run.cycle]
    states = replay(instance, [known[each.action] for each in taken])
    names = [variable.name for variable in instance.variables]
    kinds: dict[type, str] = {bool: "Bool", int: "Int"}
    written = []
    for number, state in enumerate(states):
        action = taken[number - 1].action if number else "init"
        values: dict[str, object] = {"#meta": {"index": number, "action": action}}
        for variable, code in zip(instance.variables, state, strict=True):
            value = variable.values[code]
            values[variable.name] = value if isinstance(value, bool | int) else variable.show(code)
        written.append(values)
    meta = {
        "format": "ITF",
        "format-description": "https://apalache.informal.systems/docs/adr/015adr-trace.html",
        "schema": SCHEMA,
        "description": f"era {run.era}, scenario {run.scenario}",
        "violated": run.property,
        "varTypes": {v.name: kinds.get(type(v.values[-1]), "Str") for v in instance.variables},
    }
    loop = {"loop": before + 1} if run.cycle else {}
    return json.dumps({"#meta": meta, "vars": names, "states": written, **loop}, indent=1) + "\n"
