"""The simulated machine: threads of control that stop at every preemption point.

A thread of control (`Context`) runs ordinary functions, which call each other as the kernel's do. Where
the kernel could be preempted, or must wait, they call `pause` with the actions that may come next; what
follows up to the next pause is atomic. `Machine` runs them as greenlets, one action at a time, which its
caller picks; `oom_conformance.reference.stress` runs the same functions on real threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from greenlet import getcurrent, greenlet

Offer = tuple[str, ...] | Callable[[], tuple[str, ...]]
"""The actions that a paused thread may take: fixed, or looked up whenever somebody asks."""


class Context:
    """One thread of control."""

    __slots__ = ("greenlet", "machine", "name", "pending")

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.pending: Offer = ()
        self.greenlet: Any = None
        """What runs it, for a machine that has greenlets."""

    def pause(self, offer: Offer) -> str:
        """Stop before the next atomic section; gives the action that was chosen."""
        self.pending = offer
        return self.machine.paused(self)

    def offers(self) -> tuple[str, ...]:
        """What it may do now."""
        pending = self.pending
        return pending if isinstance(pending, tuple) else pending()


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
        """One of several (call, outcome, condition), as the world decides. Gives ``call[outcome]``."""
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
        context.greenlet = greenlet(body)
        context.greenlet.switch(context)
        return context

    def paused(self, context: Context) -> str:
        """Gives control back to whoever made the thread go on, until one of its actions is chosen."""
        chosen: str = context.greenlet.parent.switch()
        return chosen

    # -- one action at a time ----------------------------------------------------------------

    def runnable(self) -> tuple[str, ...]:
        """Every action that some thread may take now."""
        offers: dict[str, Context] = {}
        if self.halted == "RUNNING":
            for context in self.contexts:
                for name in context.offers():
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
        context.pending = ()  # what a thread offers whose body returns now
        context.greenlet.parent = getcurrent()
        context.greenlet.switch(action)

    def close(self) -> None:
        """End every thread where it stands: a paused greenlet that nobody ends is never freed, nor what it holds."""
        for context in self.contexts:
            thread, context.greenlet = context.greenlet, None
            if thread is not None and not thread.dead:
                thread.parent = getcurrent()
                thread.throw()
        self.contexts.clear()

    def halt(self, why: str) -> None:
        """Stop for good: a panic, or a data structure that is beyond repair."""
        self.halted = why

    def report(self, what: str) -> None:
        """Note a fault that the machine survives, as KASAN and lockdep do."""
        self.reports.append(what)


__all__ = ["Context", "Frame", "Machine", "Offer"]
