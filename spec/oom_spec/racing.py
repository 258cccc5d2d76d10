"""The shortest race that breaks a property in an era, one scenario at a time, ready to be drawn."""

from __future__ import annotations

import attrs

from oom_spec.exploring import MOST_STATES, Exploration, Hit
from oom_spec.graphs import path_to
from oom_spec.instances import Action, Instance
from oom_spec.language import Property
from oom_spec.language.properties import Graph
from oom_spec.progress import find_lasso, look_at_graph
from oom_spec.traces import Run, run_of

FOR_EVER = "from here on this may go round for ever, and nobody who may be counted on ends it:"
NOBODY_ACTS = "from here on nobody who may be counted on acts any more"


@attrs.frozen(eq=False)
class Race:
    """What breaks a property, and, for one of progress, what is wrong from there on."""

    exploration: Exploration
    subject: Property
    hit: Hit
    excuse: str = ""
    """The excuse (N3) that covers it, where one was asked for."""
    ending: str = ""
    cycle: tuple[Action, ...] = ()

    @property
    def run(self) -> Run:
        """The run to it, as data."""
        return run_of(
            self.exploration.instance,
            self.exploration.run_to(self.hit),
            start=self.exploration.prefix_run,
            violated=self.subject,
            depth=self.hit.depth,
            excuse=self.excuse,
            ending=self.ending,
            cycle=self.cycle,
        )


@attrs.frozen(eq=False)
class Looked:
    """What one exploration found."""

    race: Race | None
    cut_short: bool
    """The exploration met too many states, so that None says nothing."""


def look(instance: Instance, subject: Property, *, excuse: bool = False, depth_limit: int | None = None) -> Looked:
    """The shortest race of ``instance`` that breaks ``subject``; with ``excuse``, that only an excuse covers.

    ``depth_limit`` is the longest run, in steps from the scenario's start, that is of interest; questions about the
    whole graph have no such limit.
    """
    if subject.graph is not None:
        exploration = Exploration(instance, keep_edges=True)
        found = None if exploration.truncated else _in_graph(exploration, subject)
        return Looked(found, exploration.states >= MOST_STATES)
    exploration = Exploration(instance, [subject], depth_limit=depth_limit, first_only=not excuse)
    finding = exploration.findings[subject.id]
    name, hit = "", finding.violated
    if excuse:
        name, hit = min(finding.excuses.items(), key=lambda each: each[1].depth, default=("", None))
    told = next((str(member.value) for member in subject.excuse_members if member.name == name), name)
    return Looked(
        None if hit is None else Race(exploration, subject, hit, excuse=told), exploration.states >= MOST_STATES
    )


def _in_graph(exploration: Exploration, subject: Property) -> Race | None:
    """The nearest state that breaks a property about the graph, and what comes after it."""
    cycle: tuple[Action, ...] = ()
    if subject.graph is Graph.FAIR:
        lasso = find_lasso(exploration, subject)
        if lasso is None:
            return None
        state, cycle = lasso.state, lasso.cycle
        ending = FOR_EVER if cycle else NOBODY_ACTS
    else:
        broken = look_at_graph(exploration, subject)
        if broken is None:
            return None
        state, ending = broken
    hit = Hit(len(path_to(exploration, state)), state, None, None)
    return Race(exploration, subject, hit, ending=ending, cycle=cycle)
