"""An implementation run beside the specification, one action at a time.

Before each action the implementation must offer exactly what the specification allows; after it, both
must see the same. What differs is a `Divergence`, which says what, where, and after which schedule. An
implementation that conforms still shows the races of its era: properties that the specification itself
violates on the way are collected in `Lockstep.broken`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, unique
from typing import Any

import attrs

from oom_conformance.interface import Capabilities, Implementation, ImplementationError, Value
from oom_conformance.observables import BY_ID, Observation, columns, observer
from oom_conformance.oracle import Node, Oracle
from oom_conformance.worlds import describe
from oom_spec.language import SpecError

Schedule = tuple[str, ...]
"""Actions in the order in which they were taken."""


@unique
class Kind(Enum):
    """What an implementation did that it must not do."""

    FORBIDDEN = "it offers what the specification forbids"
    MISSING = "it does not offer what the specification allows"
    OBSERVATION = "it shows something else than the specification"
    REPORT = "its own checks report a fault, and the specification knows of none"
    BROKEN = "it broke the protocol of the suite, crashed or hung"


@attrs.frozen
class Difference:
    """One observable that differs."""

    name: str
    expected: Value
    seen: Value

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.expected)} expected, {_shown(self.seen)} seen"


@attrs.frozen(eq=False)
class Divergence(Exception):  # noqa: N818 - a result like any other; only its way to the caller is an exception
    """Where an implementation and the specification part."""

    kind: Kind
    era: str
    scenario: str
    schedule: Schedule
    """What was run, the action after which they part included."""
    actions: Schedule = ()
    """What is offered too much or too little."""
    reasons: tuple[str, ...] = ()
    """For each action that is forbidden: the guard that forbids it."""
    differences: tuple[Difference, ...] = ()
    message: str = ""
    """What the implementation did, where it broke."""
    broken: tuple[str, ...] = ()
    """Ids of properties that the run had violated in the specification itself before they parted."""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two divergences the same fault: how they part and on which step, not the way there."""
        steps = tuple(sorted({step_of(action) for action in self.actions}))
        names = tuple(sorted({each.name.split(".")[-1] for each in self.differences}))
        last = step_of(self.schedule[-1]) if self.schedule and self.kind is Kind.OBSERVATION else ""
        return (self.kind.name, *steps, last, *names, self.message.split(":")[0])

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """What a report says of it."""
        found = [f"{self.era} in {self.scenario}: {self.kind.value}"]
        if self.message:
            found.append(f"  {self.message}")
        reasons: Iterable[str] = self.reasons or [""] * len(self.actions)
        for action, reason in zip(self.actions, reasons, strict=True):
            found.append(f"  {action}" + (f": {reason}" if reason else ""))
        found += [f"  {each}" for each in self.differences]
        found.append(f"  after {len(self.schedule)} steps:")
        found += [f"    {number:3} {action}" for number, action in enumerate(self.schedule, 1)]
        return found


def step_of(action: str) -> str:
    """The id of the step of an action: without its objects."""
    return action[: action.rindex("(")] if action.endswith(")") else action


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


class Lockstep:
    """One implementation beside one oracle; `start` begins a run, `step` takes an action in both."""

    def __init__(
        self,
        oracle: Oracle,
        implementation: Implementation,
        capabilities: Capabilities | None = None,
        asked_for: str | None = None,
    ) -> None:
        """``asked_for``: the era whose code the implementation is asked for, if it is not the oracle's."""
        self.oracle = oracle
        self.implementation = implementation
        self.capabilities = capabilities or implementation.capabilities()
        self.asked_for = asked_for or oracle.era.id
        self.world = describe(oracle.scenario)
        self.node: Node = oracle.cold
        self.schedule: list[str] = []
        self.names: tuple[str, ...] = oracle.names
        self.broken: dict[str, int] = {}
        """Properties that the run has violated in the specification, with the length of the run up to there."""
        self._observe: Any = None
        self._run = implementation.run
        self._seen = implementation.observe
        self._offered = implementation.runnable
        self._reports: Callable[[], Sequence[str]] | None = getattr(implementation, "reports", None)

    # -- a run -------------------------------------------------------------------------------

    def start(self) -> Node:
        """Begin a run where the scenario starts.

        Raises `Divergence`, in the first state already, or on the way from the cold start.
        """
        self.schedule = []
        self.broken = {}
        self.node = self.oracle.cold
        try:
            names = tuple(self.implementation.reset(self.asked_for, self.world))
        except (
            Exception,
            SystemExit,
        ) as problem:  # whatever it raises is its own fault
            raise self._crashed("reset", problem) from problem
        if self._observe is None or names != self.names:
            self._look_at(names)
        self._compare(self.node)
        for action in self.oracle.prefix:
            self.step(action)
        return self.node

    def step(self, action: str) -> Node:
        """Take an action, which must be one of `node`.

        Raises `Divergence`.
        """
        before = self.node
        self.schedule.append(action)
        try:
            self._run(action)
        except (Exception, SystemExit) as problem:  # as above
            raise self._crashed(f"run {action}", problem) from problem
        node = before.known.get(action)
        if node is None:
            node = self.oracle.after(before, action)
        self.node = node
        if node.broken or before.targets[action][1] in self.oracle.judged_paths:
            self._note(before, action, node)
        self._compare(node)
        if self._reports is not None and not self.broken:
            try:
                reports = tuple(map(str, self._reports()))
            except (Exception, SystemExit) as problem:  # as above
                raise self._crashed("reports", problem) from problem
            if reports:
                raise self._divergence(Kind.REPORT, message="; ".join(reports))
        return node

    def _note(self, before: Node, action: str, node: Node) -> None:
        for name in (*self.oracle.broken_by(before, action), *node.broken):
            self.broken.setdefault(name, len(self.schedule))

    def _compare(self, node: Node) -> None:
        try:
            seen = tuple(self._seen())
            names = frozenset(self._offered())
        except (Exception, SystemExit) as problem:  # as above
            raise self._crashed("observe", problem) from problem
        expected = node.seen if self._observe is True else self._observe(node.state)
        if seen != expected:
            raise self._differs(expected, seen)
        if names != node.names and not self.oracle.has_ended(node):
            if not all(isinstance(each, str) for each in names):
                raise self._crashed("runnable", ImplementationError("gives something else than names of actions"))
            raise self._offers(node, names)

    # -- what is looked at -------------------------------------------------------------------

    def _look_at(self, names: tuple[str, ...]) -> None:
        wanted = self.capabilities.observes
        for each in wanted or ():
            if each not in BY_ID:
                raise self._crashed("capabilities", ImplementationError(f"there is no observable {each!r}"))
        every = [name for name, _, _ in columns(self.oracle.instance, wanted)]
        missing = sorted(set(every) - set(names))
        unknown = sorted(set(names) - set(self.oracle.names))
        if missing or unknown or len(set(names)) != len(names):
            parts = [f"does not report {', '.join(missing)}, which it claims to observe"] if missing else []
            parts += [f"reports {', '.join(unknown)}, which this world does not have"] if unknown else []
            problem = ImplementationError("; ".join(parts) or "reports some name twice")
            raise self._crashed("reset", problem)
        self.names = names
        if names == self.oracle.names:
            self._observe = True
        else:
            _, self._observe = observer(self.oracle.instance, self.oracle.packing, names)

    # -- how they part -----------------------------------------------------------------------

    def _divergence(self, kind: Kind, **facts: Any) -> Divergence:
        oracle = self.oracle
        schedule = tuple(self.schedule)
        return Divergence(kind, oracle.era.id, oracle.scenario.id, schedule, broken=tuple(self.broken), **facts)

    def _crashed(self, call: str, problem: BaseException) -> Divergence:
        what = str(problem) if isinstance(problem, ImplementationError) else f"{type(problem).__name__}: {problem}"
        return self._divergence(Kind.BROKEN, message=f"{call}: {what}")

    def _differs(self, expected: Observation, seen: Sequence[Value]) -> Divergence:
        if len(expected) != len(seen):
            return self._crashed(
                "observe", ImplementationError(f"reports {len(seen)} values, not the {len(expected)} that reset named")
            )
        pairs = zip(self.names, expected, seen, strict=True)
        return self._divergence(
            Kind.OBSERVATION, differences=tuple(Difference(name, old, new) for name, old, new in pairs if old != new)
        )

    def _offers(self, node: Node, names: frozenset[str]) -> Divergence:
        extra = tuple(sorted(names - node.names))
        if extra:
            reasons = tuple(self.oracle.why_not(node, each) for each in extra)
            return self._divergence(Kind.FORBIDDEN, actions=extra, reasons=reasons)
        return self._divergence(Kind.MISSING, actions=tuple(sorted(node.names - names)))


def replay(oracle: Oracle, implementation: Implementation, schedule: Iterable[str]) -> Lockstep:
    """Run a schedule, from where the scenario starts.

    Raises `Divergence`; `SpecError` for an action that the specification does not allow where it comes.
    """
    pair = Lockstep(oracle, implementation)
    pair.start()
    for number, action in enumerate(schedule, 1):
        if action not in pair.node.names:
            raise SpecError(f"step {number}, {action}: {oracle.why_not(pair.node, action)}")
        pair.step(action)
    return pair


__all__ = ["Difference", "Divergence", "Kind", "Lockstep", "Schedule", "replay", "step_of"]
