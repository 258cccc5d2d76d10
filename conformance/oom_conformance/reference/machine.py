"""The simulated machine: threads of control that stop at every preemption point.

A thread of control (`Context`) runs ordinary functions, which call each other as the kernel's do. Where
the kernel could be preempted, or must wait, they call `pause` with the actions that may come next; what
follows up to the next pause is atomic. Who decides is a `Backend`: greenlets, where the caller picks one
action at a time (`Machine.runnable`, `Machine.run`), or real threads (`oom_conformance.reference.stress`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from greenlet import getcurrent, greenlet

Offer = tuple[str, ...] | Callable[[], tuple[str, ...]]
"""The actions that a paused thread may take: fixed, or looked up whenever somebody asks."""


class Context:
    """One thread of control."""

    __slots__ = ("_greenlet", "machine", "name", "pending")

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.pending: Offer = ()
        self._greenlet: Any = None

    def pause(self, offer: Offer) -> str:
        """Stop before the next atomic section; gives the action that was chosen."""
        self.pending = offer
        return self.machine.paused(self)

    def start(self, body: Callable[[], None]) -> None:
        """Run ``body`` up to its first pause."""
        self._greenlet = greenlet(body)
        self._greenlet.switch()

    def go_on(self, action: str) -> None:
        """Run up to the next pause; a thread whose body has returned offers nothing any more."""
        self.pending = ()
        self._greenlet.parent = getcurrent()
        self._greenlet.switch(action)

    def stop_here(self) -> str:
        """Give control back to whoever made it go on: the driver, or the thread that has started it."""
        chosen: str = self._greenlet.parent.switch()
        return chosen


class Frame:
    """A kernel function at work: names its preemption points.

    The point before a call is named ``actor.function.call[outcome](objects)``, as in the specification.
    """

    __slots__ = ("_objects", "_prefix", "context")

    def __init__(self, context: Context, function: str, *objects: str) -> None:
        self.context = context
        self._prefix = function + "."
        self._objects = "(" + ", ".join(objects) + ")"

    def name(self, call: str, outcome: str = "") -> str:
        """The action of taking ``call`` with that outcome."""
        if outcome:
            return f"{self._prefix}{call}[{outcome}]{self._objects}"
        return f"{self._prefix}{call}{self._objects}"

    def step(self, call: str, outcome: str = "") -> None:
        """A point at which the thread may be preempted, but does not wait."""
        self.context.pause((self.name(call, outcome),))

    def wait(self, ready: Callable[[], bool], call: str, outcome: str = "") -> None:
        """A call that sleeps until ``ready``."""
        names = (self.name(call, outcome),)
        self.context.pause(lambda: names if ready() else ())

    def test(self, condition: Callable[[], Any], call: str, yes: str = "", no: str = "") -> bool:
        """A call with two outcomes, which ``condition`` decides when it is made."""
        positive = (self.name(call, yes),)
        negative = (self.name(call, no),)
        return self.context.pause(lambda: positive if condition() else negative) == positive[0]

    def choose(self, options: Sequence[tuple[str, str, Callable[[], Any] | None]]) -> str:
        """One of several (call, outcome, condition); what the hardware or the world decides. Gives ``call[outcome]``."""
        table = [(self.name(call, outcome), ready) for call, outcome, ready in options]
        chosen = self.context.pause(lambda: tuple([name for name, ready in table if ready is None or ready()]))
        return chosen[len(self._prefix) : -len(self._objects)]


class Machine:
    """Everything that runs, and who may run next."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.halted = "RUNNING"
        """Why the machine stopped, if it did."""
        self.reports: list[str] = []
        """What its own checks found: use after free, unbalanced locks and counts."""
        self._offers: dict[str, Context] = {}

    # -- threads -----------------------------------------------------------------------------

    def spawn(self, name: str, body: Callable[[Context], None]) -> Context:
        """A new thread of control, run up to its first pause."""
        context = Context(self, name)
        self.contexts.append(context)
        context.start(lambda: body(context))
        return context

    def paused(self, context: Context) -> str:
        """A thread stops; comes back when one of its actions was chosen."""
        return context.stop_here()

    # -- one action at a time ----------------------------------------------------------------

    def runnable(self) -> tuple[str, ...]:
        """Every action that some thread may take now."""
        offers: dict[str, Context] = {}
        if self.halted == "RUNNING":
            for context in self.contexts:
                pending = context.pending
                for name in pending if type(pending) is tuple else pending():  # type: ignore[operator]
                    offers[name] = context
        self._offers = offers
        return tuple(offers)

    def run(self, action: str) -> None:
        """Take an action that `runnable` has given last.

        Raises `LookupError` for any other.
        """
        context = self._offers.get(action)
        if context is None:
            raise LookupError(f"{action} cannot be taken now")
        context.go_on(action)

    def halt(self, why: str) -> None:
        """Stop for good: a panic, or a data structure that is beyond repair."""
        self.halted = why

    def report(self, what: str) -> None:
        """Note a fault that the machine survives, as KASAN and lockdep do."""
        self.reports.append(what)


__all__ = ["Context", "Frame", "Machine", "Offer"]
